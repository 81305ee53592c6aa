"""Our dialects and passes for `xdsl-opt` itself (entry point group `xdsl.universe`)."""

from __future__ import annotations

from xdsl.ir import Dialect
from xdsl.universe import Universe

from swkpu.passes.pipeline import PASSES


def _nn() -> Dialect:
    from swkpu.dialects.nn import NN

    return NN


def _df() -> Dialect:
    from swkpu.dialects.df import DF

    return DF


def _kpu() -> Dialect:
    from swkpu.dialects.kpu import KPU

    return KPU


SWKPU_UNIVERSE = Universe(all_dialects={"nn": _nn, "df": _df, "kpu": _kpu}, all_passes=dict(PASSES))
