"""Sixty operators of torch's own operator tests, in every form that those give: compiled, simulated, equal to eager.

`python -m benchmarks conformance --level kpu` tries all of them, with more samples.
"""

import pytest

pytest.importorskip("expecttest", reason="torch's operator tests need it")

from benchmarks.conformance import conformance, on_kpu

OPERATORS = [
    "abs",
    "add",
    "addcmul",
    "atan2",
    "clamp",
    "div_floor_rounding",
    "eq",
    "erf",
    "exp",
    "fmod",
    "isnan",
    "lerp",
    "logical_not",
    "maximum",
    "mul",
    "pow",
    "remainder",
    "round",
    "sigmoid",
    "sub",
    "tanh",
    "to",
    "where",
    "all",
    "amax",
    "any",
    "argmax",
    "cumsum",
    "logsumexp",
    "mean",
    "prod",
    "std",
    "sum",
    "topk",
    "var",
    "addmm",
    "baddbmm",
    "bmm",
    "matmul",
    "nn_functional_conv1d",
    "nn_functional_conv2d",
    "nn_functional_conv_transpose2d",
    "nn_functional_linear",
    "nn_functional_avg_pool2d",
    "nn_functional_gelu",
    "nn_functional_group_norm",
    "nn_functional_interpolate_nearest",
    "nn_functional_layer_norm",
    "nn_functional_max_pool2d",
    "nn_functional_silu",
    "softmax",
    "cat",
    "expand",
    "flip",
    "gather",
    "index_select",
    "permute",
    "repeat",
    "roll",
    "slice",
    "split",
    "stack",
    "take_along_dim",
    "transpose",
    "unsqueeze",
]


def test_the_list() -> None:
    assert len(OPERATORS) == len(set(OPERATORS)) >= 60


@pytest.mark.parametrize("name", OPERATORS)
def test_operator(name: str) -> None:
    outcomes = list(conformance(on_kpu, 3, [f"={name}"]))
    assert outcomes
    assert {o.name: o.verdict for o in outcomes} == {o.name: "whole" for o in outcomes}
