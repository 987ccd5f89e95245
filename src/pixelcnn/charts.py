"""Charts as SVG and tables as HTML, for reports and notebooks; they follow a light or dark page."""

import math
from collections.abc import Iterable, Mapping, Sequence

from pixelcnn.text import escaped as escape

COLOURS = ("var(--accent, #2f6fde)", "var(--second, #c4552d)")
LEFT, RIGHT, TOP, BOTTOM = 56, 620, 34, 240
HEAD = (
    '<svg viewBox="0 0 640 290" xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" '
    'font-size="13" fill="currentColor" aria-hidden="true">'
)

Curve = Sequence[tuple[float, float]]


def learning_curve(curves: Mapping[str, Curve], x: str, y: str) -> str:
    """Curves over training, at most two of them.

    They take the colours ``--accent`` and ``--second`` of the page's style, all else the colour of
    the surrounding text.

    Args:
        curves: points (x, y) of each curve by its name, at least one point in all.
        x: what the horizontal axis shows.
        y: what the vertical axis shows.

    Example:
        >>> learning_curve({"val": [(1, 2.0), (2, 1.5)]}, "epoch", "bits/dim").count("<polyline")
        1
    """
    points = [point for curve in curves.values() for point in curve]
    right = max(p[0] for p in points)
    ticks = round_steps(min(p[1] for p in points), max(p[1] for p in points))
    low, high = ticks[0], ticks[-1]

    def place(point: tuple[float, float]) -> tuple[float, float]:
        # Ticks are rounded: those of values that hardly differ may all be one.
        across, up = point[0] / (right or 1.0), (point[1] - low) / ((high - low) or 1.0)
        return LEFT + (RIGHT - LEFT) * across, BOTTOM - (BOTTOM - TOP) * up

    lines = [HEAD]
    for tick in ticks:
        height = place((0, tick))[1]
        lines.append(
            f'<path d="M{LEFT} {height:.1f}H{RIGHT}" stroke="currentColor" stroke-opacity=".15"/>'
        )
        lines.append(text(f"{tick:g}", LEFT - 8, height + 4, "end"))
    for index, (name, curve) in enumerate(curves.items()):
        track = " ".join(f"{a:.1f},{b:.1f}" for a, b in map(place, curve))
        colour = COLOURS[index]
        lines.append(
            f'<polyline points="{track}" fill="none" stroke="{colour}" stroke-width="2.5" '
            'stroke-linejoin="round"/>'
        )
        across, up = place(curve[-1])
        lines.append(f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4" fill="{colour}"/>')
        lines.append(text(name, RIGHT - 8, TOP + 16 + 20 * index, "end", colour))
    below = [tick for tick in round_steps(0, right) if tick <= right]
    lines += [text(f"{t:g}", place((t, low))[0], BOTTOM + 20, "middle") for t in below]
    lines.append(text(x, (LEFT + RIGHT) / 2, BOTTOM + 42, "middle"))
    lines.append(text(y, 4, TOP - 18, "start"))
    return "\n".join([*lines, "</svg>"])


def table(rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """Cells as an HTML table, their first column as headings.

    Example:
        >>> table([("nats", 65.15), ("data", "<mine>")])
        '<table><tr><th>nats</th><td>65.15</td></tr><tr><th>data</th><td>&lt;mine&gt;</td></tr></table>'
    """
    lines = (
        f"<tr><th>{escape(str(first))}</th>"
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}{''.join(lines)}</table>"


def text(words: str, x: float, y: float, anchor: str, colour: str = "currentColor") -> str:
    """Words at a place."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(words)}</text>"


def round_steps(low: float, high: float) -> list[float]:
    """About five round numbers that enclose ``low`` and ``high``.

    Example:
        >>> round_steps(1.2, 3.9)
        [1.0, 2.0, 3.0, 4.0]
    """
    rough = ((high - low) or 1.0) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * min(m for m in (1, 2, 5, 10) if m * unit >= rough or m == 10)
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    return [round(number * step, 10) for number in range(first, last + 1)]
