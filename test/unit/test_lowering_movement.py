"""Windows, resizing and data movement: every level computes what nn says, on two machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from op_levels import at_df, at_kpu_and_binary, at_nn
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, Region, SSAValue

from swkpu.dialects import df, nn
from swkpu.interp import run_module
from swkpu.passes.pipeline import default_pipeline
from swkpu.types import f32

Build = Callable[..., Operation]


def tensors(*shapes: Sequence[int], seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(tuple(s), generator=generator) for s in shapes]


def check_levels(build: Build, inputs: Sequence[torch.Tensor], target: str, exact: bool) -> None:
    """df agrees with nn (`exact`, or within the rounding of sums); kpu and binary agree with df in the same way, and
    with each other bit for bit.
    """
    expected, lowered = at_nn(build, *inputs), at_df(build, *inputs)
    kpu, binary = (torch.from_numpy(np.asarray(a)) for a in at_kpu_and_binary(build, *inputs, target=target))
    assert torch.equal(kpu, binary)
    for value in (lowered, kpu):
        if exact:
            assert torch.equal(value, expected)
        else:
            torch.testing.assert_close(value, expected, rtol=2e-6, atol=2e-6 * float(expected.abs().max()))


WINDOWS: dict[str, tuple[list[tuple[int, ...]], Build]] = {
    "grouped": ([(2, 8, 9, 11), (12, 4, 3, 3)], lambda x, w: nn.Conv2dOp(x, w, (2, 1), (1, 1, 0, 1), (1, 2), 2)),
    "depthwise, two results a channel": (
        [(2, 6, 9, 11), (12, 1, 3, 3)],
        lambda x, w: nn.Conv2dOp(x, w, (1, 1), (1, 1, 1, 1), (1, 1), 6),
    ),
    "3-d": ([(1, 4, 5, 9, 11), (8, 4, 3, 3, 3)], lambda x, w: nn.Conv3dOp(x, w, (1, 2, 1), (1, 1, 1, 1, 0, 0))),
    "3-d grouped": (
        [(1, 4, 5, 9, 11), (8, 2, 2, 3, 3)],
        lambda x, w: nn.Conv3dOp(x, w, (1, 2, 1), (1, 1, 1, 1, 0, 0), None, 2),
    ),
    "transposed 2, stride 2": ([(1, 8, 7, 7), (8, 6, 2, 2)], lambda x, w: nn.ConvTranspose2dOp(x, w, (2, 2))),
    "transposed 3, stride 2": (
        [(1, 8, 7, 7), (8, 6, 3, 3)],
        lambda x, w: nn.ConvTranspose2dOp(x, w, (2, 2), (1, 1, 1, 1), (1, 1)),
    ),
    "transposed, stride 3, dilation 2, groups": (
        [(1, 8, 7, 7), (8, 6, 3, 3)],
        lambda x, w: nn.ConvTranspose2dOp(x, w, (3, 3), (1, 1, 1, 1), (1, 1), (2, 2), 2),
    ),
    "transposed with holes": ([(1, 8, 7, 7), (8, 6, 1, 1)], lambda x, w: nn.ConvTranspose2dOp(x, w, (2, 2))),
    "transposed 3-d": ([(1, 4, 3, 5, 5), (4, 6, 2, 3, 3)], lambda x, w: nn.ConvTranspose3dOp(x, w, (2, 2, 1))),
    "average 3-d": (
        [(1, 4, 6, 8, 8)],
        lambda x: nn.AvgPool3dOp(x, (2, 3, 3), (2, 2, 2), (0, 0, 1, 1, 1, 1), False, False),
    ),
    "adaptive average": ([(1, 4, 7, 10)], lambda x: nn.AdaptiveAvgPool2dOp(x, (3, 4))),
    "bilinear": ([(1, 4, 7, 10)], lambda x: nn.ResizeOp(x, "linear", (14, 25))),
    "bilinear, corners": ([(1, 4, 7, 10)], lambda x: nn.ResizeOp(x, "linear", (14, 25), True)),
    "bicubic": ([(1, 4, 7, 10)], lambda x: nn.ResizeOp(x, "cubic", (5, 25))),
    "trilinear": ([(1, 2, 3, 4, 5)], lambda x: nn.ResizeOp(x, "linear", (6, 4, 7))),
}
"""Operators that sum: input shapes, and how the op is made."""

MOVES: dict[str, tuple[list[tuple[int, ...]], Build]] = {
    "max 3-d": ([(1, 4, 6, 8, 8)], lambda x: nn.MaxPool3dOp(x, (2, 3, 3), (2, 2, 2), (0, 0, 1, 1, 1, 1))),
    "adaptive max": ([(1, 4, 7, 10)], lambda x: nn.AdaptiveMaxPool2dOp(x, (3, 4))),
    "nearest, whole": ([(1, 4, 7, 10)], lambda x: nn.ResizeOp(x, "nearest", (14, 30))),
    "nearest, ragged": ([(1, 4, 7, 10)], lambda x: nn.ResizeOp(x, "nearest", (5, 14))),
    "nearest-exact": ([(1, 4, 7, 10)], lambda x: nn.ResizeOp(x, "nearest-exact", (9, 4))),
    "permute": ([(2, 6, 4, 5)], lambda x: nn.PermuteOp(x, (2, 0, 3, 1))),
    "slice": ([(2, 6, 9, 10)], lambda x: nn.SliceOp(x, (0, 1, 2, 3), (2, 4, 3, 3), (1, 1, 2, 2))),
    "concat": ([(2, 6, 5), (2, 3, 5), (2, 1, 5)], lambda *xs: nn.ConcatOp(xs, 1)),
    "concat of one twice": ([(2, 6, 5)], lambda x: nn.ConcatOp([x, x], 2)),
    "pad": ([(2, 6, 9, 10)], lambda x: nn.PadOp(x, (0, 0, 1, 2), (0, 1, 2, 0), 1.5)),
    "expand": ([(2, 1, 9, 1)], lambda x: nn.ExpandOp(x, (2, 5, 9, 7))),
    "insert": ([(2, 6, 9, 10), (2, 2, 4, 5)], lambda x, y: nn.InsertSliceOp(x, y, (0, 2, 1, 1), (1, 1, 2, 2))),
    "flip": ([(3, 5, 4)], lambda x: nn.FlipOp(x, (0, 2))),
}
"""Operators that only choose or move elements."""


@pytest.mark.parametrize("target", ["kpu-t64", "swkpu-v1"])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str, target: str) -> None:
    shapes, build = WINDOWS[name]
    check_levels(build, tensors(*shapes), target, exact=False)


@pytest.mark.parametrize("target", ["kpu-t64", "kpu-sim"])
@pytest.mark.parametrize("name", MOVES)
def test_moves(name: str, target: str) -> None:
    shapes, build = MOVES[name]
    check_levels(build, tensors(*shapes), target, exact=True)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool, torch.bfloat16])
@pytest.mark.parametrize("name", ["slice", "concat", "expand", "insert", "permute"])
def test_moves_of_other_types(name: str, dtype: torch.dtype) -> None:
    shapes, build = MOVES[name]
    inputs = [(x * 100).to(dtype) if dtype is not torch.bool else x > 0 for x in tensors(*shapes)]
    if dtype is torch.bfloat16:
        expected = at_nn(build, *inputs)
        assert torch.equal(at_df(build, *inputs), expected)
        return
    check_levels(build, inputs, "kpu-t64", exact=True)


@pytest.mark.parametrize(
    ("shape", "dim", "chosen"),
    [((30, 16), 0, (2, 7)), ((3, 30, 4), 1, (5,)), ((4, 9), 1, ()), ((6, 2, 3), 0, (2, 1, 3))],
)
def test_take(shape: tuple[int, ...], dim: int, chosen: tuple[int, ...]) -> None:
    (x,) = tensors(shape)
    indices = torch.randint(0, shape[dim], chosen, dtype=torch.int32, generator=torch.Generator().manual_seed(1))
    check_levels(lambda x, i: nn.TakeOp(x, i, dim), [x, indices], "kpu-t64", exact=True)


@pytest.mark.parametrize(("shape", "dim", "chosen"), [((3, 30, 4), 1, (2, 5, 4)), ((7,), 0, (9,)), ((3, 4), 0, (5, 2))])
def test_gather(shape: tuple[int, ...], dim: int, chosen: tuple[int, ...]) -> None:
    (x,) = tensors(shape)
    indices = torch.randint(0, shape[dim], chosen, dtype=torch.int32, generator=torch.Generator().manual_seed(1))
    check_levels(lambda x, i: nn.GatherOp(x, i, dim), [x, indices], "kpu-t64", exact=True)


# ---- what the passes make of several -------------------------------------------------------------------------------


def compiled(shapes: Sequence[Sequence[int]], make: Callable[..., list[Operation]]) -> tuple[ModuleOp, torch.Tensor]:
    """A function of several ops, lowered and mapped, and what nn says it gives for random inputs."""
    block = Block(arg_types=[TensorType(f32, s) for s in shapes])
    ops = make(*block.args)
    block.add_ops([*ops, ReturnOp(ops[-1].results[0])])
    types = FunctionType.from_lists([a.type for a in block.args], [ops[-1].results[0].type])
    module = ModuleOp([FuncOp("main", types, Region(block))])
    inputs = tensors(*shapes)
    expected = run_module(module, inputs)[0]
    from xdsl.context import Context

    for p in default_pipeline("kpu-t64", None, None, "df"):
        p.apply(Context(), module)
    module.verify()
    torch.testing.assert_close(run_module(module, inputs)[0], expected, rtol=1e-5, atol=1e-5)
    return module, expected


def kinds(module: ModuleOp) -> list[str]:
    return [op.name.removeprefix("df.") for op in module.walk() if op.name.startswith("df.") and op.name != "df.yield"]


def dense_block(x: SSAValue, first: SSAValue, second: SSAValue) -> list[Operation]:
    a = nn.ReluOp(x)
    b = nn.Conv2dOp(a.result, first, None, (1, 1, 1, 1))
    ab = nn.ConcatOp([a.result, b.result], 1)
    c = nn.Conv2dOp(ab.result, second, None, (1, 1, 1, 1))
    return [a, b, ab, c, nn.ConcatOp([a.result, b.result, c.result], 1)]


def test_a_dense_block_is_written_once() -> None:
    """Both concatenations are one tensor; its three makers write into it and nothing is copied."""
    module, _ = compiled([(1, 8, 6, 6), (8, 8, 3, 3), (8, 16, 3, 3)], dense_block)
    recurrences = [op for op in module.walk() if isinstance(op, df.RecurrenceOp)]
    assert kinds(module).count("empty") == 1
    assert [r.destination is not None for r in recurrences] == [True, True, True]


def test_a_channel_shuffle_is_one_write() -> None:
    """Reshape, transpose and reshape between convolutions: one recurrence that moves elements, and no reshape."""

    def shuffle(x: SSAValue, w: SSAValue) -> list[Operation]:
        a = nn.Conv2dOp(x, w)
        split = nn.ReshapeOp(a.result, (2, 2, 4, 5, 6))
        turned = nn.PermuteOp(split.result, (0, 2, 1, 3, 4))
        merged = nn.ReshapeOp(turned.result, (2, 8, 5, 6))
        return [a, split, turned, merged, nn.Conv2dOp(merged.result, w)]

    module, _ = compiled([(2, 8, 5, 6), (8, 8, 1, 1)], shuffle)
    assert kinds(module).count("recurrence") == 3
    assert "reshape" not in kinds(module)


def test_heads_of_an_attention_are_not_copied() -> None:
    def attention(x: SSAValue, w: SSAValue) -> list[Operation]:
        q = nn.LinearOp(x, w)
        heads = nn.ReshapeOp(q.result, (2, 9, 3, 8))
        each = nn.PermuteOp(heads.result, (0, 2, 1, 3))
        keys = nn.PermuteOp(each.result, (0, 1, 3, 2))
        scores = nn.MatmulOp(each.result, keys.result)
        mixed = nn.MatmulOp(scores.result, each.result)
        back = nn.PermuteOp(mixed.result, (0, 2, 1, 3))
        joined = nn.ReshapeOp(back.result, (2, 9, 24))
        return [q, heads, each, keys, scores, mixed, back, joined, nn.LinearOp(joined.result, w)]

    module, _ = compiled([(2, 9, 24), (24, 24)], attention)
    assert kinds(module).count("recurrence") == 4
    assert not {"copy", "reshape"} & set(kinds(module))
