"""How far outputs are from eager fp32."""

from __future__ import annotations

from benchmarks.measure import Case
from benchmarks.metric import Goal, Metric, above, below


def _relative(case: Case) -> Goal | None:
    return below(1e-5) if case.precision == "fp32" else None


def _sqnr(case: Case) -> Goal | None:
    if case.precision == "bf16":
        return above(30 if case.model == "mobilenet_v2" else 35)
    return above(52) if case.precision == "fp16" else None


METRICS = (
    Metric("max_rel_diff", lambda m: m.check.max_rel_diff, ".2e", _relative),
    Metric("sqnr_db", lambda m: m.check.sqnr_db, ".1f", _sqnr),
    Metric("top1_match", lambda m: None if m.check.top1_match is None else int(m.check.top1_match), "d"),
)
