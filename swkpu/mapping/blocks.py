"""Sizes of the blocks that a domain box reads, as numbers or as arrays over candidates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from swkpu.mapping.problem import OperandAccess, Problem

Array = np.ndarray[Any, np.dtype[np.int64]]


def span_of(exprs_coef: Iterable[tuple[int, int]], sizes: Sequence[Array | int]) -> Array | int:
    total: Any = 1
    for d, c in exprs_coef:
        total = total + abs(c) * (sizes[d] - 1)
    return total


def block_elements(operand: OperandAccess, problem: Problem, sizes: Sequence[Array | int]) -> Array | int:
    """Elements of the block that a domain box of `sizes` reads (steps taken out by the transfer)."""
    total: Any = 1
    for expr in problem.local[operand]:
        total = total * span_of(expr.terms, sizes)
    return total


def aligned_size(size: Any) -> Any:
    return -(-size // 16) * 16
