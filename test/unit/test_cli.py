"""The commands `swkpu` and `swkpu-run`: what they print and write, and what they say about mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swkpu.target import list_targets
from swkpu.tools import swkpu as swkpu_tool
from swkpu.tools import swkpu_run

MODEL = """
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    return nn.Sequential(*layers).eval()


class Unsupported(nn.Module):
    def forward(self, x):
        return torch.linalg.svd(x)[1]


def unsupported():
    return Unsupported().eval()


def broken():
    raise RuntimeError("on purpose")
"""
MODULE = "cli_test_models"
NET = f"{MODULE}:make"
SHAPE = ("--input-shape", "1,3,16,16")

Outcome = tuple[int, str, str]
Tool = Callable[..., Outcome]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module of models and a compiled program, net.kpu."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / f"{MODULE}.py").write_text(MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert swkpu_tool.main(["compile", NET, *SHAPE, "-o", "net.kpu"]) == 0
    return folder


@pytest.fixture
def swkpu(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    monkeypatch.chdir(folder)

    def run(*argv: object, main: Callable[[list[str]], int] = swkpu_tool.main) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(a) for a in argv])
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def kpu_run(swkpu: Tool) -> Tool:
    return lambda *argv: swkpu(*argv, main=swkpu_run.main)


def failed(outcome: Outcome, *words: str, code: int = 1) -> None:
    """There is one error, on standard error, that says these words."""
    got, out, err = outcome
    assert got == code, err
    assert out == ""
    errors = [line for line in err.splitlines() if "error:" in line]
    assert len(errors) == 1, err
    assert errors[0].startswith("error: ")
    assert "Traceback" not in err
    assert "internal error" not in err
    for word in words:
        assert word in err


# ---- help and lists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", swkpu_tool.COMMANDS)
def test_every_command_has_help_with_an_example(swkpu: Tool, command: str):
    code, out, _ = swkpu(command, "--help")
    assert code == 0
    assert f"swkpu {command}" in out.partition("example")[2]


@pytest.mark.parametrize("main", [swkpu_tool.main, swkpu_run.main])
def test_help_and_version(swkpu: Tool, main: Callable[..., int]):
    assert "example" in swkpu("--help", main=main)[1]
    assert "xDSL" in swkpu("--version", main=main)[1]


@pytest.mark.parametrize("argv", [["--help"], ["models"], ["targets", "--json"], ["compile", "--help"]])
def test_what_needs_no_torch_does_not_import_it(argv: list[str]):
    script = (
        "import sys\nfrom swkpu.tools.swkpu import main\n"
        f"try:\n  main({argv})\nexcept SystemExit:\n  pass\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_models(swkpu: Tool):
    lstm, mlp = json.loads(swkpu("models", "lstm", "mlp", "--json")[1])
    assert [lstm["name"], mlp["input_shape"]] == ["lstm", [1, 1, 28, 28]]
    assert f"{mlp['macs']:,}" in swkpu("models")[1]
    assert mlp["coverage"]["operators"]["aten.linear.default"] == {"calls": 3, "supported": True}
    for row in (lstm, mlp):
        covered, operators = row["coverage"], row["coverage"]["operators"].values()
        assert covered["supported_calls"] == covered["calls"] == sum(operator["calls"] for operator in operators)


def test_models_of_another_name(swkpu: Tool):
    code, _, err = swkpu("models", "resnet19")
    assert code == 1 and "resnet18" in err


def test_targets(swkpu: Tool):
    rows = json.loads(swkpu("targets", "--json")[1])
    assert {row["target"] for row in rows} == set(list_targets())
    table = swkpu("targets")[1]
    assert all(target in table for target in list_targets())


def test_ops(swkpu: Tool):
    rows = json.loads(swkpu("ops", "--json")[1])
    assert "aten.conv2d.default" in {row["operator"] for row in rows}
    assert "aten.conv2d.default" in swkpu("ops")[1]


def test_tables_survive_a_terminal_without_unicode():
    environment = {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "swkpu.tools.swkpu", "targets"]
    assert b"kpu-t64" in subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE).stdout


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m swkpu.tools.swkpu targets --json | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


# ---- compile and estimate ------------------------------------------------------------------------------------------


def test_compile_says_what_it_made(swkpu: Tool, tmp_path: Path):
    code, out, err = swkpu(
        "compile", NET, *SHAPE, "--target", "swkpu-v1", "--precision", "fp16", "-o", tmp_path / "n.kpu"
    )
    assert (code, err) == (0, "")
    for word in ("swkpu-v1", "fp16", "commands", "layers", "cycles", "capture and import", "compile"):
        assert word in out
    assert (tmp_path / "n.kpu").read_bytes().startswith(b"\x89SWKPU")


def test_compile_writes_beside_by_default(swkpu: Tool, folder: Path):
    assert swkpu("compile", NET, *SHAPE)[0] == 0
    assert (folder / "make.kpu").read_bytes() == (folder / "net.kpu").read_bytes()


@pytest.mark.parametrize("level", ["nn", "df", "kpu"])
def test_emitted_modules_run_like_the_program(swkpu: Tool, kpu_run: Tool, tmp_path: Path, level: str):
    file = tmp_path / f"{level}.mlir"
    assert swkpu("compile", NET, *SHAPE, "--emit", level, "-o", file)[:2] == (0, "")
    outcomes = [kpu_run(f, "--seed", 3, "-o", tmp_path / f"{i}.npz") for i, f in enumerate([file, "net.kpu"])]
    assert [o[0] for o in outcomes] == [0, 0], outcomes
    got, expected = (next(iter(np.load(tmp_path / f"{i}.npz").values())) for i in range(2))
    assert got.shape == expected.shape == (1, 10)
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("level", "word"), [("nn", "nn.conv2d"), ("df", "df.recurrence"), ("kpu", "kpu.stream"), ("asm", ".target")]
)
def test_emit_prints_the_level_and_nothing_else(swkpu: Tool, level: str, word: str):
    code, out, _ = swkpu("compile", NET, *SHAPE, "--emit", level)
    assert code == 0
    assert word in out
    assert out.startswith((";", "builtin.module"))


def test_estimate(swkpu: Tool, tmp_path: Path):
    code, out, _ = swkpu("estimate", NET, *SHAPE, "--batch", 1, "--profile", "3W")
    assert code == 0
    assert "kpu-t64 (3W, 800 MHz)" in out
    code, out, _ = swkpu("estimate", NET, *SHAPE, "--json", "-", "--trace", tmp_path / "t.json")
    report = json.loads(out)
    assert report["cycles"] >= report["lower_bound_cycles"] > 0
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]


# ---- run -----------------------------------------------------------------------------------------------------------


def test_run_says_that_its_input_is_random(swkpu: Tool):
    code, out, err = swkpu("run", "net.kpu")
    assert code == 0
    assert "efficiency" in out
    assert err.startswith("note: ")
    assert "random" in err


def test_run_with_check_uses_the_models_own_input(swkpu: Tool):
    code, out, err = swkpu("run", "net.kpu", "--check", NET)
    assert (code, err) == (0, "")
    assert "SQNR" in out


@pytest.mark.parametrize("mode", ["functional", "cycle", "power"])
def test_run_prints_json_only(swkpu: Tool, mode: str):
    code, out, _ = swkpu("run", "net.kpu", "--mode", mode, "--check", NET, "--json", "-")
    assert code == 0
    report: dict[str, Any] = json.loads(out)
    assert report["mode"] == mode
    assert report["check"]["sqnr_db"] > 35
    assert report["simulate_seconds"] > 0
    assert ("power_trace" in report) is (mode == "power")
    if mode == "power":
        power, edges = report["power_trace"]["power_w"], report["power_trace"]["edges_cycles"]
        assert len(edges) == len(power) + 1
        assert np.mean(power) == pytest.approx(report["average_power_w"])
        assert report["tdp"]["ok"] is True
        assert max(power) == report["tdp"]["peak_power_w"]


def test_run_prints_power_over_time(swkpu: Tool):
    assert "peak" in swkpu("run", "net.kpu", "--mode", "power")[1]


def test_run_writes_everything_it_is_asked_for(swkpu: Tool, tmp_path: Path):
    x = np.linspace(-1, 1, 3 * 16 * 16, dtype=np.float32).reshape(1, 3, 16, 16)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", input=x)
    for given in ("x.npy", "x.npz"):
        files = [tmp_path / name for name in ("o.npz", "r.json", "t.json")]
        argv = ("--output", files[0], "--json", files[1], "--trace", files[2])
        code, out, _ = swkpu("run", "net.kpu", "--input", tmp_path / given, *argv)
        assert code == 0
        assert "efficiency" in out
        assert np.load(files[0])["output"].shape == (1, 10)
        assert json.loads(files[1].read_text())["model"] == "make"
        assert json.loads(files[2].read_text())["traceEvents"]


@pytest.mark.parametrize("size", [(64, 48), (16, 16), (5, 200)])
def test_run_takes_images(swkpu: Tool, tmp_path: Path, size: tuple[int, int]):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", size, (255, 0, 128)).save(tmp_path / "x.png")
    assert swkpu("run", "net.kpu", "--input", tmp_path / "x.png", "--output", tmp_path / "o.npz")[0] == 0
    colour = (np.array([255, 0, 128]) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.save(tmp_path / "x.npy", np.broadcast_to(colour[:, None, None], (1, 3, 16, 16)).astype(np.float32))
    assert swkpu("run", "net.kpu", "--input", tmp_path / "x.npy", "--output", tmp_path / "p.npz")[0] == 0
    np.testing.assert_allclose(np.load(tmp_path / "o.npz")["output"], np.load(tmp_path / "p.npz")["output"], atol=1e-6)


def test_run_on_a_target_of_the_users_own(swkpu: Tool, tmp_path: Path):
    from importlib.resources import files

    own = tmp_path / "own.toml"
    own.write_text((files("swkpu.target") / "machines" / "kpu-t64.toml").read_text().replace('"kpu-t64"', '"my-kpu"'))
    program = tmp_path / "own.kpu"
    assert swkpu("compile", NET, *SHAPE, "--target", own, "-o", program)[0] == 0
    assert "my-kpu" in swkpu("run", program, "--target", own)[1]
    failed(swkpu("run", program), "my-kpu", "--target FILE.toml")
    own.write_text(own.read_text().replace("mhz = 850", "mhz = 840"))
    failed(swkpu("run", program, "--target", own), "digest")


# ---- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "give a command"),
        (("frobnicate",), "invalid choice"),
        (("compile",), "MODEL"),
        (("compile", NET, "--input-shape", "1,3,x"), "expected numbers"),
        (("compile", NET, "--precision", "fp9"), "fp16"),
        (("compile", NET, "--emit", "ptx"), "asm"),
        (("run", "net.kpu", "--mode", "fast"), "power"),
        (("run", "net.kpu", "--frobnicate"), "unrecognized"),
    ],
)
def test_usage(swkpu: Tool, argv: tuple[str, ...], words: str):
    failed(swkpu(*argv), words, code=2)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("compile", "resnet8"), ("resnet8", "did you mean resnet18")),
        (("compile", "model.onnx"), ("ONNX", "not supported")),
        (("compile", "missing.pt2"), ("missing.pt2",)),
        (("compile", f"{MODULE}:mack", *SHAPE), ("mack", "did you mean make")),
        (("compile", f"{MODULE}:broken", *SHAPE), ("on purpose",)),
        (("compile", f"{MODULE}:unsupported", *SHAPE), ("Unsupported operators", "svd")),
        (("compile", NET), ("--input-shape",)),
        (("compile", NET, "--input-shape", "1,4,16,16"), ("capture", "[1, 4, 16, 16]")),
        (("compile", NET, "--input-shape", "1,3,0,16"), ("from 1",)),
        (("compile", NET, *SHAPE, "--batch", "2"), ("batch",)),
        (("compile", NET, *SHAPE, "--target", "kpu-t65"), ("kpu-t65", "did you mean 'kpu-t64'")),
        (("compile", NET, *SHAPE, "--target", "missing.toml"), ("missing.toml",)),
        (("compile", NET, *SHAPE, "--profile", "7W"), ("7W", "6W")),
        (("compile", NET, *SHAPE, "--target", "swkpu-v1", "--precision", "fp32"), ("swkpu-v1", "fp32", "fp16")),
        (("compile", NET, *SHAPE, "--precision", "int8"), ("int8 needs calibration data", "--calibration")),
        (("compile", NET, *SHAPE, "--precision", "int4", "--calibration", "images"), ("no calibration data images",)),
        (("estimate", NET, *SHAPE, "--precision", "int8", "--calibration", "synthetic"), ("synthetic", "of the zoo")),
        (("compile", NET, *SHAPE, "--precision", "mixed"), ("mixed needs calibration data", "--calibration")),
        (("compile", NET, *SHAPE, "--max-error", "0.1"), ("--max-error", "for precision mixed")),
        (("compile", NET, *SHAPE, "-o", "missing/net.kpu"), ("missing/net.kpu",)),
        (("compile", NET, *SHAPE, "-o", "."), ("cannot write",)),
        (("run", "missing.kpu"), ("missing.kpu", "no such file")),
        (("run", "."), ("directory",)),
        (("run", f"{MODULE}.py"), (f"{MODULE}.py", "not a .kpu program")),
        (("run", "net.kpu", "--input", "missing.npy"), ("missing.npy",)),
        (("run", "net.kpu", "--input", "net.kpu"), ("net.kpu", ".npz")),
        (("run", "net.kpu", "--target", "kpu-t256"), ("net.kpu", "kpu-t64", "kpu-t256")),
        (("run", "net.kpu", "--profile", "7W"), ("7W", "6W")),
        (("run", "net.kpu", "--output", "missing/o.npz"), ("missing/o.npz",)),
        (("run", "net.kpu", "--json", "missing/o.json"), ("missing/o.json",)),
    ],
)
def test_mistakes(swkpu: Tool, argv: tuple[str, ...], words: tuple[str, ...]):
    failed(swkpu(*argv), *words)


@pytest.mark.parametrize("write", [np.save, np.savez])
@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 3, 15, 16), np.float32), ("shape", "(1, 3, 16, 16)", "(1, 3, 15, 16)")),
        (np.zeros((1, 3, 16, 16), np.int32), ("dtype", "int32")),
        (np.zeros((1, 3, 16, 16), np.complex64), ("dtype", "complex64")),
        (np.array([{}]), ("cannot read arrays",)),
    ],
)
def test_inputs_that_do_not_fit(
    swkpu: Tool, kpu_run: Tool, tmp_path: Path, write: Callable[..., None], array: np.ndarray, words: tuple[str, ...]
):
    file = tmp_path / f"x.{'npy' if write is np.save else 'npz'}"
    write(file, array)
    failed(swkpu("run", "net.kpu", "--input", file), *words)
    failed(kpu_run("net.kpu", "--input", file), *words)


def test_arrays_of_other_names(swkpu: Tool, tmp_path: Path):
    np.savez(tmp_path / "x.npz", a=np.zeros(1), b=np.zeros(1))
    failed(swkpu("run", "net.kpu", "--input", tmp_path / "x.npz"), "no array 'input'", "a, b")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.png"])
@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY\x01\x00", b"PK\x03\x04abc", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_not_arrays(swkpu: Tool, tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    failed(swkpu("run", "net.kpu", "--input", tmp_path / name), name)


def test_checking_against_another_model(swkpu: Tool):
    failed(swkpu("run", "net.kpu", "--check", "resnet18"), "resnet18", "(1, 10)")
    failed(swkpu("run", "net.kpu", "--check", "resnet19"), "did you mean")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_truncated_programs(swkpu: Tool, kpu_run: Tool, folder: Path, tmp_path: Path, part: float):
    data = (folder / "net.kpu").read_bytes()
    (tmp_path / "cut.kpu").write_bytes(data[: int(len(data) * part)])
    failed(swkpu("run", tmp_path / "cut.kpu"), "cut.kpu")
    failed(kpu_run(tmp_path / "cut.kpu"), "cut.kpu")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.03, 0.2, 0.4, 0.6, 0.8, 0.999])
def test_corrupted_programs(swkpu: Tool, folder: Path, tmp_path: Path, part: float):
    data = bytearray((folder / "net.kpu").read_bytes())
    data[int(len(data) * part)] ^= 0x10
    (tmp_path / "bad.kpu").write_bytes(data)
    failed(swkpu("run", tmp_path / "bad.kpu"), "bad.kpu")


def test_a_program_of_another_description_of_its_target(swkpu: Tool, folder: Path, tmp_path: Path):
    import dataclasses

    from swkpu.program.container import load, save

    program = dataclasses.replace(load(folder / "net.kpu"), target_digest="0" * 64)
    save(program, tmp_path / "old.kpu")
    failed(swkpu("run", tmp_path / "old.kpu"), "old.kpu", "digest", "compile again")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("func.func @main() {", (":1:",)),
        ("func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n  func.return %y : tensor<2xf32>\n}", (":2:", "%y")),
        (
            "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n"
            "  %y = nn.frobnicate %x : (tensor<2xf32>) -> tensor<2xf32>\n  func.return %y : tensor<2xf32>\n}",
            (":2:", "nn.frobnicate"),
        ),
        ("builtin.module {}", ("@main",)),
        ("", (":1:",)),
        ("func.func @main(%x: index) -> index {\n  func.return %x : index\n}", ("index",)),
        ("func.func @other() {\n  func.return\n}", ("@main",)),
    ],
)
def test_modules_that_cannot_run(kpu_run: Tool, tmp_path: Path, text: str, words: tuple[str, ...]):
    file = tmp_path / "module.mlir"
    file.write_text(text)
    failed(kpu_run(file), *words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('target "kpu-t64"', 'target "kpu-t65"', ("kpu-t65", "did you mean")),
        ('target "kpu-t64"', 'target "kpu-sim"', ()),
        ("kpu.push", "kpu.shove", ("kpu.shove",)),
        ("box [", "box [9999999, ", ()),
        ("kpu.output", "kpu.input", ()),
    ],
)
def test_programs_broken_by_hand(
    swkpu: Tool, kpu_run: Tool, tmp_path: Path, old: str, new: str, words: tuple[str, ...]
):
    file = tmp_path / "module.mlir"
    assert swkpu("compile", NET, *SHAPE, "--emit", "kpu", "-o", file)[0] == 0
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    failed(kpu_run(file), *words)


def test_missing_modules_and_weights(swkpu: Tool, kpu_run: Tool, tmp_path: Path):
    failed(kpu_run("missing.mlir"), "missing.mlir")
    failed(kpu_run("missing.kpu"), "missing.kpu")
    failed(kpu_run("net.kpu", "--seed", "-1"), "--seed")
    file = tmp_path / "module.mlir"
    assert swkpu("compile", NET, *SHAPE, "--emit", "nn", "-o", file)[0] == 0
    file.with_suffix(".safetensors").unlink()
    failed(kpu_run(file), "module.safetensors")


def test_debug_shows_the_traceback(swkpu: Tool):
    for argv in (("--debug", "run", "missing.kpu"), ("run", "missing.kpu", "--debug")):
        code, _, err = swkpu(*argv)
        assert code == 1
        assert "Traceback" in err


# ---- swkpu-run -----------------------------------------------------------------------------------------------------

SQUARES = """
func.func @main(%x: tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>) {
  %y = nn.mul %x, %x : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  func.return %y, %x : tensor<2x2xf32>, tensor<2x2xf32>
}
"""


def test_run_summarises_outputs(kpu_run: Tool, tmp_path: Path):
    (tmp_path / "m.mlir").write_text(SQUARES)
    np.save(tmp_path / "x.npy", np.array([[1, 2], [3, -4]], np.float32))
    code, out, err = kpu_run(tmp_path / "m.mlir", "--input", tmp_path / "x.npy", "--output", tmp_path / "o.npz")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "output0: float32[2, 2] min 1 max 16 mean 7.5 [1, 4, 9, 16]",
        "output1: float32[2, 2] min -4 max 3 mean 0.5 [1, 2, 3, -4]",
    ]
    assert np.load(tmp_path / "o.npz")["output0"].tolist() == [[1, 4], [9, 16]]


def test_random_inputs_depend_on_the_seed_only(kpu_run: Tool, tmp_path: Path):
    (tmp_path / "m.mlir").write_text(SQUARES)
    first, again, other = (kpu_run(tmp_path / "m.mlir", "--seed", s)[1] for s in (1, 1, 2))
    assert first == again != other
