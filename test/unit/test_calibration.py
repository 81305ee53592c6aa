"""Calibration: running a module on samples, names of values, the JSON file, and ranges on the IR."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calibration_models import images, net, net_module, two_inputs_module
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

import swkpu
from swkpu import io
from swkpu.dialects.value_range import range_of
from swkpu.errors import CalibrationError, CalibrationWarning, IRError, ModelError
from swkpu.interp import run_module
from swkpu.interp.prepared import PreparedFunction
from swkpu.passes.nn_annotate_ranges import NnAnnotateRangesPass
from swkpu.quant.calibration import Calibration, all_values, calibrate
from swkpu.quant.names import entry_of, value_names
from swkpu.quant.observers import MinMax
from swkpu.quant.source import Source, check_ranges, is_quantized


@pytest.fixture(autouse=True)
def few_samples() -> Iterator[None]:
    """Tests calibrate on few samples; the one about the warning asks for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        yield


def parsed(module: ModuleOp, tmp_path: Path) -> ModuleOp:
    """The module written and read again."""
    path = tmp_path / "m.mlir"
    io.write_module(module, path)
    return io.parse_file(path)


# ---- running -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [net_module, two_inputs_module])
def test_a_prepared_function_runs_as_the_interpreter_does(make: Any) -> None:
    module = make(2)
    prepared = PreparedFunction(module, entry_of(module))
    for seed in range(2):
        inputs = [images(2, seed)] if make is net_module else [torch.randn(2, 4, 8), torch.randint(0, 10, (2, 6))]
        for mine, other in zip(prepared.run(inputs), run_module(module, inputs)):
            assert torch.equal(mine, other)


def test_values_are_let_go_after_their_last_use() -> None:
    import weakref

    module = net_module()
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0

    def observe(_: object, tensor: torch.Tensor) -> None:
        nonlocal most
        alive.append(weakref.ref(tensor))
        most = max(most, sum(ref() is not None for ref in alive))

    PreparedFunction(module, entry_of(module)).run([images(1)], observe)
    assert len(alive) > 10 and most <= 5


# ---- names ---------------------------------------------------------------------------------------------------------


def test_names_are_unique_and_the_same_after_parsing(tmp_path: Path) -> None:
    module = net_module()
    names = list(value_names(entry_of(module)).values())
    assert len(set(names)) == len(names)
    assert {"x", "conv", "bn", "relu", "relu_1"} <= set(names)
    assert list(value_names(entry_of(parsed(module, tmp_path))).values()) == names


def test_values_without_a_name_are_named_by_their_op() -> None:
    module = io.parse_text(
        "func.func @main(%0: tensor<4xf32>) -> tensor<4xf32> {\n  %1 = nn.relu %0 : tensor<4xf32>\n"
        "  %relu = nn.relu %1 : tensor<4xf32>\n  func.return %relu : tensor<4xf32>\n}",
        "m.mlir",
    )
    assert list(value_names(entry_of(module)).values()) == ["input", "relu", "relu_1"]


# ---- calibrating ---------------------------------------------------------------------------------------------------


def test_ranges_are_those_of_the_model_itself() -> None:
    samples = images(6)
    calibration = calibrate(net_module(), samples, "min-max", points=all_values)
    model = net()
    with torch.no_grad():
        first = model.relu(model.bn(model.conv(samples)))
        expected = {"x": samples, "relu": first, "relu_1": model.relu(model.second(first) + first)}
    assert (calibration.model, calibration.observer, calibration.samples) == ("net", "min-max", 6)
    for name, values in expected.items():
        found = calibration.values[name]
        assert (found.low, found.high) == pytest.approx((values.min().item(), values.max().item()), rel=1e-5)
        assert (found.min, found.max) == (found.low, found.high)
    assert calibration.values["relu"].op == "relu" and calibration.values["x"].op == "input"


