"""swkpu-opt and swkpu-translate as commands: exit codes, what goes to which stream, and no traceback for anyone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp

from swkpu.errors import IRError
from swkpu.io import make_context, module_text, parse_file, parse_text, write_module
from swkpu.passes.nn_fold_constants import NnFoldConstantsPass
from swkpu.passes.pipeline import (
    PASSES,
    PipelineError,
    default_pipeline,
    expand,
    parse_pipeline,
    remaining_pipeline,
)

RELU = """\
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = nn.relu %x : tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}
"""
WEIGHT = """\
func.func @main() -> tensor<4xf32> {
  %w = nn.constant #nn.weight<"lost.safetensors", "w"> : tensor<4xf32>
  %0 = nn.relu %w : tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
"""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def run(tool: str, *args: str | Path, stdin: str = "") -> Outcome:
    command = [sys.executable, "-m", f"swkpu.tools.{tool}", *map(str, args)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("text", "args", "code", "message"),
    [
        (None, (), 1, "error: cannot read"),
        ("func.func @main( {", (), 1, "error: {file}:1:18: "),
        ("", (), 1, "error: {file}:1:1: expected an op"),
        ("\x89SWKPU", (), 1, "error: "),
        (RELU, ("-p", "df-fuze"), 2, "error: unknown pass 'df-fuze'; did you mean 'df-fuse'?"),
        (RELU, ("-p", "df-fuse{x=1}"), 2, "error: pass df-fuse has no option 'x'; it has none"),
        (RELU, ("-p", "df-fuse,,"), 2, "error: pass pipeline: expected the name of a pass, found ','"),
        (RELU, ("--no-such-flag",), 2, "error: unrecognized arguments: --no-such-flag"),
        (RELU, ("a.mlir",), 2, "error: unrecognized arguments: a.mlir"),
        (RELU.replace("f32", "i1"), (), 1, "error: {file}:2:8: nn.relu takes floats or integers"),
        (RELU, ("-p", "nn-quantize{precision=int3}"), 1, 'error: nn-quantize: unknown precision "int3"'),
        (RELU, ("-p", "convert-nn-to-df,df-choose-mapping{target=x}"), 1, "error: unknown target 'x'"),
        (WEIGHT, ("-p", "nn-fold-constants"), 1, "error: cannot read weights from"),
        (RELU, ("-o", "/nowhere/out.mlir"), 1, "error: cannot write /nowhere/out.mlir: No such file or directory"),
        (RELU, ("--load", "/nowhere.py"), 2, "error: cannot load /nowhere.py: No such file or directory"),
        (RELU, ("-o", "a/x.mlir", "--weights-out", "b/x.safetensors"), 2, "error: --weights-out must name a file"),
        (RELU, ("-o", "x.mlir", "--split-input-file"), 2, "error: -o and --weights-out take one module"),
    ],
)
def test_what_is_wrong_is_said_on_stderr(
    tmp_path: Path, text: str | None, args: tuple[str, ...], code: int, message: str
) -> None:
    file = tmp_path / "in.mlir"
    if text is not None:
        file.write_text(text)
    outcome = run("swkpu_opt", file, *args)
    assert outcome.code == code, outcome.err
    assert outcome.err.startswith(message.format(file=file)), outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err


def test_binary_input_is_named_for_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "in.mlir"
    file.write_bytes(b"\x89SWKPU\r\n\0\0")
    assert "is a binary program, not IR text; swkpu-translate --kpu-to-asm shows it" in run("swkpu_opt", file).err
    file.write_bytes(b"\xff\xfe")
    assert run("swkpu_opt", file).err == f"error: {file} is not text: byte 0 is not UTF-8\n"
    assert "cannot read" in run("swkpu_opt", tmp_path).err


def test_a_module_that_is_only_passed_on_needs_no_weights() -> None:
    outcome = run("swkpu_opt", stdin=WEIGHT)
    assert outcome == Outcome(0, module_text(parse_text(WEIGHT, "w")), "")


@pytest.mark.parametrize("tool", ["swkpu_opt", "swkpu_translate"])
def test_help_is_quick_and_has_an_example(tool: str) -> None:
    code = f"import sys; from swkpu.tools.{tool} import main; sys.argv = ['x', '--help']\n"
    code += "try: main()\nexcept SystemExit as e: assert e.code == 0\n"
    code += "assert 'torch' not in sys.modules, 'torch was imported'"
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert f"  {tool.replace('_', '-')} " in done.stdout.partition("examples:")[2]
    seconds = after.children_user - before.children_user + after.children_system - before.children_system
    assert seconds < 0.5, f"{tool} --help took {seconds:.2f} s of CPU time"


def test_a_run_without_values_does_not_import_torch(tmp_path: Path) -> None:
    file = tmp_path / "in.mlir"
    file.write_text(RELU)
    code = "import sys; from swkpu.tools.swkpu_opt import main\n"
    code += f"assert main([{str(file)!r}, '-p', 'convert-nn-to-df,df-fold-copies,df-fuse,df-choose-layout']) == 0\n"
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "in.mlir"
    body = "\n".join(f"  %{i} = nn.relu %x : tensor<4xf32>" for i in range(5000))
    file.write_text(f"func.func @main(%x: tensor<4xf32>) {{\n{body}\n  func.return\n}}\n")
    command = f"{sys.executable} -m swkpu.tools.swkpu_opt {file} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("builtin.module {\n", "")


def test_split_input_goes_on_after_an_error(tmp_path: Path) -> None:
    file = tmp_path / "in.mlir"
    file.write_text(f"{RELU}// -----\n%0 = nope\n// -----\n{RELU}")
    outcome = run("swkpu_opt", file, "--split-input-file")
    assert outcome.code == 1
    assert outcome.out.count("nn.relu") == 2
    assert outcome.err.startswith(f"error: {file}:6:6: there is no op nope")
    outcome = run("swkpu_opt", file, "--split-input-file", "--verify-diagnostics")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("// -----") == 2


# ---- translate ----


def test_translate_exit_codes(tmp_path: Path) -> None:
    file = tmp_path / "in.mlir"
    file.write_text(RELU)
    assert run("swkpu_translate").code == 2
    assert run("swkpu_translate", "--mlir-to-kpu", file).code == 2
    assert run("swkpu_translate", "--mlir-to-kpu", file, "-o", tmp_path / "a.kpu", "--target", "nope").code == 1
    assert run("swkpu_translate", "--mlir-to-kpu", tmp_path / "no.mlir", "-o", tmp_path / "a.kpu").code == 1
    done = run("swkpu_translate", "--mlir-to-kpu", file, "-o", tmp_path / "a.kpu", "--precision", "bf16")
    assert done == Outcome(0, "", "")
    (tmp_path / "cut.kpu").write_bytes((tmp_path / "a.kpu").read_bytes()[:-100])
    cut = run("swkpu_translate", "--kpu-to-asm", tmp_path / "cut.kpu")
    assert cut.code == 1
    assert cut.err.startswith("error: ")
    assert "truncated" in cut.err


def test_the_same_program_every_time(tmp_path: Path) -> None:
    file = tmp_path / "in.mlir"
    file.write_text(RELU)
    for name in ("a.kpu", "b.kpu"):
        assert run("swkpu_translate", "--mlir-to-kpu", file, "-o", tmp_path / name, "--precision", "bf16").code == 0
    assert (tmp_path / "a.kpu").read_bytes() == (tmp_path / "b.kpu").read_bytes()


# ---- pipelines ----


def names(text: str) -> list[str]:
    return [p.name for p in parse_pipeline(text)]


def test_both_ways_to_write_a_pipeline() -> None:
    expected = ["df-fuse", "df-choose-mapping"]
    assert names("df-fuse,df-choose-mapping{target=kpu-t64}") == expected
    assert names(" builtin.module( func.func( df-fuse ) , df-choose-mapping{ target=kpu-t64 } ) ") == expected
    assert names("any(builtin.module(df-fuse)),df-choose-mapping") == expected
    assert names("") == names("builtin.module()") == []


@pytest.mark.parametrize("target", ["./my machine.toml", "/a/b=c,d.toml", 'q"uote\\.toml'])
def test_option_values_can_be_quoted(target: str) -> None:
    quoted = target.replace("\\", "\\\\").replace('"', '\\"')
    (p,) = parse_pipeline(f'df-choose-mapping{{target="{quoted}"}}')
    assert p == PASSES["df-choose-mapping"]()(target=target)


def test_paths_need_no_quotes() -> None:
    (p,) = parse_pipeline("df-choose-mapping{target=../machines/my-t64.toml profile=6}")
    assert p == PASSES["df-choose-mapping"]()(target="../machines/my-t64.toml", profile="6")


@pytest.mark.parametrize(
    "text", ["a{", "{", "df-fuse)", "df-fuse}", "df-fuse(", "df-fuse{a=}", "df-fuse{=1}", ",", "é"]
)
def test_broken_pipelines(text: str) -> None:
    with pytest.raises(PipelineError):
        parse_pipeline(text)


def test_the_default_pipeline_by_name() -> None:
    by_name = parse_pipeline("swkpu-default{target=kpu-t256 precision=fp16}")
    assert by_name == default_pipeline("kpu-t256", None, "fp16")
    assert [p.name for p in by_name][-1] == "kpu-verify"
    assert expand(by_name[0]) == [by_name[0]]


def test_every_pass_has_its_name_and_a_summary() -> None:
    for name, factory in PASSES.items():
        cls = factory()
        assert cls.name == name
        assert cls.__doc__
        assert not cls.__doc__.startswith(cls.__name__), f"{name} has no docstring of its own"


def test_what_is_left_to_do(tmp_path: Path) -> None:
    assert remaining_names(parse_text(RELU, "r")) == [p.name for p in default_pipeline("kpu-t64", None, None)]
    module = parse_text(RELU, "r")
    for p in default_pipeline("kpu-t64", None, "bf16"):
        p.apply(context(), module)
        left = remaining_names(module)
        if p.name.startswith(("df-choose-mapping", "convert-df", "kpu-assign")):
            assert left == [q.name for q in default_pipeline("kpu-t64")][-len(left) :]
            assert p.name not in left
        if p.name in ("kpu-schedule", "kpu-verify"):
            assert left == ["kpu-verify"]


def remaining_names(module: ModuleOp) -> list[str]:
    return [p.name for p in remaining_pipeline(module, "kpu-t64")]


def context() -> Context:
    return make_context()


# ---- reading and writing ----


def test_errors_carry_position_line_and_carets() -> None:
    with pytest.raises(IRError) as caught:
        parse_text("func.func @main() {\n  nn.relo\n}", "model.mlir")
    lines = str(caught.value).splitlines()
    assert lines == ["model.mlir:2:3: error: there is no op nn.relo; did you mean nn.relu?", "  nn.relo", "  ^^^^^^^"]


def test_tabs_before_the_carets_stay_tabs() -> None:
    with pytest.raises(IRError) as caught:
        parse_text("func.func @main() {\n\t\tnope.op\n}", "model.mlir")
    assert str(caught.value).splitlines()[1:] == ["\t\tnope.op", "\t\t^^^^^^^"]


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    with pytest.raises(IRError):
        parse_text('"a.b"() : () -> tuple<' + "tuple<" * 5000, "deep.mlir", context=context())


def test_weights_follow_the_module(tmp_path: Path) -> None:
    text = """func.func @main() -> tensor<17xf32> {
      %a = "nn.constant"() <{value = dense<1.5> : tensor<17xf32>}> : () -> tensor<17xf32>
      %0 = nn.neg %a : tensor<17xf32>
      func.return %0 : tensor<17xf32>
    }"""
    module = parse_text(text, "t")
    NnFoldConstantsPass().apply(context(), module)
    write_module(module, tmp_path / "a.mlir", debuginfo=False)
    assert (tmp_path / "a.safetensors").exists()
    again = parse_file(tmp_path / "a.mlir")
    assert module_text(again) == (tmp_path / "a.mlir").read_text() == module_text(module)
    (tmp_path / "sub").mkdir()
    write_module(again, tmp_path / "sub" / "b.mlir", weights_directory=tmp_path)
    assert (tmp_path / "sub" / "b.safetensors").read_bytes() == (tmp_path / "a.safetensors").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mlir", "a.safetensors", "sub"]
