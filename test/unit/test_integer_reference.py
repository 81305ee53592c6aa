"""Small quantized networks at every level, against plain numpy written from the formulas: equal to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import integer_reference as ref
import numpy as np
import pytest
from integer_reference import Q
from quantized_nets import TARGETS, Array, Net, converted, run_levels
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.dialects.value_range import RangeAttr, set_range
from swkpu.interp.constants import constant_array

Factors = list[tuple[int, int]]


@dataclass
class Case:
    """A network in Q/DQ form, its inputs, and its stored results, given the rescales that the compiler chose."""

    module: ModuleOp
    inputs: list[Array]
    expected: Callable[[list[Factors]], list[Array]]
    precision: str = "int8"


def factors_of(module: ModuleOp) -> list[Factors]:
    """Multiplier and shift of every rescale, in program order."""
    found: list[Factors] = []
    for op in module.walk():
        if isinstance(op, nn.RescaleOp):
            m, s = constant_array(op.multiplier), constant_array(op.shift)
            assert m is not None and s is not None
            found.append([(int(a), int(b)) for a, b in zip(*(v.reshape(-1) for v in np.broadcast_arrays(m, s)))])
    return found


def ratios(factors: Factors) -> Array:
    return np.array([m / 2**s for m, s in factors])


def rng_of(*seed: Any) -> np.random.Generator:
    return np.random.default_rng([sum(map(ord, str(s))) for s in seed] or 0)


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Array:
    return (rng.normal(size=shape) * scale).astype(np.float32)


@dataclass
class Layer:
    """A weight of random integers with a scale by output channel, and a bias."""

    shape: tuple[int, ...]
    seed: int
    bits: int = 8
    window: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        rng = rng_of(self.seed, self.shape)
        low, high = (-128, 127) if self.bits == 8 else (-8, 7)
        self.w = rng.integers(low, high + 1, self.shape)
        self.w[0, :1] = low
        self.s = rng.uniform(0.2, 1, self.shape[0]).astype(np.float32) / np.float32(
            high * np.prod(self.shape[1:]) ** 0.5
        )
        self.b = normal(rng, self.shape[0])

    def build(self, net: Net, x: SSAValue) -> SSAValue:
        w = net.weight(self.w, self.s, bits=self.bits)
        if len(self.shape) == 2:
            return net(nn.AddOp(net(nn.LinearOp(x, w)), net.constant(self.b)))
        y = net(nn.Conv2dOp(x, w, **self.window))
        return net(nn.AddOp(y, net.constant(self.b.reshape(-1, 1, 1))))

    def scales(self, x: Q) -> Array:
        return x.scale * self.s.astype(np.float64)

    def sums(self, x: Array, q: Q) -> Array:
        """With the bias, in steps of `scales`."""
        b = ref.bias(self.b, self.scales(q))
        if len(self.shape) == 2:
            return ref.linear(x, self.w, q.zero) + b
        return ref.conv2d(x, self.w, q.zero, **self.window) + b.reshape(-1, 1, 1)

    def stored(self, x: Array, q: Q, to: Q, low: float = -np.inf, high: float = np.inf) -> Array:
        """With the bias, clamped, as another tensor stores it."""
        products = (
            ref.linear(x, self.w, q.zero) if len(self.shape) == 2 else ref.conv2d(x, self.w, q.zero, **self.window)
        )
        sums, scales = ref.with_bias(products, self.w, self.b, self.scales(q), q, to.scale)
        column = scales.reshape(-1, *(1,) * (len(self.shape) - 2))
        clamped = np.clip(sums, np.rint(low / column), np.rint(high / column)).astype(np.int64)
        return ref.requantize(clamped, scales, to, self.axis)

    @property
    def axis(self) -> int:
        return 1 if len(self.shape) == 4 else -1


# ---- convolutions and linear layers --------------------------------------------------------------------------------


def conv_relu(zero: int, after: int) -> Case:
    x, y = Q(0.021, zero), Q(0.013, after)
    layer = Layer((9, 5, 3, 3), 1, window={"stride": (2, 1), "padding": (1, 2, 0, 1), "dilation": (1, 2)})
    net = Net((2, 5, 11, 12))
    out = net(nn.ReluOp(layer.build(net, net.stored(net.inputs[0], x.scale, x.zero))))
    inputs = [normal(rng_of(zero), 2, 5, 11, 12)]

    def expected(_: list[Factors]) -> list[Array]:
        return [layer.stored(x.store(inputs[0]), x, y, low=0)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def int4_conv() -> Case:
    x, y = Q(0.02, 3), Q(0.04, -7)
    layer = Layer((12, 8, 3, 3), 2, bits=4, window={"padding": (1, 1, 1, 1), "groups": 1})
    net = Net((1, 8, 9, 9))
    out = layer.build(net, net.stored(net.inputs[0], x.scale, x.zero))
    inputs = [normal(rng_of(4), 1, 8, 9, 9)]

    def expected(_: list[Factors]) -> list[Array]:
        return [layer.stored(x.store(inputs[0]), x, y)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected, "int4")


def linear_layers() -> Case:
    x, h, y = Q(0.02, -20), Q(0.02, 5), Q(0.015, 0)
    first, second = Layer((33, 40), 3), Layer((10, 33), 4, bits=4)
    net = Net((5, 40))
    hidden = net.stored(first.build(net, net.stored(net.inputs[0], x.scale, x.zero)), h.scale, h.zero)
    out = second.build(net, hidden)
    inputs = [normal(rng_of(5), 5, 40)]

    def expected(_: list[Factors]) -> list[Array]:
        return [second.stored(first.stored(x.store(inputs[0]), x, h), h, y)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def grouped_linear() -> Case:
    """Each group of k has its own scale: brought to one by the compiler's factors, then summed."""
    x, y, group, k, o = Q(0.02, 11), Q(0.03, -4), 32, 96, 12
    rng = rng_of(6)
    w = rng.integers(-8, 8, (o, k))
    s = rng.uniform(0.002, 0.02, (o, k // group)).astype(np.float32)
    net = Net((7, k))
    product = nn.LinearOp(net.stored(net.inputs[0], x.scale, x.zero), net.weight(w, s, group=group, bits=4))
    out = net(product)
    inputs = [normal(rng, 7, k)]

    def expected(factors: list[Factors]) -> list[Array]:
        parts, last = factors
        assert len(parts) == (k // group) * o and len(last) == o
        np.testing.assert_allclose(
            ratios(parts).reshape(-1, o) * ratios(last), x.scale * s.T.astype(np.float64) / y.scale, rtol=1e-8
        )
        stored, total = x.store(inputs[0]), np.zeros((7, o), np.int64)
        for g in range(k // group):
            columns = slice(g * group, (g + 1) * group)
            sums = ref.linear(stored[:, columns], w[:, columns], x.zero)
            total += ref.rescale(sums, parts[g * o : (g + 1) * o], -1, bits=32)
        return [ref.rescale(total, last, -1, y.zero)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected, "int4")


# ---- blocks --------------------------------------------------------------------------------------------------------


def added(sums: Array, x: Array, q: Q, factors: list[Factors], expected: Array) -> Array:
    """Products and a stored tensor at the scale that the compiler brought both to, added; then the result's."""
    own, other, last = factors
    np.testing.assert_allclose(ratios(own) * ratios(last), expected, rtol=1e-8)
    np.testing.assert_allclose(ratios(own) / ratios(other), expected / expected[0] * ratios(own)[0] / ratios(other))
    return ref.rescale(sums, own, bits=32) + ref.rescale(x - q.zero, other, bits=32)


def residual() -> Case:
    x, h, y = Q(0.03, 10), Q(0.02, -128), Q(0.025, -100)
    first = Layer((6, 6, 3, 3), 7, window={"padding": (1, 1, 1, 1)})
    second = Layer((6, 6, 3, 3), 8, window={"padding": (1, 1, 1, 1)})
    net = Net((1, 6, 10, 10))
    start = net.stored(net.inputs[0], x.scale, x.zero)
    hidden = net.stored(net(nn.ReluOp(first.build(net, start))), h.scale, h.zero)
    out = net(nn.ReluOp(net(nn.AddOp(second.build(net, hidden), start))))
    inputs = [normal(rng_of(7), 1, 6, 10, 10, scale=2)]

    def expected(factors: list[Factors]) -> list[Array]:
        stored = x.store(inputs[0])
        hidden = first.stored(stored, x, h)
        total = added(second.sums(hidden, h), stored, x, factors[-3:], second.scales(h) / y.scale)
        return [ref.rescale(np.maximum(total, 0), factors[-1], 0, y.zero)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def inverted_residual() -> Case:
    """With ReLU6 at 127 where the storage type clamps, and below, where integers are compared."""
    x, h, d, y = Q(0.03, -3), Q(6 / 255, -128), Q(0.03, -120), Q(0.04, 7)
    expand, project = Layer((18, 6, 1, 1), 9), Layer((6, 18, 1, 1), 10)
    depthwise = Layer((18, 1, 3, 3), 11, window={"padding": (1, 1, 1, 1), "groups": 18})
    net = Net((1, 6, 8, 9))
    start = net.stored(net.inputs[0], x.scale, x.zero)
    hidden = net.stored(net(nn.ClampOp(expand.build(net, start), 0.0, 6.0)), h.scale, h.zero)
    inner = net.stored(net(nn.ClampOp(depthwise.build(net, hidden), 0.0, 6.0)), d.scale, d.zero)
    out = net(nn.AddOp(start, project.build(net, inner)))
    inputs = [normal(rng_of(8), 1, 6, 8, 9, scale=3)]

    def expected(factors: list[Factors]) -> list[Array]:
        stored = x.store(inputs[0])
        inner = depthwise.stored(expand.stored(stored, x, h), h, d, 0, 6)
        other, own, last = factors[-3:]
        total = added(project.sums(inner, d), stored, x, [own, other, last], project.scales(d) / y.scale)
        return [ref.rescale(total, last, 0, y.zero)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def squeeze_excite() -> Case:
    x, m, h, g, y = Q(0.03, -9), Q(0.01, 4), Q(0.01, -128), Q(0.05, 1), Q(0.03, -15)
    down, up = Layer((5, 12, 1, 1), 12), Layer((12, 5, 1, 1), 13)
    net = Net((1, 12, 7, 7))
    start = net.stored(net.inputs[0], x.scale, x.zero)
    pooled = net.stored(net(nn.MeanOp(start, (2, 3), True)), m.scale, m.zero)
    hidden = net.stored(net(nn.ReluOp(down.build(net, pooled))), h.scale, h.zero)
    gate = net.stored(up.build(net, hidden), g.scale, g.zero)
    out = net(nn.MulOp(start, net(nn.HardsigmoidOp(gate))))
    inputs = [normal(rng_of(9), 1, 12, 7, 7, scale=2) + np.float32(0.5)]

    def expected(_: list[Factors]) -> list[Array]:
        stored = x.store(inputs[0])
        pooled = ref.mean(stored, x, m, (2, 3))
        gate = up.stored(down.stored(pooled, m, h), h, g)
        reals = [ref.hardsigmoid(g.scale * (q - g.zero)) for q in range(-128, 128)]
        step = max(reals) / (2**15 - 1)  # a table that is multiplied has 15 bits
        product = (stored - x.zero) * ref.look_up([round(r / step) for r in reals], gate)
        return [ref.requantize(product, x.scale * step, y)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


# ---- functions, joins, pools ---------------------------------------------------------------------------------------

FUNCTIONS: dict[str, tuple[Callable[[SSAValue], Any], Callable[[float], float]]] = {
    "sigmoid": (nn.SigmoidOp, ref.sigmoid),
    "silu": (nn.SiluOp, ref.silu),
    "gelu": (lambda x: nn.GeluOp(x, "none"), ref.gelu),
    "gelu tanh": (lambda x: nn.GeluOp(x, "tanh"), ref.gelu_tanh),
    "tanh": (nn.TanhOp, np.tanh),
    "exp": (nn.ExpOp, np.exp),
    "hardswish": (nn.HardswishOp, ref.hardswish),
}


def function(name: str) -> Case:
    """All 256 stored values."""
    build, plain = FUNCTIONS[name]
    x, y = Q(0.041, 17), Q(0.0237, -50)
    net = Net((16, 16))
    out = net(build(net.stored(net.inputs[0], x.scale, x.zero)))
    inputs = [x.real(np.arange(-128, 128)).reshape(16, 16)]

    def expected(_: list[Factors]) -> list[Array]:
        return [ref.look_up(ref.table(plain, x, y), x.store(inputs[0]))]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def concat() -> Case:
    qs, y = [Q(0.02, -10), Q(0.011, 60), Q(0.035, 0)], Q(0.03, 5)
    shapes = [(1, 3, 6, 6), (1, 5, 6, 6), (1, 4, 6, 6)]
    net = Net(*shapes)
    parts = [net.stored(v, q.scale, q.zero) for v, q in zip(net.inputs, qs)]
    out = net(nn.ConcatOp(parts, 1))
    inputs = [normal(rng_of(10), *s) for s in shapes]

    def expected(_: list[Factors]) -> list[Array]:
        each = [ref.requantize(q.store(v) - q.zero, q.scale, y) for q, v in zip(qs, inputs)]
        return [np.concatenate(each, 1)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def average(padding: int, include: bool) -> Case:
    x, y = Q(0.02, -30), Q(0.012, 12)
    net = Net((2, 3, 9, 9))
    start = net.stored(net.inputs[0], x.scale, x.zero)
    out = net(nn.AvgPool2dOp(start, (3, 3), (2, 2), (padding,) * 4, count_include_pad=include))
    inputs = [normal(rng_of(11), 2, 3, 9, 9)]

    def expected(_: list[Factors]) -> list[Array]:
        return [ref.average_pool(x.store(inputs[0]), x, y, 3, 2, padding, include)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def global_mean() -> Case:
    x, y = Q(0.02, -100), Q(0.005, -90)
    net = Net((2, 20, 7, 7))
    out = net(nn.MeanOp(net.stored(net.inputs[0], x.scale, x.zero), (2, 3), True))
    inputs = [normal(rng_of(12), 2, 20, 7, 7) + np.float32(1)]

    def expected(_: list[Factors]) -> list[Array]:
        return [ref.mean(x.store(inputs[0]), x, y, (2, 3))]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def movement() -> Case:
    """Max pool, slice, permute, pad and reshape keep the stored values; the padding is 0.4 in steps."""
    x = Q(0.02, -30)
    net = Net((1, 4, 9, 9))
    start = net.stored(net.inputs[0], x.scale, x.zero)
    y = net(nn.MaxPool2dOp(start, (3, 3), (2, 2), (1,) * 4))
    y = net(nn.SliceOp(y, (0, 1, 0, 0), (1, 3, 5, 2), (1, 1, 1, 2)))
    y = net(nn.PermuteOp(y, (0, 2, 3, 1)))
    y = net(nn.PadOp(y, (0, 1, 0, 0), (0, 0, 2, 0), 0.4))
    y = net(nn.ReshapeOp(y, (6, 12)))
    inputs = [normal(rng_of(13), 1, 4, 9, 9)]

    def expected(_: list[Factors]) -> list[Array]:
        pooled = ref.max_pool(x.store(inputs[0]), 3, 2, 1)[:, 1:, :, :4:2].transpose(0, 2, 3, 1)
        return [np.pad(pooled, ((0, 0), (1, 0), (0, 2), (0, 0)), constant_values=20 + x.zero).reshape(6, 12)]

    return Case(net.module(net.quantize(y, x.scale, x.zero)), inputs, expected)


# ---- products of activations, softmax, norms -----------------------------------------------------------------------


def products() -> Case:
    a, b, y = Q(0.02, -17), Q(0.03, 44), Q(0.1, 3)
    net = Net((2, 5, 19), (2, 19, 6))
    out = net(nn.MatmulOp(*(net.stored(v, q.scale, q.zero) for v, q in zip(net.inputs, (a, b)))))
    inputs = [normal(rng_of(14), 2, 5, 19), normal(rng_of(15), 2, 19, 6)]

    def expected(_: list[Factors]) -> list[Array]:
        sums = ref.matmul(a.store(inputs[0]), b.store(inputs[1]), a.zero, b.zero)
        return [ref.requantize(sums, a.scale * b.scale, y)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def attention(masked: bool) -> Case:
    qs, y, scale = [Q(0.03), Q(0.025), Q(0.02)], Q(0.015, 2), 0.25
    shape = (1, 2, 9, 16)
    net = Net(shape, shape, shape)
    parts = [net.stored(v, q.scale, q.zero) for v, q in zip(net.inputs, qs)]
    mask = np.where(np.tril(np.ones((9, 9), bool)), 0, -np.inf).astype(np.float32) if masked else None
    out = net(nn.SdpaOp(*parts, None if mask is None else net.constant(mask), scale, False))
    inputs = [normal(rng_of(16 + i), *shape) for i in range(3)]

    def expected(_: list[Factors]) -> list[Array]:
        stored = [q.store(v) for q, v in zip(qs, inputs)]
        return [y.store(ref.attention(*stored, [q.scale for q in qs], scale, mask))]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def softmax() -> Case:
    x, y = Q(0.05, 30), Q(1 / 256, -128)
    net = Net((6, 37))
    out = net(nn.SoftmaxOp(net.stored(net.inputs[0], x.scale, x.zero), 1))
    inputs = [normal(rng_of(19), 6, 37, scale=2)]

    def expected(_: list[Factors]) -> list[Array]:
        return [y.store(ref.softmax(x.real(x.store(inputs[0]))))]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


def layer_norm() -> Case:
    x, y, eps = Q(0.03, 21), Q(0.02, -6), 1e-5
    rng = rng_of(20)
    weight, bias = normal(rng, 48) + np.float32(1), normal(rng, 48)
    net = Net((5, 48))
    start = net.stored(net.inputs[0], x.scale, x.zero)
    out = net(nn.LayerNormOp(start, 1, eps, net.constant(weight), net.constant(bias)))
    inputs = [normal(rng, 5, 48)]

    def expected(_: list[Factors]) -> list[Array]:
        return [y.store(ref.layer_norm(x.store(inputs[0]) - x.zero, x.scale, eps) * weight + bias)]

    return Case(net.module(net.quantize(out, y.scale, y.zero)), inputs, expected)


CASES: dict[str, Callable[[], Case]] = {
    "conv relu": lambda: conv_relu(-5, -128),
    "conv relu, zero points at the ends": lambda: conv_relu(127, -100),
    "conv relu, least zero point": lambda: conv_relu(-128, 60),
    "int4 conv": int4_conv,
    "linear": linear_layers,
    "int4 by group": grouped_linear,
    "residual": residual,
    "inverted residual": inverted_residual,
    "squeeze excite": squeeze_excite,
    **{f"function {name}": (lambda name=name: function(name)) for name in FUNCTIONS},
    "concat": concat,
    "average pool": lambda: average(0, True),
    "average pool with padding": lambda: average(1, True),
    "average pool without padding": lambda: average(1, False),
    "global mean": global_mean,
    "movement": movement,
    "matmul": products,
    "attention": lambda: attention(False),
    "attention with a mask": lambda: attention(True),
    "softmax": softmax,
    "layer norm": layer_norm,
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_every_level(name: str, target: str) -> None:
    case = CASES[name]()
    chosen = factors_of(converted(case.module.clone(), case.precision))
    levels = run_levels(case.module, case.inputs, target, case.precision)
    for own, expected in zip(levels.nn, case.expected(chosen), strict=True):
        assert len(np.unique(expected)) > 8  # not all saturated
        np.testing.assert_array_equal(own.astype(np.int64), expected)
    levels.check_equal()


@pytest.mark.parametrize("target", TARGETS)
def test_from_ranges(target: str) -> None:
    """Floats with the ranges of calibration: scales, zero points and weights by their formulas too."""
    rng = rng_of(30)
    weights = [normal(rng, 8, 3, 3, 3, scale=0.2), normal(rng, 5, 8, 1, 1, scale=0.3)]
    biases = [normal(rng, 8, 1, 1), normal(rng, 5, 1, 1)]
    ranges = [(-1.7, 2.2), (0.0, 3.1)]
    net = Net((1, 3, 10, 10))
    first = net(nn.Conv2dOp(net.inputs[0], net.constant(weights[0]), (1, 1), (1, 1, 1, 1)))
    hidden = net(nn.ReluOp(net(nn.AddOp(first, net.constant(biases[0])))))
    second = net(nn.Conv2dOp(hidden, net.constant(weights[1])))
    module = net.module(net(nn.AddOp(second, net.constant(biases[1]))))
    for value, (low, high) in zip((net.inputs[0], hidden), ranges, strict=True):
        set_range(value, RangeAttr.of(low, high))
    inputs = [normal(rng, 1, 3, 10, 10)]

    x, h = (ref.activation(low, high) for low, high in ranges)
    (w0, s0), (w1, s1) = (ref.weight(w) for w in weights)
    sums = ref.conv2d(x.store(inputs[0]), w0, x.zero, padding=(1, 1, 1, 1))
    sums, finer = ref.with_bias(sums, w0, biases[0], x.scale * s0.astype(np.float64), x, h.scale)
    stored = ref.requantize(np.maximum(sums, 0), finer, h)
    scales = (h.scale * s1).reshape(-1, 1, 1)
    sums = ref.conv2d(stored, w1, h.zero) + ref.bias(biases[1], scales)
    levels = run_levels(module, inputs, target)
    np.testing.assert_array_equal(levels.nn[0], sums.astype(np.float32) * scales.astype(np.float32))
    levels.check_equal()
