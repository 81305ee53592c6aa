"""Ranges by name on the values of a module."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from swkpu.dialects.value_range import RangeAttr, range_of, set_range
from swkpu.errors import CalibrationError
from swkpu.passes.op_precision import is_layer, set_precision
from swkpu.quant.equalization import is_equalized
from swkpu.quant.names import entry_of, value_names

SHOWN = 5
"""Names that an error lists."""


def annotate(module: ModuleOp, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Write `nn.range` attributes; values without a range are left as they are.

    Raises CalibrationError for names that no value has.
    """
    values = {name: value for value, name in value_names(entry_of(module)).items()}
    if unknown := [name for name in ranges if name not in values]:
        raise CalibrationError(_unknown_text(unknown, list(values)))
    for name, (low, high) in ranges.items():
        set_range(values[name], RangeAttr.of(low, high))


def check_equalized(module: ModuleOp, equalized: bool) -> None:
    """Raise CalibrationError where a calibration is of an equalized module and this is not one, or the reverse."""
    if is_equalized(module) == equalized:
        return
    made, given = ("an equalized", "is not") if equalized else ("a", "is equalized")
    raise CalibrationError(
        f"the calibration was made of {made} model, and this one {given}; equalize both or none (--equalize)"
    )


def annotate_precisions(module: ModuleOp, precisions: Mapping[str, str]) -> None:
    """Write `nn.precision` on layers, by the names of their values. Raises CalibrationError for other names."""
    layers = {name: v.owner for v, name in value_names(entry_of(module)).items() if isinstance(v.owner, Operation)}
    known = [name for name, op in layers.items() if is_layer(op)]
    if unknown := [name for name in precisions if name not in known]:
        raise CalibrationError(_unknown_text(unknown, known))
    for name, precision in precisions.items():
        set_precision(layers[name], precision)


def has_ranges(module: ModuleOp) -> bool:
    return any(range_of(value) is not None for value in value_names(entry_of(module)))


def _unknown_text(unknown: list[str], known: list[str]) -> str:
    lines: list[str] = []
    for name in unknown[:SHOWN]:
        close = get_close_matches(name, known, 3)
        lines.append(f'"{name}"' + (f" (near: {', '.join(close)})" if close else ""))
    more = f", and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
    return (
        f"the calibration names values that the module does not have: {', '.join(lines)}{more}; "
        "it was made for another model, or for another version of it"
    )
