"""Bounds on what a program may say, and the guards that the checks are made of."""

from __future__ import annotations

from collections.abc import Sequence

from swkpu.errors import ProgramError

MAX_VALUE = 1 << 62
"""Largest magnitude of any number: sums of two still fit 64 bits."""
MAX_COMMANDS_RUN = 50_000_000
"""Commands that a program may run, loops unrolled."""
MAX_DOMAIN_DIMS = 16
MAX_DOMAIN_POINTS = 1 << 36
"""Points of the domain box of one `exec` on one tile."""
MAX_ACCESS_POINTS = 1 << 26
"""Points at which one `exec` on one tile reads an operand or writes its result; overlapping windows count apart."""


def expect(condition: bool, message: str) -> None:
    if not condition:
        raise ProgramError(message)


def expect_index(index: int, sequence: Sequence[object], what: str) -> None:
    if not 0 <= index < len(sequence):
        raise ProgramError(f"{what} {index}, and there are {len(sequence)}")
