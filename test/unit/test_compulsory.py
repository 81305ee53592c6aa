"""Bytes that no schedule can avoid."""

from __future__ import annotations

import pytest
from xdsl.dialects.func import FuncOp

from swkpu.io import parse_text
from swkpu.mapping.compulsory import of_function


def _total(body: str, arguments: str, results: str) -> int:
    module = parse_text(f"func.func @main({arguments}) -> ({results}) {{\n{body}\n}}", "t")
    (func,) = [o for o in module.walk() if isinstance(o, FuncOp)]
    return of_function(func)


@pytest.mark.parametrize(
    ("access", "domain", "elements"),
    [
        ("i", "i = 8", 8),
        ("i + 1", "i = 5", 5),
        ("2*i", "i = 4", 4),
        ("2*i + k", "i = 4 | k = 2", 8),
        ("3*i + k", "i = 3 | k = 2", 6),
        ("i + k - 1", "i = 9 | k = 3", 9),
        ("2*i + 2*k", "i = 4 | k = 2", 5),
    ],
)
def test_windows_count_what_they_read(access: str, domain: str, elements: int) -> None:
    extent = int(domain.split("=")[1].split("|")[0])
    body = f"""%y = df.recurrence ({domain}) ins(%x[{access}] : tensor<9xf32>) max
      epilogue(%a: f32) {{ df.yield %a : f32 }} -> [i] : tensor<{extent}xf32>
      func.return %y : tensor<{extent}xf32>"""
    assert _total(body, "%x: tensor<9xf32>", f"tensor<{extent}xf32>") == 4 * (elements + extent)


def test_a_gather_counts_what_it_gathers() -> None:
    body = """%y = df.gather (a = 2, b = 4) %t[0, b] axis 0 by %i[a] : tensor<1000x4xf32>, tensor<2xi32>
      func.return %y : tensor<2x4xf32>"""
    assert _total(body, "%t: tensor<1000x4xf32>, %i: tensor<2xi32>", "tensor<2x4xf32>") == 4 * (8 + 2 + 8)


def test_what_is_not_used_is_not_counted() -> None:
    body = """%y = df.reshape %x : tensor<6xf32> to tensor<2x3xf32>
      %z = df.recurrence (a = 2, b = 3) none with(%y[a, b] : tensor<2x3xf32>)
      epilogue(%a: f32) { df.yield %a : f32 } -> [a, b] : tensor<2x3xf32>
      func.return %z : tensor<2x3xf32>"""
    assert _total(body, "%x: tensor<6xf32>, %unused: tensor<1000xf32>", "tensor<2x3xf32>") == 4 * 12
