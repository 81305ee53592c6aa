"""Mixed precision: for each layer the precision with which the whole meets an error target at the least latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Operation, SSAValue

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.errors import CalibrationError
from swkpu.passes.op_precision import set_precision
from swkpu.quant.names import entry_of, value_names
from swkpu.quant.trial import Inputs, Trials, layers_of
from swkpu.target import Machine

DEFAULT_ERROR = 0.01
"""The relative error that mixed precision keeps within where the user names none."""
SENSITIVITY_SAMPLES = 1
"""Samples on which each layer's noise alone is measured."""
AIM = 0.7
"""The part of the error target that integers are chosen for: other data than the samples err more."""
FLOATS = ("fp16", "bf16", "fp32")
"""What a layer may be besides int8, the cheapest first."""
_DTYPES = {"int8": "i8", "int4": "i4", "fp16": "f16", "bf16": "bf16", "fp32": "f32"}
_BYTES = {"int8": 1.0, "int4": 0.5, "fp16": 2.0, "bf16": 2.0, "fp32": 4.0}


@dataclass(frozen=True)
class LayerChoice:
    """What was chosen for a layer: its precision, its modelled cycles, and the SQNR (dB) of what it stores."""

    name: str
    op: str
    precision: str
    cycles: float
    sqnr_db: float


@dataclass(frozen=True)
class MixedChoice:
    """The choice for a module: the error it makes on the samples, relative to the largest result, and its layers."""

    max_error: float
    target_error: float | None
    layers: tuple[LayerChoice, ...]

    @property
    def precisions(self) -> Mapping[str, str]:
        return {layer.name: layer.precision for layer in self.layers}


def choose_precisions(
    module: ModuleOp,
    samples: Sequence[Inputs],
    machine: Machine,
    target_error: float,
    progress: Callable[[str], None] | None = None,
) -> MixedChoice:
    """Choose a precision for each layer of a folded f32 module with ranges, and write it on the layers.

    samples       inputs of the module, a few; the error is measured on all of them
    target_error  the largest absolute difference allowed, over the largest absolute value of the result

    Layers become int8 in the order of the noise they add by themselves per cycle they save: as many of the first as
    together meet the target, then each later one with which it is still met. The rest are fp16, bf16 or fp32: the first
    of these that the machine has and with which all layers meet the target. Integers are added up to AIM of the target.

    Raises CalibrationError where no float precision of the machine does, or for no samples.
    """
    if not samples:
        raise CalibrationError(
            "mixed precision measures errors on samples, and a calibration file has none: give the samples, or a file "
            "that has precisions, as `swkpu calibrate --max-error` writes it"
        )
    say = progress or (lambda _: None)
    trials = Trials(module, list(samples))
    layers = layers_of(entry_of(module))
    costs = [_Costs(layer, machine) for layer in layers]
    available = [p for p in FLOATS if p in machine.precisions]
    everywhere = ["int8"] * len(layers)
    chosen = everywhere
    say("int8 everywhere")
    error = trials.error(everywhere)
    if error > AIM * target_error:
        base = _cheapest_base(trials, len(layers), available, target_error)
        chosen = _with_integers(trials, costs, base, AIM * target_error, say)
        error = trials.error(chosen)
    return _written(module, layers, costs, trials, chosen, error, target_error)


def assess_precision(module: ModuleOp, samples: Sequence[Inputs], machine: Machine, precision: str) -> MixedChoice:
    """What one precision for all layers of a folded f32 module with ranges gives: as `choose_precisions`, no choice."""
    if not samples:
        raise CalibrationError("the quality of layers is measured on samples, and a calibration file has none")
    trials, layers = Trials(module, list(samples)), layers_of(entry_of(module))
    costs = [_Costs(layer, machine) for layer in layers]
    everywhere = [precision] * len(layers)
    return _written(module, layers, costs, trials, everywhere, trials.error(everywhere), None)


