"""Models that PyTorch quantized, in our integers: op by op on PyTorch's own inputs, and as a whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import ceil
from typing import Any

import pytest
import torch
from pt2e_segments import differences
from torch.export import ExportedProgram

import swkpu
from benchmarks.quantization.pytorch import Tensors, quantized, x86, xnnpack
from swkpu import zoo
from swkpu.report.compare import compare

SHAPE = (1, 3, 96, 96)
"""The last features are 3 by 3. A mean of an even number of elements at an unchanged scale often ends in exactly one
half, which TOSA rounds up and PyTorch to even."""
MOST_DIFFERENT = 0.001
"""Of all elements of all ops' results, those that may differ by one step."""
MOST_OF_ONE_OP = 0.001
"""Of those of one op. Depthwise convolutions differ most: a bias is rounded to the scale of their few products."""
SQNR_DB = 0.5
"""How far the whole model's SQNR may be from PyTorch's."""
QUANTIZERS: dict[str, Callable[[], Any]] = {"xnnpack": xnnpack, "x86": x86}
CASES = [("resnet18", "xnnpack"), ("mobilenet_v2", "xnnpack"), ("mobilenet_v2", "x86")]


def batches(count: int, seed: int = 0) -> list[Tensors]:
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(SHAPE, generator=generator),) for _ in range(count)]


@cache
def program(model: str, quantizer: str) -> ExportedProgram:
    graph = quantized(zoo.build(model), batches(8), QUANTIZERS[quantizer]())
    with torch.no_grad():
        return torch.export.export(graph, batches(1)[0])


@pytest.mark.parametrize(("model", "quantizer"), CASES)
def test_op_by_op(model: str, quantizer: str):
    found = differences(program(model, quantizer), batches(1, seed=1)[0])
    assert len(found) > 15
    for difference in found:
        assert difference.step <= 1, difference
        assert difference.count <= ceil(MOST_OF_ONE_OP * difference.elements), difference
    assert sum(d.count for d in found) < MOST_DIFFERENT * sum(d.elements for d in found)


@pytest.mark.parametrize(("model", "quantizer"), CASES)
def test_whole_model(model: str, quantizer: str):
    executable = swkpu.compile(program(model, quantizer), target="kpu-t64", precision="int8")
    eager, theirs = zoo.build(model), program(model, quantizer).module(check_guards=False)
    inputs = batches(4, seed=2)
    with torch.no_grad():
        expected = [eager(*x).numpy() for x in inputs]
        pytorch = compare([theirs(*x).numpy() for x in inputs], expected)
    ours = compare([executable(*x).numpy() for x in inputs], expected)
    assert ours.sqnr_db is not None and pytorch.sqnr_db is not None
    assert abs(ours.sqnr_db - pytorch.sqnr_db) <= SQNR_DB
