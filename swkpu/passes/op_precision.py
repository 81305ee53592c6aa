"""At which precision each op of a function is computed, where they differ: `nn.precision` on a contraction, and what
follows it.
"""

from __future__ import annotations

from xdsl.dialects.builtin import StringAttr, TensorType, bf16, f16, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation, SSAValue

from swkpu.dialects import nn
from swkpu.errors import IRError
from swkpu.passes.elementwise import CONTRACTIONS, absorbed_producer, is_elementwise

PRECISION = "nn.precision"
"""The attribute: of a module for all its ops, of a contraction for itself and what follows it."""
FLOATS: dict[str, Attribute] = {"fp32": f32, "bf16": bf16, "fp16": f16}
"""Precisions that store floats, and as what."""
INTEGERS = ("int8", "int4")
"""Precisions that store activations as i8."""
CHOICES = (*INTEGERS, *FLOATS)


def is_layer(op: Operation) -> bool:
    """Whether a precision is chosen for an op: it multiplies."""
    return isinstance(op, CONTRACTIONS)


def set_precision(op: Operation, precision: str) -> None:
    op.attributes[PRECISION] = StringAttr(precision)


def own_precision(op: Operation) -> str | None:
    """The precision written on an op. Raises IRError for one that does not exist."""
    attribute = op.attributes.get(PRECISION)
    if attribute is None:
        return None
    if not isinstance(attribute, StringAttr) or attribute.data not in CHOICES:
        raise IRError(f"{op.name}: {PRECISION} = {attribute}; expected one of {', '.join(CHOICES)}")
    return attribute.data


def check_group(group: int | None) -> None:
    """Raise IRError for a number of weights that cannot share a scale."""
    if group is not None and group < 1:
        raise IRError(f"a group of {group} weights: expected a positive number, such as 32, 64 or 128")


def precisions(function: FuncOp, default: str) -> dict[Operation, str]:
    """The precision of every op of a function.

    A contraction's is written on it, or is the default. Any other op is computed as what it is evaluated together with,
    else as the most precise of its operands' producers.
    """
    out: dict[Operation, str] = {}
    for op in function.body.block.ops:
        own = own_precision(op)
        if own is not None or is_layer(op):
            out[op] = own or default
            continue
        absorbed = absorbed_producer(op) if is_elementwise(op) else None
        sources = [absorbed] if absorbed is not None else [v for v in op.operands if _is_activation(v)]
        found = [out[v.owner] for v in sources if isinstance(v.owner, Operation) and v.owner in out]
        out[op] = max(found, key=CHOICES.index, default=default) if default in INTEGERS else default
    return out


def _is_activation(value: SSAValue) -> bool:
    floats = isinstance(value.type, TensorType) and value.type.element_type == f32
    return floats and not isinstance(value.owner, nn.ConstantOp | nn.DequantizeWeightOp)
