"""The one family of exceptions that swkpu raises on purpose.

Every user mistake ends in one of these, with a message that says what was wrong, where, and what
would be accepted. Tools print the message and exit with code 1; anything else that escapes is a bug.
"""

from __future__ import annotations

import builtins


class SwkpuError(Exception):
    """Base of everything raised on purpose."""


class ModelError(SwkpuError):
    """The model cannot be found, captured or imported."""


class UnsupportedOpError(ModelError):
    """The model contains operators swkpu cannot import. `ops` lists each once."""

    def __init__(self, ops: list[str], details: str = ""):
        self.ops = ops
        super().__init__(f"Unsupported operators: {', '.join(ops)}" + (f"\n{details}" if details else ""))

    def __reduce__(self):
        return (type(self), (self.ops, str(self).partition("\n")[2]))


class IRError(SwkpuError):
    """An IR file or module is malformed, or a pass met something it cannot handle."""


class TargetError(SwkpuError):
    """A target is unknown, or its description is invalid."""


class MappingError(SwkpuError):
    """A recurrence cannot be mapped on the target."""


class MemoryError(SwkpuError, builtins.MemoryError):
    """Something does not fit a memory of the target."""

    def __init__(self, memory: str, required: int, available: int, what: str = ""):
        self.memory, self.required, self.available, self.what = memory, required, available, what
        where = f" ({what})" if what else ""
        super().__init__(f"{memory} memory exceeded: {_size(required)} required, {_size(available)} available{where}")

    def __reduce__(self):
        return (type(self), (self.memory, self.required, self.available, self.what))


class ProgramError(SwkpuError):
    """A .kpu file, or a program in memory, is malformed."""


class SimulationError(SwkpuError):
    """A program did something illegal while running."""


class InputError(SwkpuError):
    """An input array or file does not fit the program."""


class CalibrationError(SwkpuError):
    """Calibration has no data, or data, ranges or a file that make no sense."""


class CalibrationWarning(UserWarning):
    """Calibration that may not be worth much, or is not used."""


def _size(n: int) -> str:
    return f"{n // 1024}KB" if n >= 1024 else f"{n}B"
