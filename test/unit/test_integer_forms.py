"""Random networks in Q/DQ form: integers are nearest to the formula in f64, to a step, and the same at every level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from quantized_nets import TARGETS, Array, at_nn, converted, run_levels
from random_quantized_nets import OPERATORS, Chain, Stored, chain

from swkpu.dialects import nn

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
NAMES = st.lists(st.sampled_from(OPERATORS), min_size=1, max_size=6)
SEEDS = st.integers(0, 1 << 20)


def check_near(made: Chain, values: Sequence[Array]) -> None:
    """Every stored value against the formula of the stored values before it."""
    reals, stored = list[torch.Tensor](), iter(values)
    for step in made.steps:
        operands = [reals[i] for i in step.operands]
        if isinstance(step.formula, Stored):
            own = torch.from_numpy(next(stored).astype(np.float64))
            assert (own - step.formula.ideal(operands[0])).abs().max() <= step.formula.allowed
            reals.append(step.formula.reals(own))
        else:
            reals.append(step.formula(*operands) if operands else torch.from_numpy(made.input).double())


def all_stored(made: Chain) -> list[Array]:
    made.store()
    return at_nn(converted(made.net.module(*made.quantized)), [made.input])


@settings(SETTINGS, max_examples=200)
@given(NAMES, SEEDS)
def test_nearest(names: list[str], seed: int) -> None:
    made = chain(names, seed)
    check_near(made, all_stored(made))


@pytest.mark.parametrize("name", OPERATORS)
def test_each_operator(name: str) -> None:
    for seed in range(6):
        made = chain([name], seed)
        check_near(made, all_stored(made))


@settings(SETTINGS, max_examples=40)
@given(NAMES, SEEDS, st.sampled_from(TARGETS))
def test_every_level(names: list[str], seed: int, target: str) -> None:
    values = all_stored(chain(names, seed))
    made = chain(names, seed)
    levels = run_levels(made.result(), [made.input], target)
    if "batch_norm" not in names:  # which the pipeline folds first, in f32
        np.testing.assert_array_equal(levels.nn[0], values[-1])
    levels.check_equal()


FOUND: list[tuple[list[str], int]] = [
    (["subtract_from_constant"], 14),
    (["clamp", "rms_norm", "softmax"], 47),
    (["group_norm"], 55),
    (["permute", "gate", "layer_norm", "function", "group_norm", "function"], 24),
    (["squeeze", "maximum_constant", "mean", "group_norm", "clamp", "clamp"], 27),
    (["add_constant", "permute", "add_constant", "group_norm"], 317),
    (["relu", "squeeze", "clamp"], 902),
    (["multiply_constant", "softmax", "clamp", "relu", "max_pool"], 924),
    (["slice", "squeeze", "depthwise", "rms_norm"], 1023),
    (["linear", "rms_norm", "clamp", "layer_norm", "clamp", "conv_transpose"], 1167),
    (["rms_norm", "negate", "conv_transpose", "clamp", "linear", "group_norm"], 3306),
    (["rms_norm", "mean", "group_norm", "clamp", "multiply"], 3574),
]


@pytest.mark.parametrize(("names", "seed"), FOUND)
def test_found_before(names: list[str], seed: int) -> None:
    """What once went wrong: coarse constants, clamps of clamps and beyond all values, scaled tensors as floats."""
    made = chain(names, seed)
    check_near(made, all_stored(made))


@pytest.mark.parametrize("names", [["conv", "relu"], ["add"], ["matmul"], ["average_pool"], ["squeeze"], ["concat"]])
def test_no_floats_are_left(names: list[str]) -> None:
    module = converted(chain(names, 3).result())
    assert not any(isinstance(op, nn.DequantizeOp | nn.QuantizeOp) for op in module.walk())
