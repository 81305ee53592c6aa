"""An explanation as text: where the cycles go in the whole program, then layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from swkpu.report.categories import FAMILIES, TEXT, Lost
from swkpu.report.mapping_text import mapping_lines, mapping_words
from swkpu.report.table import DASH, count, share

if TYPE_CHECKING:
    from swkpu.report.explain import Explanation, LayerExplanation

LAYERS_OF_A_CATEGORY = 3
INDENT = "  "


def explanation_text(explained: Explanation, layers: Sequence[LayerExplanation]) -> str:
    """The program's summary, and these of its layers."""
    blocks = [_summary(explained), _categories(explained), *(layer_text(x, explained.cycles) for x in layers)]
    return "\n\n".join(blocks)


def _summary(e: Explanation) -> str:
    estimate = e.estimate
    rows = [
        ("cycles", f"{e.cycles:,}"),
        (
            "bound",
            f"{count(e.bound_cycles)}   (compute {count(e.compute_bound_cycles)}, DRAM {count(e.dram_bound_cycles)})",
        ),
        ("lost", f"{e.lost_cycles:,}   ({share(e.lost_cycles, e.cycles)} of the cycles)"),
    ]
    if estimate.layers:
        worst = f" ({estimate.largest_layer})" if estimate.largest_layer else ""
        rows += [
            ("estimate", f"{count(e.estimate.cycles)}   ({_difference(e.estimate.cycles, e.cycles)})"),
            (
                "layers",
                f"{estimate.layers} of at least {estimate.min_share:.1%} of the cycles ({estimate.covered:.0%} in all) "
                f"differ from their estimates by {estimate.median_difference:.1%} (median), "
                f"{estimate.largest_difference:.1%} at most{worst}",
            ),
        ]
    title = f"{e.model} on {e.target} ({e.profile}, {e.clock_mhz:g} MHz), {e.precision}, batch {e.batch}"
    return "\n".join([title, *(f"{name:<10}{value}" for name, value in rows)])


def _difference(estimated: int, simulated: int) -> str:
    return f"{estimated / simulated - 1:+.1%}" if estimated and simulated else DASH


def _categories(e: Explanation) -> str:
    """Lost cycles by family and category, each with the layers that lose most."""
    lines = [f"{'where they go':<22}{'cycles':>12}{'of all':>8}   most of it in"]
    for family in FAMILIES:
        members = [c for c in family.members if e.lost.get(c.value)]
        if not members:
            continue
        total = sum(e.lost[c.value] for c in members)
        lines.append(f"{family.name:<22}{total:>12,}{share(total, e.cycles):>8}")
        lines += [_category(e, c) for c in members]
    return "\n".join(lines)


def _category(e: Explanation, category: Lost) -> str:
    cycles = e.lost[category.value]
    row = f"  {category.value:<20}{cycles:>12,}{share(cycles, e.cycles):>8}"
    ordered = sorted(e.layers, key=lambda x: -abs(x.slots.get(category.value, 0)))[:LAYERS_OF_A_CATEGORY]
    where = ", ".join(f"{x.name} {x.slots[category.value]:,}" for x in ordered if x.slots.get(category.value))
    return f"{row}   {where}".rstrip()


def layer_text(layer: LayerExplanation, cycles: int) -> str:
    """One layer in a few lines."""
    busiest = max(layer.utilization.values(), default=0.0)
    by = f"{layer.bound_by} ({busiest:.0%} busy)" if layer.bound_by != "latency" else "latency"
    bound = "DRAM" if layer.dram_bound_cycles > layer.compute_bound_cycles else "compute"
    lines = [
        f"{layer.name}   {layer.op}   {layer.source}".rstrip(),
        f"{'cycles':<11}{layer.cycles:,}   ({share(layer.cycles, cycles)}), bound {count(layer.bound_cycles)}"
        f"{f' ({bound})' if layer.bound_cycles else ''}, bound by {by}",
    ]
    if layer.estimated_cycles:
        difference = "" if layer.estimate_difference is None else f" ({layer.estimate_difference:+.1%})"
        own, dram = layer.own_cycles, layer.dram_cycles
        against = f"{own:,}" if own >= dram else f"{dram:,} of DRAM time"
        lines.append(f"{'estimate':<11}{layer.estimated_cycles:,} against {against}{difference}")
    lines += _labelled("mapping", mapping_lines(layer.tiling))
    lines += _labelled("next best", [f"{a['cycles']:,}: {mapping_words(a)}" for a in layer.alternatives])
    lines += _labelled("lost", _lost(layer))
    return "\n".join(f"{INDENT if i else ''}{line}" for i, line in enumerate(lines))


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    return [f"{'' if i else label:<11}{line}" for i, line in enumerate(lines)]


def _lost(layer: LayerExplanation) -> list[str]:
    """The whole, and each category in order of size with its meaning."""
    ordered = sorted(layer.lost.items(), key=lambda item: -abs(item[1]))
    rows = [f"{cycles:>11,}{share(cycles, layer.cycles):>8}   {name:<16}{TEXT[Lost(name)]}" for name, cycles in ordered]
    return [f"{layer.lost_cycles:>11,}{share(layer.lost_cycles, layer.cycles):>8}", *rows]
