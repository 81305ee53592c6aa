"""Cross-layer equalization: it evens out channels, and what a function computes stays the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantized_nets import Array, Net, at_nn, entry
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.dialects.nn import RangeAttr, set_range, shape_of
from swkpu.errors import IRError
from swkpu.interp.constants import constant_array
from swkpu.passes.nn_equalize import Link, NnEqualizePass, link_from
from swkpu.quant.equalization import SETTLED, equalizing_factors

BETWEEN = ("relu", "max pool", "average pool", "pad", "bias")


class Chain(Net):
    """Layers of weights whose channels differ by orders of magnitude."""

    def __init__(self, shape: tuple[int, ...], seed: int):
        super().__init__(shape)
        self.random = np.random.default_rng(seed)
        self.value: SSAValue = self.inputs[0]

    def weights(self, *shape: int) -> SSAValue:
        spread = 10 ** self.random.uniform(-2, 2, (shape[0], *(1,) * (len(shape) - 1)))
        return self.constant(spread * self.random.normal(size=shape))

    def conv(self, outputs: int, groups: int, size: int) -> None:
        weight = self.weights(outputs, shape_of(self.value)[1] // groups, size, size)
        self.value = self(nn.Conv2dOp(self.value, weight, padding=(size // 2,) * 4, groups=groups))

    def linear(self, outputs: int) -> None:
        self.value = self(nn.LinearOp(self.value, self.weights(outputs, shape_of(self.value)[-1])))

    def step(self, kind: str) -> None:
        if "pool" in kind and min(shape_of(self.value)[2:]) < 2:
            return
        x, channels = self.value, shape_of(self.value)[1]
        match kind:
            case "relu":
                op = nn.ReluOp(x)
            case "max pool":
                op = nn.MaxPool2dOp(x, (2, 2), (1, 1))
            case "average pool":
                op = nn.AvgPool2dOp(x, (2, 2), (1, 1))
            case "pad":
                op = nn.PadOp(x, (0, 0, 1, 0), (0, 0, 0, 1), 0.0)
            case _:
                op = nn.AddOp(x, self.constant(self.random.normal(size=(channels, 1, 1))))
        self.value = self(op)

    def flatten(self) -> None:
        n, *rest = shape_of(self.value)
        self.value = self(nn.ReshapeOp(self.value, (n, int(np.prod(rest)))))


def equalized(module: ModuleOp) -> ModuleOp:
    module = module.clone()
    NnEqualizePass().apply(Context(), module)
    module.verify()
    return module


def links(module: ModuleOp) -> list[Link]:
    return [link for op in entry(module).body.block.ops if (link := link_from(op)) is not None]


def largest_weights(link: Link) -> tuple[Array, Array]:
    """By channel, at the first layer and at the second."""
    first, second = constant_array(link.first.weight), constant_array(link.second.weight)
    groups = link.second.window[3] if isinstance(link.second, nn.Conv2dOp) else 1
    read = np.abs(second).reshape(groups, len(second) // groups, second.shape[1] // link.run, -1).max((1, 3))
    return np.abs(first).reshape(len(first), -1).max(1), read.reshape(-1)


def check_even(first: Array, second: Array) -> None:
    """A factor that all channels share may be left."""
    ratio = np.log(first / second)
    assert np.ptp(ratio) <= 10 * SETTLED


@settings(deadline=None, max_examples=40)
@given(
    layers=st.lists(
        st.tuples(st.sampled_from(["dense", "depthwise", "grouped"]), st.lists(st.sampled_from(BETWEEN), max_size=3)),
        min_size=2,
        max_size=4,
    ),
    head=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_the_function_stays_the_same(layers, head: bool, seed: int) -> None:
    net = Chain((2, 4, 8, 8), seed)
    for kind, between in layers:
        net.conv(
            8 if kind == "dense" else shape_of(net.value)[1],
            *{"dense": (1, 3), "depthwise": (shape_of(net.value)[1], 3), "grouped": (2, 1)}[kind],
        )
        for step in between:
            net.step(step)
    if head:
        net.flatten()
        net.linear(5)
    module = net.module(net.value)
    after = equalized(module)
    x = np.random.default_rng(seed).normal(size=(2, 4, 8, 8)).astype(np.float32)
    (expected,), (found,) = at_nn(module, [x]), at_nn(after, [x])
    scale = np.abs(expected).max(tuple(d for d in range(expected.ndim) if d != 1), keepdims=True)
    # What was rounded to 2^-24 of a sum may be left of one whose terms, 10^4 apart by channel, cancel.
    assert (np.abs(found - expected) <= 1e-3 * scale + 1e-30).all()
    assert len(links(after)) == len(layers) - 1 + head
    for link in links(after):
        check_even(*largest_weights(link))


def test_a_chain_settles() -> None:
    """The links of a chain depend on each other: the middle layer has factors on both sides."""
    random = np.random.default_rng(0)
    layers = [np.abs(random.normal(size=(1, o, i))) * 10 ** random.uniform(-3, 3, (1, o, 1)) for o, i in
              ((16, 3), (16, 16), (16, 16), (4, 16))]  # fmt: skip
    factors = equalizing_factors(layers, [(0, 1), (1, 2), (2, 3)])
    for n in range(3):
        left = layers[n] * (factors[n - 1] if n else 1) / factors[n][:, None]
        right = layers[n + 1] * factors[n] / (factors[n + 1][:, None] if n < 2 else 1)
        check_even(left.max(2)[0], right.max(1)[0])


def test_a_channel_that_is_not_used_keeps_its_scale() -> None:
    first, second = np.ones((1, 4, 2)), np.ones((1, 2, 4))
    first[0, 0], second[0, :, 1], first[0, 2] = 0, 0, 16
    (factors,) = equalizing_factors([first, second], [(0, 1)])
    np.testing.assert_allclose(factors, [1, 1, 2, 0.5])


def test_linear_layers_of_sequences() -> None:
    net = Chain((2, 5, 6), 1)
    net.linear(8)
    net.value = net(nn.AddOp(net.constant(np.ones(8)), net.value))
    net.value = net(nn.ReluOp(net.value))
    net.linear(3)
    module = net.module(net.value)
    after = equalized(module)
    check_even(*largest_weights(links(after)[0]))
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    np.testing.assert_allclose(at_nn(after, [x])[0], at_nn(module, [x])[0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("op", [nn.SiluOp, nn.SigmoidOp, lambda x: nn.ClampOp(x, 0.0, 6.0)])
def test_other_functions_end_a_chain(op) -> None:
    net = Chain((1, 4, 5, 5), 0)
    net.conv(4, 1, 1)
    net.value = net(op(net.value))
    net.conv(4, 1, 1)
    assert not links(net.module(net.value))


def test_ranges_are_for_later() -> None:
    net = Chain((1, 4), 0)
    net.linear(4)
    module = net.module(net.value)
    set_range(entry(module).args[0], RangeAttr.of(-1.0, 1.0))
    with pytest.raises(IRError, match="calibrate after it"):
        equalized(module)
