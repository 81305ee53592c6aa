"""A calibration as JSON, a line per value, to be read and edited by people and checked when it is read again."""

from __future__ import annotations

import json
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn, cast

from swkpu.errors import CalibrationError
from swkpu.passes.op_precision import CHOICES
from swkpu.quant.calibration import Calibration, ValueRange

VERSION = 1
FORMAT = "swkpu calibration"
NUMBERS = ("min", "max", "low", "high")


def to_json(calibration: Calibration) -> str:
    head = {
        "format": FORMAT,
        "version": VERSION,
        "model": calibration.model,
        "observer": calibration.observer,
        "samples": calibration.samples,
    } | ({"equalized": True} if calibration.equalized else {})
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    values = [f"    {json.dumps(name)}: {json.dumps(vars(value))}" for name, value in calibration.values.items()]
    sections = ['  "values": {', ",\n".join(values), "  }"]
    if calibration.precisions:
        layers = [
            f"    {json.dumps(name)}: {json.dumps(precision)}" for name, precision in calibration.precisions.items()
        ]
        sections[-1] += ","
        sections += ['  "precisions": {', ",\n".join(layers), "  }"]
    if calibration.input_means:
        means = [f"    {json.dumps(name)}: {json.dumps(mean)}" for name, mean in calibration.input_means.items()]
        sections[-1] += ","
        sections += ['  "input_means": {', ",\n".join(means), "  }"]
    return "\n".join(["{", *lines, *sections, "}"]) + "\n"


def load(path: str) -> Calibration:
    """Raises CalibrationError, which names the file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CalibrationError(f"there is no calibration file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    return from_json(text, path)


def from_json(text: str, source: str) -> Calibration:
    """Raises CalibrationError, which names the source and the key, and says what was expected there."""
    return _Reader(source).calibration(text)


class _Reader:
    """Reads one text; `fail` says where."""

    def __init__(self, source: str):
        self.source = source

    def fail(self, where: str, expected: str, found: Any) -> NoReturn:
        text = json.dumps(found)
        text = text if len(text) <= 60 else f"{text[:60]}..."
        raise CalibrationError(f"{self.source}: {where}: expected {expected}, found {text}")

    def calibration(self, text: str) -> Calibration:
        try:
            data: object = json.loads(text, object_pairs_hook=self.unique, parse_constant=self.constant)
        except json.JSONDecodeError as error:
            raise CalibrationError(f"{self.source}:{error.lineno}:{error.colno}: error: {error.msg}") from None
        except RecursionError:
            raise CalibrationError(f"{self.source}: nested too deeply") from None
        keys = ("format", "version", "model", "observer", "samples", "values")
        top = self.table("the file", data, keys, optional=("equalized", "precisions", "input_means"))
        if top["format"] != FORMAT or top["version"] != VERSION:
            self.fail("format, version", f'"{FORMAT}", {VERSION}', [top["format"], top["version"]])
        samples = top["samples"]
        if not isinstance(samples, int) or isinstance(samples, bool) or samples < 0:
            self.fail("samples", "a whole number", samples)
        if not isinstance(top["values"], dict):
            self.fail("values", "ranges by the names of values", top["values"])
        values = cast("dict[str, object]", top["values"])
        ranges = {name: self.value_range(f"values.{name}", value) for name, value in values.items()}
        precisions = self.precisions(top.get("precisions", {}))
        model, observer = self.text("model", top["model"]), self.text("observer", top["observer"])
        means = self.input_means(top.get("input_means", {}))
        equalized = top.get("equalized", False)
        if not isinstance(equalized, bool):
            self.fail("equalized", "true or false", equalized)
        return Calibration(model, observer, samples, ranges, precisions, means, equalized)

    def input_means(self, data: object) -> dict[str, tuple[float, ...]]:
        if not isinstance(data, dict):
            self.fail("input_means", "lists of numbers by the names of layers", data)
        means: dict[str, tuple[float, ...]] = {}
        for name, row in cast("dict[str, object]", data).items():
            if not isinstance(row, list):
                self.fail(f"input_means.{name}", "a list of numbers", row)
            numbers = cast("list[object]", row)
            means[name] = tuple(self.number(f"input_means.{name}[{i}]", n) for i, n in enumerate(numbers))
        return means

    def precisions(self, data: object) -> dict[str, str]:
        if not isinstance(data, dict):
            self.fail("precisions", "precisions by the names of layers", data)
        found = cast("dict[str, object]", data)
        for name, precision in found.items():
            if precision not in CHOICES:
                self.fail(f"precisions.{name}", f"one of {', '.join(CHOICES)}", precision)
        return cast("dict[str, str]", found)

    def value_range(self, where: str, data: object) -> ValueRange:
        row = self.table(where, data, ("op", *NUMBERS))
        numbers = [self.number(f"{where}.{key}", row[key]) for key in NUMBERS]
        for lower, upper in (("min", "max"), ("low", "high")):
            if row[lower] > row[upper]:
                self.fail(f"{where}.{upper}", f"at least {lower}, which is {row[lower]}", row[upper])
        return ValueRange(self.text(f"{where}.op", row["op"]), *numbers)

    def table(self, where: str, data: object, keys: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
        """An object with exactly these keys, and perhaps the optional ones."""
        if not isinstance(data, dict):
            self.fail(where, f"an object with the keys {', '.join(keys)}", data)
        table = cast("dict[str, Any]", data)
        for key in table:
            if key not in (*keys, *optional):
                close = get_close_matches(key, (*keys, *optional), 1)
                hint = f"did you mean {close[0]}? " if close else ""
                expected = ", ".join((*keys, *optional))
                raise CalibrationError(
                    f"{self.source}: {where}: unknown key {json.dumps(key)}; {hint}expected {expected}"
                )
        for key in keys:
            if key not in table:
                raise CalibrationError(f"{self.source}: {where}: the key {json.dumps(key)} is missing")
        return table

    def text(self, where: str, data: object) -> str:
        if not isinstance(data, str):
            self.fail(where, "text", data)
        return data

    def number(self, where: str, data: object) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float) or not isfinite(data):
            self.fail(where, "a finite number", data)
        return float(data)

    def constant(self, name: str) -> NoReturn:
        raise CalibrationError(f"{self.source}: {name} is not a number that a range can have")

    def unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise CalibrationError(f"{self.source}: {json.dumps(twice)} is there twice")
        return table
