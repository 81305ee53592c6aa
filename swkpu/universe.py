"""Our dialects and passes for `xdsl-opt` itself (entry point group `xdsl.universe`)."""

from __future__ import annotations

from xdsl.universe import Universe

from swkpu.io import df_dialect, kpu_dialect, nn_dialect
from swkpu.passes.pipeline import PASSES

SWKPU_UNIVERSE = Universe(
    all_dialects={"nn": nn_dialect, "df": df_dialect, "kpu": kpu_dialect}, all_passes=dict(PASSES)
)
