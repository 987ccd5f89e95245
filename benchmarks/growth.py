"""How the cost of sampling grows with the image, the depth, the width and the batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import engine_runs, naive
from benchmarks.arithmetic import live_flops
from benchmarks.models import plain_stack
from benchmarks.tables import short, table
from benchmarks.timing import Action, Timing, alternate
from pixelcnn import PixelModel

BATCH = 16
SWEEPS: dict[str, tuple[int, ...]] = {
    "side": (16, 24, 32, 48, 64, 96, 128),
    "depth": (2, 4, 8, 16, 32),
    "width": (32, 64, 128, 256),
    "batch": (16, 32, 64, 128, 256),
}
QUICK: dict[str, tuple[int, ...]] = {
    "side": (16, 32, 64),
    "depth": (2, 8),
    "width": (32, 128),
    "batch": (16, 64),
}
MEANING = {"side": "pixels", "depth": "blocks", "width": "features", "batch": "images"}
"""What costs are plotted against."""


WORK = "live arithmetic"
"""The curve of operations instead of seconds."""


@dataclass(frozen=True)
class Curve:
    """One way's seconds along one sweep."""

    sweep: str
    way: str
    sizes: tuple[int, ...]
    timings: tuple[Timing, ...]

    @property
    def seconds(self) -> list[float]:
        """Medians."""
        return [timing.median for timing in self.timings]

    @property
    def exponent(self) -> float:
        """Of the power of the size that the seconds grow with."""
        return exponent(self.sizes, self.seconds)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of a line through the logarithms, by least squares.

    Example:
        >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
        2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def case(sweep: str, value: int) -> tuple[PixelModel, int]:
    """The model and the batch at one point of a sweep."""
    if sweep == "batch":
        return plain_stack(), value
    return plain_stack(**{sweep: value}), BATCH


def contenders(model: PixelModel, n: int) -> dict[str, Action]:
    """The naive loop, the cached engine, and the steps of native ones, since preparation does not grow."""
    actions = {
        "naive": naive.full_pass(model, n),
        "cached": engine_runs.drawing(model, n, "cached")[0],
    }
    for engine in engine_runs.native_engines(model):
        actions[engine] = engine_runs.native_walk(model, n, engine)
    return actions


def run(rounds: int, *, quick: bool) -> Iterator[list[Curve]]:
    """The curves of one sweep after the other; all ways and sizes of a sweep take turns."""
    for sweep, values in (QUICK if quick else SWEEPS).items():
        cases = {value: case(sweep, value) for value in values}
        actions = {
            f"{way} {value}": action
            for value, (model, n) in cases.items()
            for way, action in contenders(model, n).items()
        }
        timings = alternate(actions, rounds)
        ways = dict.fromkeys(name.rpartition(" ")[0] for name in actions)
        sizes = tuple(value**2 if sweep == "side" else value for value in values)
        curves = [
            Curve(sweep, way, sizes, tuple(timings[f"{way} {value}"] for value in values))
            for way in ways
        ]
        work = tuple(Timing((live_flops(model) * float(n),)) for model, n in cases.values())
        yield [*curves, Curve(sweep, WORK, sizes, work)]


def report(curves: Sequence[Curve]) -> str:
    """A sweep's table: seconds at each size, and the fitted exponent."""
    sweep, sizes = curves[0].sweep, curves[0].sizes
    rows = [
        (curve.way, *map(short, curve.seconds), f"{curve.exponent:.2f}")
        for curve in curves
        if curve.way != WORK
    ]
    work = curves[-1]
    gflop = (short(flops / 1e9) for flops in work.seconds)
    rows.append((f"{work.way}, GFLOP", *gflop, f"{work.exponent:.2f}"))
    what = f"seconds for a batch against {MEANING[sweep]}"
    head = (sweep, *map(str, sizes), "exponent")
    return f"{what}\n\n{table(head, rows)}"


def plot(curves: Sequence[Curve], path: Path) -> None:
    """One panel a sweep, both axes logarithmic."""
    from matplotlib.figure import Figure

    sweeps = list(dict.fromkeys(curve.sweep for curve in curves))
    figure = Figure(figsize=(11, 8), layout="constrained")
    panels = figure.subplots(-(-len(sweeps) // 2), 2, squeeze=False).flatten()
    for axes, sweep in zip(panels, sweeps, strict=False):
        mine = [curve for curve in curves if curve.sweep == sweep and curve.way != WORK]
        for curve in mine:
            axes.loglog(
                curve.sizes, curve.seconds, "o-", label=f"{curve.way}: {curve.exponent:.2f}"
            )
        axes.set_xticks(mine[0].sizes, map(str, mine[0].sizes))
        axes.set_xticks([], minor=True)
        axes.set(xlabel=MEANING[sweep], ylabel="seconds a batch", title=f"against {sweep}")
        axes.grid(visible=True, which="both", alpha=0.2)
        axes.legend(title="fitted exponent")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None} if path.suffix == ".png" else None)
