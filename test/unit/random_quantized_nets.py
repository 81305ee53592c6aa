"""Random chains of operators in Q/DQ form, each with its formula in f64.

A chain is a list of operator names and a seed: what an operator's parameters are follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from quantized_nets import Array, Net
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import nn

Tensor = torch.Tensor
Formula = Callable[..., Tensor]


SCALING = (nn.MulOp, nn.DivOp, nn.ConvolutionOp, nn.LinearOp, nn.MatmulOp, nn.NormOp)
"""Ops whose errors are in proportion to their results."""


def magnitude(reals: Tensor) -> float:
    return float(reals.abs().max()) or 1.0


@dataclass(frozen=True)
class Stored:
    """Where a value is rounded: the value before, and how it is stored."""

    scale: float
    zero: int
    bits: int = 8
    allowed: float = 1.0
    """How many steps the stored value may be off."""

    def ideal(self, reals: Tensor) -> Tensor:
        """Where the reals lie between the stored values: not rounded."""
        return (reals / self.scale + self.zero).clamp(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)

    def reals(self, stored: Tensor) -> Tensor:
        return (stored.double() - self.zero) * float(np.float32(self.scale))


@dataclass
class Step:
    """One value: its formula of earlier ones, or how an earlier one is stored."""

    formula: Formula | Stored
    operands: list[int]


@dataclass
class Value:
    ssa: SSAValue
    at: int
    reals: Tensor
    magnitude: float
    """The largest number that it is a difference of: its rounding errors are in proportion to that."""
    is_stored: bool = False
    scale: float = 0.0


@dataclass
class Chain:
    """A network while it is made."""

    seed: int
    shape: tuple[int, ...]
    steps: list[Step] = field(default_factory=list[Step])
    quantized: list[SSAValue] = field(default_factory=list[SSAValue])
    earlier: list[Value] = field(default_factory=list[Value])

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.net = Net(self.shape)
        spread = 10 ** self.rng.uniform(-3, 3)
        self.input = (self.rng.normal(self.rng.uniform(-1, 1), 1, self.shape) * spread).astype(np.float32)
        self.steps.append(Step(lambda x: x, []))
        reals = torch.from_numpy(self.input).double()
        self.value = Value(self.net.inputs[0], 0, reals, magnitude(reals))
        self.store()

    # ---- pieces ----

    def apply(self, op: Operation, formula: Formula, *operands: Value) -> None:
        """The next value, of the last one and others."""
        values = operands or (self.value,)
        reals = formula(*(v.reals for v in values))
        self.steps.append(Step(formula, [v.at for v in values]))
        own, largest = magnitude(reals), max(v.magnitude for v in values)
        if isinstance(op, nn.MulOp | nn.MatmulOp) and len(values) == 2:
            largest = values[0].magnitude * values[1].magnitude
        elif isinstance(op, nn.SoftmaxOp):  # the error of a power of e is in proportion to that of its argument
            largest = max(largest, 1.0)
        elif isinstance(op, SCALING):
            largest = own * max(v.magnitude / magnitude(v.reals) for v in values)
        self.value = Value(self.net(op), len(self.steps) - 1, reals, max(own, largest))

    def store(self) -> None:
        """Round the value. Mostly to its own range, sometimes so that part of it saturates, or most bits are unused."""
        if self.value.is_stored:
            return
        low, high = min(self.value.reals.min().item(), 0.0), max(self.value.reals.max().item(), 0.0)
        high = max(high, low + self.value.magnitude / 2**16) if low < high else 255.0
        if self.rng.random() < 0.3:
            low, high = (f * self.rng.choice([0.5, 2.0, 8.0]) for f in (low, high))
        scale = (high - low) / 255
        zero = int(np.clip(np.rint(-128 - low / scale), -128, 127))
        if self.rng.random() < 0.2:
            zero = int(self.rng.choice([-128, 127, 0]))
            scale = max(high, -low) / (127 if zero == 0 else 255)
        self.round_to(Stored(scale, zero))
        self.earlier.append(self.value)

    def store_for_norm(self) -> None:
        """As i8, or in more bits."""
        if self.rng.random() < 0.5:
            self.store()
            return
        bound = float(np.float32(self.largest()))
        self.apply(nn.ClampOp(self.value.ssa, -bound, bound), lambda x: x.clamp(-bound, bound))
        wide = Stored(bound / 2**11, 0, 32)
        self.round_to(wide)

    def round_to(self, stored: Stored) -> None:
        stored = replace(stored, allowed=1 + self.value.magnitude / stored.scale / 2**12)
        self.steps.append(Step(stored, [self.value.at]))
        self.quantized.append(self.net.quantize(self.value.ssa, stored.scale, stored.zero, stored.bits))
        reals = stored.reals(stored.ideal(self.value.reals).round())
        at = len(self.steps) - 1
        ssa, most = self.net(nn.DequantizeOp(self.quantized[-1])), magnitude(reals)
        if stored.bits == 8:
            most = max(most, 127 * stored.scale)
        self.value = Value(ssa, at, reals, most, stored.bits == 8, stored.scale)

    def other(self) -> Value:
        """An earlier stored value of the same shape, or this one, stored at another scale."""
        same = [v for v in self.earlier if v.reals.shape == self.value.reals.shape]
        if same:
            return same[self.rng.integers(len(same))]
        kept = self.value
        self.store()
        self.value, other = kept, self.value
        return other

    def per_channel(self, low: float, high: float) -> Array:
        """A factor for all, or one by channel."""
        shape = (self.value.reals.shape[1], 1, 1) if self.rng.random() < 0.6 else (1,)
        return self.rng.uniform(low, high, shape).astype(np.float32)

    def weight(self, shape: tuple[int, ...], axis: int, k: int) -> tuple[SSAValue, Tensor]:
        """Integers of which some channels are 0, with scales that are sometimes far apart."""
        w = self.rng.integers(-128, 128, shape)
        apart = 3 if self.rng.random() < 0.3 else 0.3
        scales = 10 ** self.rng.uniform(-apart, 0, shape[axis]) / (64 * k**0.5)
        scales = scales.astype(np.float32)
        if self.rng.random() < 0.3:
            w[(slice(None),) * axis + (0,)] = 0
        each = scales.astype(np.float64).reshape([-1 if d == axis else 1 for d in range(len(shape))])
        return self.net.weight(w, scales, axis), torch.from_numpy(w * each)

    def result(self) -> ModuleOp:
        """The network, which ends in a stored value."""
        self.store()
        return self.net.module(self.quantized[-1])

    # ---- contractions ----

    def contract(self, op: Operation, formula: Formula, x: Value, weight: float) -> None:
        """A bias is rounded to steps of s_x s_w, however small the result is."""
        self.apply(op, formula)
        self.value.magnitude = max(self.value.magnitude, x.scale * weight / 100 * 2**12)

    def conv(self) -> None:
        self.store()
        c = self.value.reals.shape[1]
        out, kernel = int(self.rng.integers(1, 7)), int(self.rng.integers(1, 3))
        padding = int(self.rng.integers(0, 2)) if min(self.value.reals.shape[2:]) >= kernel else kernel - 1
        w, reals = self.weight((out, c, kernel, kernel), 0, c * kernel**2)
        op = nn.Conv2dOp(self.value.ssa, w, (1, 1), (padding,) * 4)
        self.contract(op, lambda x: F.conv2d(x, reals, padding=padding), self.value, magnitude(reals))
        self.bias()

    def depthwise(self) -> None:
        self.store()
        c = self.value.reals.shape[1]
        w, reals = self.weight((c, 1, 3, 3), 0, 9)
        op = nn.Conv2dOp(self.value.ssa, w, (1, 1), (1,) * 4, groups=c)
        self.contract(op, lambda x: F.conv2d(x, reals, padding=1, groups=c), self.value, magnitude(reals))
        self.bias()

    def conv_transpose(self) -> None:
        self.store()
        c = self.value.reals.shape[1]
        w, reals = self.weight((c, 3, 2, 2), 1, c)
        op = nn.ConvTranspose2dOp(self.value.ssa, w, (2, 2))
        self.contract(op, lambda x: F.conv_transpose2d(x, reals, stride=2), self.value, magnitude(reals))

    def linear(self) -> None:
        self.store()
        k = self.value.reals.shape[-1]
        w, reals = self.weight((int(self.rng.integers(1, 9)), k), 0, k)
        self.contract(nn.LinearOp(self.value.ssa, w), lambda x: x @ reals.T, self.value, magnitude(reals))

    def matmul(self) -> None:
        """Of two activations with their zero points."""
        self.store()
        left, right = self.value, self.other()
        turned = self.net(nn.PermuteOp(right.ssa, (0, 1, 3, 2)))
        self.apply(nn.MatmulOp(left.ssa, turned), lambda a, b: a @ b.mT, left, right)

    def bias(self) -> None:
        if self.rng.random() < 0.7:
            largest = float(self.value.reals.abs().max()) or 1.0
            b = (self.rng.normal(size=(self.value.reals.shape[1], 1, 1)) * largest).astype(np.float32)
            self.constant_op(nn.AddOp, b, torch.add)

    # ---- elementwise ----

    def constant_op(self, kind: Callable[..., Operation], array: Array, formula: Formula, first: bool = False) -> None:
        constant, reals = self.net.constant(array), torch.from_numpy(array.astype(np.float64))
        if first:
            self.apply(kind(constant, self.value.ssa), lambda x: formula(reals, x))
        else:
            self.apply(kind(self.value.ssa, constant), lambda x: formula(x, reals))

    def largest(self) -> float:
        return magnitude(self.value.reals)

    def add_constant(self) -> None:
        self.constant_op(nn.AddOp, self.per_channel(-1, 1) * np.float32(self.largest()), torch.add)

    def subtract_constant(self) -> None:
        self.constant_op(nn.SubOp, self.per_channel(-1, 1) * np.float32(self.largest()), torch.sub)

    def subtract_from_constant(self) -> None:
        self.constant_op(nn.SubOp, self.per_channel(-1, 1) * np.float32(self.largest()), torch.sub, first=True)

    def multiply_constant(self) -> None:
        factors = self.per_channel(-2, 2)
        if self.rng.random() < 0.3:
            factors[0] = 0
        self.constant_op(nn.MulOp, factors, torch.mul)

    def divide_constant(self) -> None:
        self.constant_op(nn.DivOp, self.per_channel(0.3, 3) * self.rng.choice([-1, 1]).astype(np.float32), torch.div)

    def batch_norm(self) -> None:
        c = self.value.reals.shape[1]
        weight, bias, mean = (self.rng.normal(size=c).astype(np.float32) for _ in range(3))
        variance = self.rng.uniform(0.1, 2, c).astype(np.float32)
        arrays = (weight, bias, mean * np.float32(self.largest()), variance)
        op = nn.BatchNormOp(self.value.ssa, *(self.net.constant(a) for a in arrays), 1e-5)
        w, b, m, v = (torch.from_numpy(a).double() for a in arrays)
        self.apply(op, lambda x: F.batch_norm(x, m, v, w, b, eps=float(np.float32(1e-5))))

    def relu(self) -> None:
        self.apply(nn.ReluOp(self.value.ssa), torch.relu)

    def negate(self) -> None:
        self.apply(nn.NegOp(self.value.ssa), torch.neg)

    def clamp(self) -> None:
        low, high = sorted(float(np.float32(self.rng.uniform(-1, 1) * self.largest())) for _ in range(2))
        self.apply(nn.ClampOp(self.value.ssa, low, high), lambda x: x.clamp(low, high))

    def maximum_constant(self) -> None:
        bound = np.array(self.rng.uniform(-1, 1) * self.largest(), np.float32)
        self.constant_op(nn.MaximumOp, bound, torch.maximum)

    def pairwise(self, kind: Callable[..., Operation], formula: Formula) -> None:
        other = self.other()
        operands = (self.value, other) if self.rng.random() < 0.5 else (other, self.value)
        self.apply(kind(*(v.ssa for v in operands)), formula, *operands)

    def add(self) -> None:
        self.pairwise(nn.AddOp, torch.add)

    def subtract(self) -> None:
        self.pairwise(nn.SubOp, torch.sub)

    def multiply(self) -> None:
        self.pairwise(nn.MulOp, torch.mul)
        self.store()

    def minimum(self) -> None:
        self.pairwise(nn.MinimumOp, torch.minimum)

    def function(self) -> None:
        """A table of a stored value within the reach of exp, and of its own chain."""
        self.store()
        factor = np.array(4 / self.largest(), np.float32)
        self.constant_op(nn.MulOp, factor, torch.mul)
        kind, formula = FUNCTIONS[self.rng.integers(len(FUNCTIONS))]
        self.apply(kind(self.value.ssa), formula)
        self.store()

    def gate(self) -> None:
        """x * sigmoid(x), by the product of a tensor and a table."""
        self.constant_op(nn.MulOp, np.array(8 / self.largest(), np.float32), torch.mul)
        self.store()
        value = self.value
        self.apply(nn.SigmoidOp(value.ssa), torch.sigmoid)
        self.apply(nn.MulOp(value.ssa, self.value.ssa), torch.mul, value, self.value)

    def squeeze(self) -> None:
        """Times the mean of each channel."""
        self.store()
        value = self.value
        self.mean()
        self.store()
        self.apply(nn.MulOp(value.ssa, self.value.ssa), torch.mul, value, self.value)

    # ---- reductions and windows ----

    def mean(self) -> None:
        self.apply(nn.MeanOp(self.value.ssa, (2, 3), True), lambda x: x.mean((2, 3), keepdim=True))

    def sum(self) -> None:
        self.apply(nn.SumOp(self.value.ssa, (3,), True), lambda x: x.sum(3, keepdim=True))

    def max_pool(self) -> None:
        op = nn.MaxPool2dOp(self.value.ssa, (2, 2), (1, 1), (1, 0, 0, 1))
        self.apply(op, lambda x: F.max_pool2d(F.pad(x, (0, 1, 1, 0), value=-torch.inf), 2, 1))

    def average_pool(self) -> None:
        padding, include = int(self.rng.integers(0, 2)), bool(self.rng.integers(0, 2))
        kernel = [k if s + 2 * padding >= k else 1 for k, s in zip((2, 3), self.value.reals.shape[2:])]
        padding = padding * (min(kernel) > 1)
        op = nn.AvgPool2dOp(self.value.ssa, kernel, (1, 1), (padding,) * 4, count_include_pad=include)
        self.apply(op, lambda x: F.avg_pool2d(x, kernel, 1, padding, count_include_pad=include))

    def softmax(self) -> None:
        self.apply(nn.SoftmaxOp(self.value.ssa, 3), lambda x: x.softmax(3))
        self.store()

    def layer_norm(self) -> None:
        self.store_for_norm()
        c, eps = self.value.reals.shape[3], self.epsilon()
        w = self.rng.normal(size=c).astype(np.float32)
        op = nn.LayerNormOp(self.value.ssa, 1, eps, self.net.constant(w), None)
        self.apply(op, lambda x: F.layer_norm(x, (c,), torch.from_numpy(w).double(), eps=eps))
        self.store()

    def rms_norm(self) -> None:
        self.store_for_norm()
        shape, eps = tuple(self.value.reals.shape[2:]), self.epsilon()
        op = nn.RmsNormOp(self.value.ssa, 2, eps)
        self.apply(op, lambda x: x / (x.square().mean((2, 3), keepdim=True) + eps).sqrt())
        assert len(shape) == 2
        self.store()

    def group_norm(self) -> None:
        self.store_for_norm()
        c, eps = self.value.reals.shape[1], self.epsilon()
        groups = 2 if c % 2 == 0 else 1
        w, b = (self.rng.normal(size=c).astype(np.float32) for _ in range(2))
        op = nn.GroupNormOp(self.value.ssa, groups, eps, self.net.constant(w), self.net.constant(b))
        factor, addend = (torch.from_numpy(a).double().reshape(-1, 1, 1) for a in (w, b))
        self.apply(op, lambda x: normalized(x.unflatten(1, (groups, -1)), eps).reshape(x.shape) * factor + addend)
        self.store()

    def epsilon(self) -> float:
        return float(np.float32(1e-3 * self.largest() ** 2))

    def largest_of_rows(self) -> None:
        self.apply(nn.MaxOp(self.value.ssa, (3,), True), lambda x: x.amax(3, keepdim=True))

    def attention(self) -> None:
        """Of the value with itself, at three scales whose zero points are 0."""
        source, parts = self.value, list[Value]()
        for factor in (0.8, 1.0, 1.1):
            self.value = source
            self.round_to(Stored(factor * source.magnitude / 127, 0))
            parts.append(self.value)
        scale = float(np.float32(4 / self.largest() ** 2))
        op = nn.SdpaOp(*(v.ssa for v in parts), None, scale, False)
        self.apply(op, lambda q, k, v: (q @ k.mT * scale).softmax(-1) @ v, *parts)
        self.value.magnitude = max(self.value.magnitude, 32 * self.largest())  # powers of 8 bits
        self.store()

    # ---- movement ----

    def flip(self) -> None:
        self.apply(nn.FlipOp(self.value.ssa, (1, 3)), lambda x: x.flip(1, 3))

    def resize(self) -> None:
        h, w = self.value.reals.shape[2:]
        op = nn.ResizeOp(self.value.ssa, "nearest", (2 * h, w))
        self.apply(op, lambda x: F.interpolate(x, size=(2 * h, w), mode="nearest"))

    def expand(self) -> None:
        n, c, h, w = self.value.reals.shape
        op = nn.ExpandOp(self.value.ssa, (2 if n == 1 else n, c, 2 if h == 1 else h, w))
        self.apply(op, lambda x: x.expand(*nn.shape_of(op.result)))

    def concat(self) -> None:
        """With another tensor, of another scale."""
        value, other = self.value, self.other()
        self.apply(nn.ConcatOp([value.ssa, other.ssa], 1), lambda a, b: torch.cat([a, b], 1), value, other)
        self.store()

    def pad(self) -> None:
        """With 0, or what is a stored value where the tensor is stored."""
        filler = float(self.rng.choice([0.0, float(self.value.reals.flatten()[0])]))
        op = nn.PadOp(self.value.ssa, (0, 0, 1, 0), (0, 0, 0, 2), filler)
        self.apply(op, lambda x: F.pad(x, (0, 2, 1, 0), value=filler))

    def slice(self) -> None:
        n, c, h, w = self.value.reals.shape
        sizes, step = (n, (c + 1) // 2, max(h - 1, 1), w), 1 if c == 1 else 2
        op = nn.SliceOp(self.value.ssa, (0, 0, min(1, h - 1), 0), sizes, (1, step, 1, 1))
        self.apply(op, lambda x: x[:, ::step, min(1, h - 1) :][:, : sizes[1]])

    def permute(self) -> None:
        self.apply(nn.PermuteOp(self.value.ssa, (0, 2, 1, 3)), lambda x: x.permute(0, 2, 1, 3))

    def reshape(self) -> None:
        n, c, h, w = self.value.reals.shape
        self.apply(nn.ReshapeOp(self.value.ssa, (n, c, w, h)), lambda x: x.reshape(n, c, w, h))


def normalized(x: Tensor, eps: float) -> Tensor:
    """Over dims 2 and later."""
    dims = tuple(range(2, x.dim()))
    centred = x - x.mean(dims, keepdim=True)
    return centred / (centred.square().mean(dims, keepdim=True) + eps).sqrt()


FUNCTIONS: list[tuple[Any, Formula]] = [
    (nn.SigmoidOp, torch.sigmoid),
    (nn.TanhOp, torch.tanh),
    (nn.ExpOp, torch.exp),
    (nn.SiluOp, F.silu),
    (nn.HardswishOp, F.hardswish),
    (nn.AbsOp, torch.abs),
    (lambda x: nn.GeluOp(x, "none"), F.gelu),
]
PIECES = {"apply", "store", "store_for_norm", "round_to", "other", "per_channel", "weight", "result", "bias"}
PIECES |= {"contract", "constant_op", "largest", "pairwise", "epsilon"}
OPERATORS = sorted(
    name for name, v in vars(Chain).items() if callable(v) and not name.startswith("_") and name not in PIECES
)


def chain(names: Sequence[str], seed: int) -> Chain:
    rng = np.random.default_rng(seed)
    made = Chain(seed, (int(rng.integers(1, 3)), int(rng.integers(1, 5)), int(rng.integers(2, 6)), 5))
    for name in names:
        getattr(made, name)()
    return made
