"""An explanation as text: where the cycles go in the whole program, then layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from swkpu.report.categories import FAMILIES, TEXT, Lost
from swkpu.report.mapping_text import mapping_lines, mapping_words
from swkpu.report.table import DASH, count, share

if TYPE_CHECKING:
    from swkpu.report.explain import Differences, Explanation, LayerExplanation

LAYERS_OF_A_CATEGORY = 3
"""Where most of a category is; those with equally many cycles count as one."""

INDENT = "  "


def explanation_text(explained: Explanation, layers: Sequence[LayerExplanation]) -> str:
    """The program's summary, and these of its layers; those that are alike once."""
    texts = (layer_text(x, explained.cycles, rest) for x, *rest in kinds(layers))
    return "\n\n".join([_summary(explained), _categories(explained), *texts])


def kinds(layers: Sequence[LayerExplanation]) -> list[list[LayerExplanation]]:
    """Layers that are alike, mapped and timed the same, together; in the order of the first of each kind."""
    found: dict[str, list[LayerExplanation]] = {}
    for layer in layers:
        key = repr(
            (layer.op, layer.cycles, layer.bound_cycles, layer.own_cycles, sorted(layer.lost.items()), layer.tiling)
        )
        found.setdefault(key, []).append(layer)
    return list(found.values())


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
        rows += [
            ("estimate", f"{count(e.estimate.cycles)}   ({_difference(e.estimate.cycles, e.cycles)})"),
            (
                "layers",
                f"{estimate.layers} of at least {estimate.min_share:.1%} of the cycles ({estimate.covered:.0%} in all) "
                f"differ from their estimates by {_spread(estimate.differences)};",
            ),
            ("", f"without their waits for weights by {_spread(estimate.with_weights_there)}"),
        ]
    title = f"{e.model} on {e.target} ({e.profile}, {e.clock_mhz:g} MHz), {e.precision}, batch {e.batch}"
    return "\n".join([title, *(f"{name:<10}{value}" for name, value in rows)])


def _spread(d: Differences) -> str:
    return f"{d.median:.1%} (median), {d.largest:.1%} at most{f' ({d.layer})' if d.layer else ''}"


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
    by_cycles: dict[int, list[str]] = {}
    for layer in e.layers:
        by_cycles.setdefault(layer.slots.get(category.value, 0), []).append(layer.name)
    largest = sorted((n for n in by_cycles if n), key=lambda n: -abs(n) * len(by_cycles[n]))[:LAYERS_OF_A_CATEGORY]
    where = ", ".join(f"{by_cycles[n][0]} {n:,}{_times(len(by_cycles[n]))}" for n in largest)
    return f"{row}   {where}".rstrip()


def _times(count: int) -> str:
    return f" ×{count}" if count > 1 else ""


def layer_text(layer: LayerExplanation, cycles: int, alike: Sequence[LayerExplanation] = ()) -> str:
    """One layer in a few lines, and the names of others like it."""
    busiest = max(layer.utilization.values(), default=0.0)
    limit, slots = layer.limited_by
    busy = (
        "no resource busy for half of it"
        if layer.bound_by == "latency"
        else f"busiest {layer.bound_by} ({busiest:.0%})"
    )
    by = f"mostly {limit} ({share(slots, layer.cycles)}), {busy}"
    bound = "DRAM" if layer.dram_bound_cycles > layer.compute_bound_cycles else "compute"
    lines = [
        f"{layer.name}   {layer.op}   {layer.source}".rstrip(),
        f"{'cycles':<11}{layer.cycles:,}   ({share(layer.cycles, cycles)}), bound {count(layer.bound_cycles)}"
        f"{f' ({bound})' if layer.bound_cycles else ''}; {by}",
    ]
    if alike:
        lines.insert(1, f"{'and':<11}{', '.join(x.name for x in alike)}")
    if layer.estimated_cycles:
        difference = "" if layer.estimate_difference is None else f" ({layer.estimate_difference:+.1%})"
        lines.append(f"{'estimate':<11}{layer.estimated_cycles:,} against {layer.own_cycles:,}{difference}")
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
