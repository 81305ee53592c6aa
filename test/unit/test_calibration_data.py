"""Calibration data in files, and the command that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calibration_models import images, net_module, two_inputs_module, write_pictures

from swkpu import zoo
from swkpu.errors import CalibrationError
from swkpu.images import load_image
from swkpu.quant.data import open_samples
from swkpu.quant.samples import inputs_of
from swkpu.tools import swkpu as swkpu_tool

NET = inputs_of(net_module())
TWO = inputs_of(two_inputs_module())
MODEL = "calibration_models:net"
SHAPE = ("--input-shape", "1,3,8,8")


# ---- data ----------------------------------------------------------------------------------------------------------


def test_a_folder_of_images(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    write_pictures(tmp_path, 3)
    write_pictures(tmp_path / "cats", 2)
    (tmp_path / "notes.txt").write_text("not an image")
    samples = open_samples(str(tmp_path), NET)
    paths = [tmp_path / name for name in ("0.png", "1.png", "2.png", "cats/0.png", "cats/1.png")]
    assert len(samples) == 5
    for sample, path in zip(samples, paths):
        assert (sample == load_image(path, (1, 3, 8, 8))).all()


def test_an_array_file(tmp_path: Path) -> None:
    values = images(4).numpy()
    np.save(tmp_path / "x.npy", values)
    np.savez(tmp_path / "x.npz", anything=values)
    for name in ("x.npy", "x.npz"):
        for _ in range(2):
            samples = open_samples(str(tmp_path / name), NET)
            assert (np.concatenate([sample["x"] for sample in samples]) == values).all()
    assert len(samples.first(3)) == 3 and len(samples.first(None)) == 4
    for wrong in (0, 5):
        with pytest.raises(CalibrationError, match=f"asked for {wrong} samples of 4; expected from 1 to 4"):
            samples.first(wrong)


def test_a_file_of_several_inputs(tmp_path: Path) -> None:
    image, tokens = torch.randn(3, 4, 8).numpy(), np.arange(18).reshape(3, 6)
    np.savez(tmp_path / "x.npz", image=image, tokens=tokens)
    samples = list(open_samples(str(tmp_path / "x.npz"), TWO))
    assert len(samples) == 3
    assert (samples[1]["image"] == image[1:2]).all() and (samples[1]["tokens"] == tokens[1:2]).all()


def test_synthetic_samples_are_the_zoos_with_other_values() -> None:
    inputs = inputs_of(net_module())
    samples = list(open_samples("synthetic:3", inputs, "resnet18"))
    assert len(open_samples("synthetic", inputs, "resnet18")) == 100
    assert [tuple(x.shape) for (x,) in samples] == [(1, 3, 8, 8)] * 3  # the module's shape
    assert not torch.equal(samples[0][0], samples[1][0])
    assert torch.equal(samples[0][0], zoo.example_inputs("resnet18", 1, 1, (1, 3, 8, 8))[0])
    assert torch.equal(*(zoo.example_inputs("lenet", 1, variant)[0] for variant in (2, 2)))
    assert not torch.equal(*(zoo.example_inputs("lenet", 1, variant)[0] for variant in (0, 2)))
    assert len(open_samples("synthetic", inputs_of(net_module(8)), "resnet18")) == 104  # whole runs


def write_no_images(folder: Path) -> str:
    (folder / "readme.md").write_text("")
    return str(folder)


def write_broken(folder: Path) -> str:
    (folder / "x.npz").write_bytes(b"PK\x03\x04 not a zip")
    return str(folder / "x.npz")


def write_broken_image(folder: Path) -> str:
    (folder / "x.png").write_bytes(b"not an image")
    return str(folder)


def write_arrays(**arrays: Any) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        np.savez(folder / "x.npz", **arrays)
        return str(folder / "x.npz")

    return write


IMAGE, TOKENS = np.zeros((3, 4, 8), np.float32), np.zeros((2, 6), np.int64)


@pytest.mark.parametrize(
    "write, inputs, message",
    [
        (lambda _: "missing", NET, "missing is no calibration data; expected a folder of images"),
        (lambda _: "missing.npz", NET, r"there is no file missing.npz; expected a folder of images"),
        (write_no_images, NET, r"there are no images in .*; expected \.png, \.jpg"),
        (write_broken, NET, "cannot read samples from"),
        (write_broken_image, NET, r"cannot read image .*x\.png"),
        (write_no_images, TWO, "there are no images"),
        (
            write_broken_image,
            TWO,
            r"images fit a model of one input .*; this one takes image: float32\[1, 4, 8\], tokens",
        ),
        (write_arrays(image=IMAGE), TWO, "has no array 'tokens'; it has image, and the inputs are image, tokens"),
        (write_arrays(image=IMAGE, tokens=TOKENS, mask=TOKENS), TWO, "unknown input 'mask'; the inputs are image"),
        (write_arrays(image=IMAGE, tokens=TOKENS), TWO, "number of samples, but they differ: image: 3, tokens: 2"),
        (lambda _: "synthetic", NET, "synthetic samples are for models of the zoo"),
        (lambda _: "synthetic:3", NET, "synthetic samples are for models of the zoo"),
    ],
)
def test_data_that_cannot_be_used(write: Callable[[Path], str], inputs: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=message):
        list(open_samples(write(tmp_path), inputs, "mine"))


@pytest.mark.parametrize("count", ["", "0", "-1", "x", "1.5"])
def test_a_wrong_number_of_synthetic_samples(count: str) -> None:
    with pytest.raises(CalibrationError, match=f"synthetic:{count}: expected a whole number of samples from 1"):
        open_samples(f"synthetic:{count}", NET, "resnet18")


# ---- the command ---------------------------------------------------------------------------------------------------

Outcome = tuple[int, str, str]
Tool = Callable[..., Outcome]


@pytest.fixture
def swkpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", images(6).numpy())

    def run(*argv: object) -> Outcome:
        capsys.readouterr()
        code = swkpu_tool.main([str(a) for a in argv])
        return code, *capsys.readouterr()

    return run


def test_calibrate_writes_a_file(swkpu: Tool) -> None:
    code, out, err = swkpu("calibrate", MODEL, *SHAPE, "--data", "x.npy", "--observer", "min-max", "-o", "c.json")
    assert code == 0
    assert "samples   6 from x.npy" in out and "observer  min-max" in out and "in c.json" in out
    assert err.startswith("warning: calibrated on 6 samples")
    written = json.loads(Path("c.json").read_text())
    assert written["values"]["x"]["max"] == pytest.approx(images(6).max().item())
    swkpu("calibrate", MODEL, *SHAPE, "--data", "x.npy", "--samples", 2)
    assert json.loads(Path("net.calibration.json").read_text())["samples"] == 2


@pytest.mark.parametrize(
    "argv, message",
    [
        (("--data", "missing"), "error: there is no calibration data missing; expected a folder of images"),
        (("--data", "x.npy", "--observer", "minmax"), 'error: unknown observer "minmax"; did you mean min-max?'),
        (("--data", "x.npy", "--samples", 7), "error: asked for 7 samples of 6"),
        (("--data", "x.npy", "-o", "no/c.json"), "error: cannot write no/c.json"),
        (("--data", "x.npy", "--input-shape", "4,3,8,8"), "error: 6 samples do not divide into runs of 4"),
        (("--data", "x.npy", "--input-shape", "1,3,9,9"), "error: sample 0: the model takes x: float32[N, 3, 9, 9]"),
    ],
)
def test_calibrate_mistakes(swkpu: Tool, argv: tuple[object, ...], message: str) -> None:
    code, out, err = swkpu("calibrate", MODEL, *SHAPE, *argv)
    assert (code, out) == (1, "")
    assert message in err
    assert not list(Path().glob("*.json"))


def test_a_nan_in_the_data_is_named(swkpu: Tool) -> None:
    values = images(6).numpy()
    values[4, 2, 1, 0] = np.nan
    np.savez("x.npz", x=values)
    _, _, err = swkpu("calibrate", MODEL, *SHAPE, "--data", "x.npz")
    assert err == "error: sample 4: input x has nan at [2, 1, 0]\n"
    _, _, err = swkpu("compile", MODEL, *SHAPE, "--precision", "int8", "--calibration", "x.npz")
    assert "error: sample 4: input x has nan at [2, 1, 0]" in err


def test_a_float_precision_warns_of_calibration(swkpu: Tool) -> None:
    code, _, err = swkpu("compile", MODEL, *SHAPE, "--precision", "bf16", "--calibration", "x.npy", "--emit", "nn")
    assert code == 0 and "warning: bf16 needs no calibration: it is ignored" in err