FORMS: dict[str, Any] = {
    "array": lambda x: x.numpy(),
    "tensor": lambda x: x,
    "list of arrays": lambda x: list(x.numpy()[:, None]),
    "generator": lambda x: (row[None] for row in x),
    "uneven batches": lambda x: iter([x[:1], x[1:4], x[4:]]),
    "tuples": lambda x: [(row[None],) for row in x],
    "dicts": lambda x: [{"x": row[None]} for row in x],
    "f64": lambda x: x.double(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("observer", ["min-max", "mse"])
def test_samples_come_in_many_forms(form: str, observer: str) -> None:
    samples, module = images(6), net_module()
    expected = calibrate(module, [row[None] for row in samples], observer)
    assert calibrate(module, FORMS[form](samples), observer) == expected


def test_samples_are_regrouped_into_the_modules_batch() -> None:
    samples = images(6)
    seen: list[int] = []
    in_threes = calibrate(net_module(3), [samples[:2], samples[2:]], "min-max", progress=seen.append)
    assert seen == [3, 6]
    alone = calibrate(net_module(), samples, "min-max")
    for name, value in in_threes.values.items():
        assert (value.low, value.high) == pytest.approx((alone.values[name].low, alone.values[name].high), rel=1e-5)


def test_models_of_several_inputs() -> None:
    module = two_inputs_module(2)
    image, tokens = torch.randn(4, 4, 8), torch.randint(0, 10, (4, 6))
    expected = calibrate(module, [(image, tokens)])
    assert calibrate(module, {"image": image, "tokens": tokens.int()}) == expected
    assert expected.samples == 4 and "image" in expected.values and "tokens" not in expected.values


@pytest.mark.parametrize("observer", ["min-max", "moving-average", "percentile", "entropy", "mse"])
def test_calibrating_twice_gives_the_same(observer: str) -> None:
    module = net_module()
    assert calibrate(module, images(8), observer) == calibrate(module, images(8), observer)


def test_an_observer_of_ones_own() -> None:
    class Halved(MinMax):
        def range(self) -> tuple[float, float]:
            return self.low / 2, self.high / 2

    calibration = calibrate(net_module(), images(2), Halved)
    value = calibration.values["x"]
    assert calibration.observer == "Halved" and value.high == pytest.approx(value.max / 2)


NAN = images(3).index_put((torch.tensor(1), torch.tensor(2), torch.tensor(0), torch.tensor(5)), torch.tensor(torch.nan))


@pytest.mark.parametrize(
    "samples, message",
    [
        ([], "there are no samples to calibrate with: expected at least one, better 100 or more"),
        (iter(()), "there are no samples"),
        (NAN, r"sample 1: input x has nan at \[2, 0, 5\]"),
        ([images(1), images(1) / 0], r"sample 1: input x has -?inf"),
        (images(1) * 3e38, r"sample 0: .*"),
        ([images(2)[0]], r"sample 0: the model takes x: float32\[N, 3, 8, 8\], got an array of \[3, 8, 8\]"),
        ([images(1), images(1)[:, :2]], r"sample 1: the model takes x: float32\[N, 3, 8, 8\], got .*\[1, 2, 8, 8\]"),
        ([images(1).long()], r"sample 0: the model takes x: float32\[1, 3, 8, 8\], got int64"),
        ([np.array(["a"])], r"sample 0: the model takes x: float32\[1, 3, 8, 8\], got an array of <U1"),
        ([(images(1), torch.tensor(3))], r"sample 0: got 2 arrays; the model takes x: float32\[1, 3, 8, 8\]"),
        ([{"y": images(1)}], "sample 0: nothing for the input x; it has y"),
        ([{"x": images(1), "y": 3}], "sample 0: there is no input y; the model takes x"),
        (["cat.png"], "sample 0: expected an array, a tensor, a tuple or a dict of them, found str"),
        ([None], "found NoneType"),
    ],
)
def test_samples_that_do_not_fit(samples: Any, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        calibrate(net_module(), samples)


SQUARE = """
func.func @main(%x: tensor<{batch}x1xf32>) -> tensor<{batch}x1xf32> {{
  %y = nn.mul %x, %x : (tensor<{batch}x1xf32>, tensor<{batch}x1xf32>) -> tensor<{batch}x1xf32>
  func.return %y : tensor<{batch}x1xf32>
}}
"""


def test_a_value_that_overflows_is_named() -> None:
    for batch, where in ((1, "sample 3"), (2, "samples 2 to 3")):
        square = io.parse_text(SQUARE.format(batch=batch), "m.mlir")
        with pytest.raises(CalibrationError, match=f"{where}: the value y has infinity"):
            calibrate(square, torch.tensor([[1.0], [2.0], [3.0], [1e20]]), points=all_values)


def test_samples_that_do_not_fill_the_last_run() -> None:
    with pytest.raises(CalibrationError, match="7 samples do not divide into runs of 3, the module's batch: give 6"):
        calibrate(net_module(3), [images(7)])


def test_few_samples_are_a_warning() -> None:
    with pytest.warns(CalibrationWarning, match="calibrated on 5 samples"):
        warnings.simplefilter("always")
        calibrate(net_module(), images(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrate(net_module(), images(100), "min-max")


# ---- the file ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return calibrate(net_module(), images(4))


def test_a_file_has_everything(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    calibration.save(str(path))
    assert Calibration.load(str(path)) == calibration
    lines = path.read_text().splitlines()
    assert json.loads(path.read_text())["samples"] == 4
    assert len(lines) == len(calibration.values) + len(calibration.input_means) + 11  # a line per value and layer


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c["values"]["relu"].update(low="1"), 'values.relu.low: expected a finite number, found "1"'),
        (lambda c: c["values"]["relu"].update(low=True), "values.relu.low: expected a finite number, found true"),
        (
            lambda c: c["values"]["relu"].update(low=9e9),
            r"values.relu.high: expected at least low, which is 9000",
        ),
        (lambda c: c["values"]["relu"].update(hihg=1), 'values.relu: unknown key "hihg"; did you mean high'),
        (lambda c: c["values"]["relu"].pop("min"), 'values.relu: the key "min" is missing'),
        (lambda c: c["values"].update(relu=3), "values.relu: expected an object with the keys op, min, max, low, high"),
        (lambda c: c.update(values=[]), r"values: expected ranges by the names of values, found \[\]"),
        (lambda c: c.update(samples=-1), "samples: expected a whole number, found -1"),
        (lambda c: c.update(version=2), "format, version: expected .*1, found .*2"),
        (lambda c: c.update(more=1), 'the file: unknown key "more"'),
    ],
)
def test_a_wrong_file_is_an_error(calibration: Calibration, change: Any, message: str) -> None:
    data = json.loads(calibration.to_json())
    change(data)
    with pytest.raises(CalibrationError, match=f"^c.json: {message}"):
        Calibration.from_json(json.dumps(data), "c.json")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "c.json:1:1: error: Expecting value"),
        ('{\n "a" 1}', "c.json:2:6: error: Expecting ':' delimiter"),
        ("[]", r"c.json: the file: expected an object with the keys format, .*, found \[\]"),
        ('{"a": 1, "a": 2}', 'c.json: "a" is there twice'),
        ('{"a": NaN}', "c.json: NaN is not a number"),
        ("[" * 100_000, "c.json: nested too deeply"),
    ],
)
def test_a_broken_file_is_an_error(text: str, message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        Calibration.from_json(text, "c.json")


def test_a_file_that_cannot_be_read_or_written(calibration: Calibration, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"there is no calibration file .*missing\.json"):
        Calibration.load(str(tmp_path / "missing.json"))
    with pytest.raises(CalibrationError, match="cannot read"):
        Calibration.load(str(tmp_path))
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(CalibrationError, match=r"cannot read .*binary\.json"):
        Calibration.load(str(tmp_path / "binary.json"))
    with pytest.raises(CalibrationError, match="cannot write"):
        calibration.save(str(tmp_path / "no" / "c.json"))


# ---- ranges on the IR ----------------------------------------------------------------------------------------------


def test_ranges_are_written_on_the_module(calibration: Calibration, tmp_path: Path) -> None:
    module = net_module()
    path = tmp_path / "c.json"
    calibration.save(str(path))
    NnAnnotateRangesPass(str(path)).apply(Context(), module)
    for again in (module, parsed(module, tmp_path)):
        found = {name: range_of(value) for value, name in value_names(entry_of(again)).items()}
        for name, expected in calibration.values.items():
            range_ = found.pop(name)
            assert range_ is not None and (range_.low, range_.high) == (expected.low, expected.high)
        assert set(found.values()) == {None}
        again.verify()


def test_an_unknown_name_is_an_error(calibration: Calibration) -> None:
    data = json.loads(calibration.to_json())
    data["values"]["rleu"] = data["values"]["x"]
    with pytest.raises(CalibrationError, match=r'that the module does not have: "rleu" \(near: relu, relu_1\)'):
        Calibration.from_json(json.dumps(data)).annotate(net_module())


# ---- compiling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["int8", "int4", "mixed"])
def test_integers_need_ranges(precision: str, calibration: Calibration) -> None:
    module = net_module()
    with pytest.raises(CalibrationError, match=rf"{precision} needs calibration data.*--calibration.*calibration="):
        check_ranges(module, precision)
    assert not is_quantized(module)
    calibration.annotate(module)
    check_ranges(module, precision)


def test_compile_checks_calibration_first(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="int8 needs calibration data"):
        swkpu.compile(net(), (images(1),), precision="int8")
    with pytest.raises(CalibrationError, match=r"there is no calibration data .*missing"):
        swkpu.compile(net(), (images(1),), precision="int8", calibration=tmp_path / "missing")
    with pytest.raises(CalibrationError, match='unknown observer "mess"'):
        swkpu.compile(net(), (images(1),), precision="int8", calibration=images(1), observer="mess")
    with pytest.raises(CalibrationError, match="there are no samples"):
        swkpu.compile(net(), (images(1),), precision="int8", calibration=[])


def test_floats_ignore_calibration() -> None:
    with pytest.warns(CalibrationWarning, match="bf16 needs no calibration"):
        warnings.simplefilter("always")
        swkpu.compile(net(), (images(1),), precision="bf16", calibration=iter(()))


def test_a_source_is_samples_or_a_calibration(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    calibration.save(str(path))
    np.save(tmp_path / "x.npy", images(4).numpy())
    module = net_module()
    for data in (calibration, path, str(path), images(4), tmp_path / "x.npy"):
        assert Source(data).check().calibration(module) == calibration


def test_torch_compile_takes_no_iterator() -> None:
    compiled = torch.compile(net(), backend="swkpu", options={"precision": "int8", "calibration": iter([images(1)])})
    with pytest.raises((ModelError, torch._dynamo.exc.BackendCompilerFailed), match="an iterator can be read once"):
        compiled(images(1))


def test_a_module_without_a_main_function() -> None:
    with pytest.raises(IRError, match="expected a module with a function @main, found 0"):
        calibrate(ModuleOp([]), [])
