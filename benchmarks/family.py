"""Every network of the family: what a sampled image costs through its engine, against full passes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import engine_runs
from benchmarks.models import from_recipe
from benchmarks.tables import short, table
from benchmarks.timing import Timing, alternate
from pixelcnn import engines

RECIPES = (
    "keras-mnist",
    "gated-mnist",
    "compact-mnist",
    "row-lstm-mnist",
    "diagonal-bilstm-mnist",
    "snail-mnist",
    "made-mnist",
    "compact-cifar10",
    "pixelcnnpp-cifar10-small",
)
"""A recipe of every network, on binary digits, and of some on colour images of 256 levels.

Not ``snail-cifar10``: looking up costs more in later rows, so that no few rows speak for the image."""
BATCH, QUICK_BATCH = 16, 2
QUICK = RECIPES[:4]


@dataclass(frozen=True)
class Row:
    """One recipe's network at one batch."""

    recipe: str
    engine: str
    batch: int
    parameters: int
    full: Timing
    own: Timing

    @property
    def ratio(self) -> float:
        """Times that full passes take what the network's engine takes."""
        return self.full.median / self.own.median


def measure(name: str, batch: int, rounds: int) -> Row:
    """Full passes, extrapolated from a pixel, in turn with the engine that ``auto`` takes."""
    model = from_recipe(name)
    engine = engines.choose(model).name
    full = engine_runs.full_passes(model, batch)
    own = full if engine == "full" else engine_runs.drawing(model, batch, engine)[0]
    timings = alternate({"full": full, "own": own}, rounds)
    parameters = model.parameters_count
    return Row(name, engine, batch, parameters, timings["full"], timings["own"])


def run(names: Sequence[str], batch: int, rounds: int) -> Iterator[Row]:
    """The rows of one network after the other."""
    for name in names:
        yield measure(name, batch, rounds)


def report(rows: Sequence[Row]) -> str:
    """Seconds for an image, and how many times less than full passes."""
    head = ("recipe", "parameters", "engine", "full, s an image", "engine, s an image", "ratio")
    body = [
        (
            row.recipe,
            f"{row.parameters:,}",
            row.engine,
            short(row.full.median / row.batch),
            short(row.own.median / row.batch),
            f"{short(row.ratio)}×",
        )
        for row in rows
    ]
    note = (
        "full: extrapolated from one pixel, all of whose channels take one pass if the network goes by "
        "pixel; cached, where an image is large: from some rows"
    )
    return f"batch {rows[0].batch}\n\n{table(head, body)}\n\n{note}"
