"""The conformance benchmark tells right from wrong, and a few operators that must stay whole."""

import math

import pytest
import torch

pytest.importorskip("expecttest", reason="torch's operator tests need it")

from benchmarks.conformance import Outcome, Sample, conformance, difference, summary


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [
        ([torch.ones(3)], [torch.ones(3) + 1e-6], None),
        ([torch.tensor([math.nan, math.inf])], [torch.tensor([math.nan, math.inf])], None),
        ([torch.ones(3)], [torch.ones(3) + 1e-3], "result 0: Tensor-likes are not close"),
        ([torch.ones(3)], [torch.ones(3, 1)], r"result 0 is torch.float32\[3\], expected torch.float32\[3, 1\]"),
        ([torch.ones(3)], [torch.ones(3).long()], r"result 0 is torch.float32\[3\], expected torch.int64\[3\]"),
        ([torch.tensor(1), torch.tensor(2)], [torch.tensor(1), torch.tensor(3)], "result 1: Scalars are not equal"),
        ([torch.tensor(1)], [torch.tensor(1), 2], "1 results, expected 2"),
        ([torch.tensor(1), 3], [torch.tensor(1), 2], "result 1 is 3, expected 2"),
    ],
)
def test_difference(found: list[object], expected: list[object], message: str | None) -> None:
    fault = difference(found, expected, len(expected))
    if message is None:
        assert fault is None
    else:
        with pytest.raises(ValueError, match=message):
            raise ValueError(fault)


def test_verdicts() -> None:
    assert Outcome("a", passed=2).verdict == "whole"
    assert Outcome("a", passed=2, refusals=["x"]).verdict == "partial"
    assert Outcome("a", refusals=["x"]).verdict == "refused"
    assert Outcome("a", passed=2, refusals=["x"], faults=["y"]).verdict == "wrong"


def test_sample_says_its_arguments() -> None:
    sample = Sample(torch.add, ((torch.ones(2, 3), [1, 2]), {"alpha": 2}))
    assert str(sample) == "float32[2, 3], [1, 2], alpha=2"
    assert len(sample.inputs) == 1


def test_operators() -> None:
    outcomes = list(conformance(cap=3, only=["=add", "=cauchy", "=nn_functional_gelu"]))
    assert {o.name: o.verdict for o in outcomes} == {"add": "whole", "cauchy": "refused", "nn_functional_gelu": "whole"}
    text = summary(outcomes, 3)
    assert "3 operators: 2 whole, 0 partial, 1 refused, 0 wrong" in text and "aten.cauchy.default" in text