def _cheapest_base(trials: Trials, count: int, available: Sequence[str], target: float) -> str:
    errors: dict[str, float] = {}
    for precision in available:
        errors[precision] = trials.error([precision] * count)
        if errors[precision] <= target:
            return precision
    found = ", ".join(f"{p} {e:.3g}" for p, e in errors.items()) or "the target has no float precision"
    raise CalibrationError(f"no precision meets a relative error of {target:g} on the samples: {found}")


def _with_integers(
    trials: Trials, costs: Sequence[_Costs], base: str, target: float, say: Callable[[str], None]
) -> list[str]:
    """The base precision, and int8 for as many layers as the target allows."""
    floor = trials.noise([base] * len(costs), SENSITIVITY_SAMPLES)
    ranked: list[tuple[float, int]] = []
    for index, cost in enumerate(costs):
        saved = cost.of(base) - cost.of("int8")
        if saved <= 0:
            continue
        say(f"layer {index + 1} of {len(costs)}")
        alone = [base if i != index else "int8" for i in range(len(costs))]
        ranked.append((max(trials.noise(alone, SENSITIVITY_SAMPLES) - floor, 0.0) / saved, index))
    order = [index for _, index in sorted(ranked)]

    def first(count: int) -> list[str]:
        integers = set(order[:count])
        return ["int8" if i in integers else base for i in range(len(costs))]

    low, high = 0, len(order)  # the first `low` meet the target, `high` may not
    while low < high:
        middle = (low + high + 1) // 2
        say(f"int8 for {middle} of {len(costs)} layers")
        if trials.error(first(middle), target) <= target:
            low = middle
        else:
            high = middle - 1
    chosen = first(low)
    for index in order[low + 1 :]:  # a later layer may still fit
        say(f"int8 for layer {index + 1} of {len(costs)} as well")
        more = [*chosen[:index], "int8", *chosen[index + 1 :]]
        if trials.error(more, target) <= target:
            chosen = more
    return chosen


def _written(
    module: ModuleOp,
    layers: Sequence[Operation],
    costs: Sequence[_Costs],
    trials: Trials,
    chosen: Sequence[str],
    error: float,
    target: float | None,
) -> MixedChoice:
    names = value_names(entry_of(module))
    quality = trials.sqnr_by_layer(chosen)
    out: list[LayerChoice] = []
    for layer, cost, precision in zip(layers, costs, chosen, strict=True):
        set_precision(layer, precision)
        name = names[layer.results[0]]
        kind = layer.name.removeprefix("nn.")
        out.append(LayerChoice(name, kind, precision, cost.of(precision), quality.get(name, float("inf"))))
    return MixedChoice(error, target, tuple(out))


@dataclass(frozen=True)
class _Costs:
    """A layer's modelled cycles by precision: its MACs at the machine's peak, or its weights through DRAM."""

    layer: Operation
    machine: Machine

    def of(self, precision: str) -> float:
        peak = self.machine.peak_macs_per_cycle(_DTYPES[precision])
        if not peak:
            return float("inf")
        moved = self._weights() * _BYTES[precision] / float(self.machine.dram_bytes_per_cycle)
        return max(float(self._macs() / peak), moved)

    def _weights(self) -> int:
        return sum(prod(shape_of(v)) for v in self.layer.operands if isinstance(v.owner, nn.ConstantOp))

    def _macs(self) -> int:
        return macs_of(self.layer)


def macs_of(layer: Operation) -> int:
    """Multiply-accumulates of a contraction, without padding."""
    points = prod(_shape(layer.results[0]))
    match layer:
        case nn.ConvTransposeOp():
            return prod(shape_of(layer.input)) * prod(shape_of(layer.weight)[1:])
        case nn.ConvOp():
            return points * prod(shape_of(layer.weight)[1:])
        case nn.SdpaOp():
            (*_, length, size), keys = shape_of(layer.query), shape_of(layer.key)[-2]
            return points // shape_of(layer.value)[-1] * keys * (size + shape_of(layer.value)[-1]) * (length > 0)
        case _:
            return points * shape_of(layer.operands[0])[-1]


def _shape(value: SSAValue) -> tuple[int, ...]:
    assert isinstance(value.type, TensorType)
    return value.type.get_shape()
