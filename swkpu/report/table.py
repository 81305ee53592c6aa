"""The table that `print(report)` shows: totals first, then the layers."""

from __future__ import annotations

import math
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swkpu.report.report import LayerReport, Report

DASH = "–"
BINARY_UNITS = ("B", "KB", "MB", "GB", "TB")


def report_text(report: Report, width: int) -> str:
    """The whole report as text of at most `width` columns, without colour or control codes."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    out = StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False, highlight=False, markup=False)
    totals = Table(
        box=None, show_header=False, padding=(0, 2, 0, 0), title=_title(report), title_justify="left", title_style=""
    )
    totals.add_column(no_wrap=True)
    totals.add_column(overflow="fold")
    for name, value in _totals(report):
        totals.add_row(name, value)
    console.print(totals)
    console.print()
    layers = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    layers.add_column("layer", overflow="fold", ratio=3)
    layers.add_column("op", overflow="fold", ratio=2)
    for heading in ("cycles", "share", "bound", "bound by", "MACs", "DRAM", "energy"):
        layers.add_column(heading, justify="left" if heading == "bound by" else "right", no_wrap=True)
    for layer in report.layers:
        layers.add_row(*_layer_row(layer, report.cycles))
    if report.layers:
        console.print(layers)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _title(report: Report) -> str:
    return (
        f"{report.model} on {report.target} ({report.profile}, {report.clock_mhz:g} MHz), {report.precision}, "
        f"batch {report.batch}"
    )


def _totals(report: Report) -> list[tuple[str, str]]:
    traffic = report.dram_read_bytes + report.dram_write_bytes
    ratio = f", {traffic / report.compulsory_dram_bytes:.2f} × compulsory" if report.compulsory_dram_bytes else ""
    breakdown = ", ".join(f"{name} {share(v, report.energy_uj)}" for name, v in report.energy_breakdown_uj.items())
    rows = [
        ("cycles", f"{report.cycles:,}   (estimated {count(report.estimated_cycles)})"),
        (
            "lower bound",
            f"{count(report.lower_bound_cycles)}   (compute {count(report.compute_bound_cycles)}, "
            f"DRAM {count(report.dram_bound_cycles)})",
        ),
        ("efficiency", share(report.lower_bound_cycles, report.cycles) if report.lower_bound_cycles else DASH),
        ("bound by", f"{report.bound_by}   ({_utilization(report)})"),
        ("time", f"{duration(report.time_us)}   ({report.throughput_per_s:,.1f} inferences/s)"),
        ("energy", f"{energy(report.energy_uj)}   ({breakdown})"),
        ("power", f"{report.average_power_w:.2f} W of {report.tdp_w:g} W TDP{_excess(report)}"),
        (
            "DRAM traffic",
            f"{size(traffic)}   (read {size(report.dram_read_bytes)}, written {size(report.dram_write_bytes)}{ratio})",
        ),
        (
            "peak memory",
            f"L1 {size(report.peak_l1_bytes)} of {size(report.l1_bytes)}, L2 {size(report.peak_l2_bytes)} of "
            f"{size(report.l2_bytes)}, DRAM {size(report.peak_dram_bytes)} of {size(report.dram_bytes)}",
        ),
    ]
    if report.resident_l2_bound_bytes:
        over = report.resident_l2_bytes / report.resident_l2_bound_bytes
        rows.append(("stays in L2", f"{size(report.resident_l2_bytes)}, {over:.2f} × the least possible"))
    if report.check is not None:
        check = report.check
        sqnr = "no noise" if check.sqnr_db in (None, math.inf) else f"{check.sqnr_db:.1f} dB"
        top1 = "" if check.top1_match is None else f", top-1 {'matches' if check.top1_match else 'differs'}"
        rows.append(("check", f"max abs {check.max_abs_diff:.3g}, max rel {check.max_rel_diff:.3g}, SQNR {sqnr}{top1}"))
    seconds = [
        f"{name} {value:.2f} s"
        for name, value in (("compile", report.compile_seconds), ("simulate", report.simulate_seconds))
        if value is not None
    ]
    if seconds:
        rows.append(("took", ", ".join(seconds)))
    return rows


def _utilization(report: Report) -> str:
    return ", ".join(f"{name} {value:.0%}" for name, value in report.utilization.items())


def _excess(report: Report) -> str:
    if report.tdp_excess_w <= 0:
        return ""
    fits = f"{report.tdp_fits_mhz:.0f} MHz fits" if report.tdp_fits_mhz is not None else "no clock fits"
    profile = f"; profile {report.tdp_fits_profile} fits" if report.tdp_fits_profile is not None else ""
    return f": exceeds it by {report.tdp_excess_w:.2f} W, {fits}{profile}"


def _layer_row(layer: LayerReport, total_cycles: int) -> tuple[str, ...]:
    return (
        layer.name,
        layer.op,
        f"{layer.cycles:,}",
        share(layer.cycles, total_cycles),
        count(layer.lower_bound_cycles),
        layer.bound_by,
        scaled(layer.macs),
        size(layer.dram_bytes),
        energy(layer.energy_uj),
    )


def count(number: int) -> str:
    """With thousands separators; zero, which is the bound of nothing, as a dash."""
    return f"{number:,}" if number else DASH


def share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else DASH


def scaled(number: int) -> str:
    """A count with a decimal prefix."""
    if number == 0:
        return DASH
    for factor, prefix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= factor:
            return f"{number / factor:.1f}{prefix}"
    return str(number)


def size(number: int) -> str:
    """Bytes in binary units, as capacities are stated."""
    value = float(number)
    for unit in BINARY_UNITS:
        if value < 1024 or unit == BINARY_UNITS[-1]:
            return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{number} B"


def duration(microseconds: float) -> str:
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.3f} s"
    return f"{microseconds / 1e3:.3f} ms" if microseconds >= 1e3 else f"{microseconds:.2f} µs"


def energy(microjoules: float) -> str:
    return f"{microjoules / 1e3:.2f} mJ" if microjoules >= 1e3 else f"{microjoules:.2f} µJ"
