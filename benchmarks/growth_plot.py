"""A small plot of seconds over layers, as SVG: a point per model, and the line through them."""

from __future__ import annotations

from math import floor, log10
from typing import Any
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 20, 50
FONT = 'font-family="sans-serif" font-size="12"'


def ticks(most: float, about: int = 5) -> list[float]:
    """Round numbers from 0 to beyond `most`: multiples of 1, 2 or 5 times a power of ten."""
    rough = most / about if most > 0 else 1.0
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    count = int(-(-most // step))
    return [round(i * step, 10) for i in range(count + 1)]


def svg(found: dict[str, Any]) -> str:
    """`found` as `compile_growth` measures it."""
    rows = found["rows"]
    x_ticks = ticks(max(row["layers"] for row in rows))
    y_ticks = ticks(max(row["seconds"] for row in rows))
    start, slope = found["seconds_at_0"], found["seconds_per_layer"]

    def x(layers: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * layers / x_ticks[-1]

    def y(seconds: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * seconds / y_ticks[-1]

    def text(at_x: float, at_y: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}" {FONT}>{escape(words)}</text>'

    def segment(x1: float, y1: float, x2: float, y2: float, color: str) -> str:
        return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>'

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">']
    parts.append(f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>')
    for tick in x_ticks:
        parts += [segment(x(tick), y(0), x(tick), y(0) + 4, "black"), text(x(tick), y(0) + 18, f"{tick:g}")]
    for tick in y_ticks:
        parts += [
            segment(x(0), y(tick), WIDTH - RIGHT, y(tick), "#dddddd"),
            text(LEFT - 8, y(tick) + 4, f"{tick:g}", "end"),
        ]
    parts.append(segment(x(0), y(0), WIDTH - RIGHT, y(0), "black"))
    last = max(row["layers"] for row in rows)
    parts.append(segment(x(0), y(max(start, 0.0)), x(last), y(start + slope * last), "#888888"))
    for row in rows:
        parts.append(f'<circle cx="{x(row["layers"]):.1f}" cy="{y(row["seconds"]):.1f}" r="4" fill="#1f5fa8"/>')
        parts.append(text(x(row["layers"]) - 8, y(row["seconds"]) - 8, row["model"], "end"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "layers of the program"))
    parts.append(text(LEFT, 12, "CPU seconds, nn to .kpu", "start"))
    return "\n".join([*parts, "</svg>\n"])
