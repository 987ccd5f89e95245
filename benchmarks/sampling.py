"""Sampling: naive and Keras loops, the cached engine and the native ones, against each other."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import engine_runs, gemm, naive
from benchmarks.arithmetic import live_flops
from benchmarks.keras_backends import BACKENDS, PASSES, loops, seconds
from benchmarks.tables import short, table
from benchmarks.timing import Action, Timing, alternate
from benchmarks.workers import Worker
from pixelcnn import PixelModel

NAIVE = "naive"
KERAS_NETWORK = "keras-mnist"


@dataclass(frozen=True)
class Row:
    """One contender at one batch."""

    network: str
    way: str
    how: str
    batch: int
    dimensions: int
    flops: int
    timing: Timing
    naive: float
    """Seconds that the naive loop takes."""
    gemm: Mapping[str, float]
    """Best rates of matrix products, measured in turn with this."""

    @property
    def rate(self) -> float:
        """Live arithmetic a second."""
        return self.flops * self.batch / self.timing.median

    @property
    def of_gemm(self) -> float:
        """That rate against the best matrix product of the same precision."""
        return self.rate / self.gemm["bf16" if "bf16" in self.way else "fp32"]


Ways = dict[str, tuple[Action, str]]
"""Contenders by name, and how each is measured."""


def ways(model: PixelModel, n: int, loops: Sequence[Worker]) -> Ways:
    """Everything that can sample n images of a model here."""
    found: Ways = {
        loop.name: (seconds(loop, n), f"extrapolated from 1 of {PASSES} turns") for loop in loops
    }
    passes = model.shape.dimensions
    found[NAIVE] = naive.full_pass(model, n), f"extrapolated from 1 of {passes} passes"
    found["cached"] = engine_runs.drawing(model, n, "cached")
    for engine in engine_runs.native_engines(model):
        found[engine] = engine_runs.whole_images(model, n, engine), "whole images"
        alone = engine_runs.native_walk(model, n, engine)
        found[f"{engine}, steps alone"] = alone, "whole images, without preparation"
    return found


def measure(
    name: str, model: PixelModel, n: int, loops: Sequence[Worker], rounds: int
) -> list[Row]:
    """All contenders at one batch, in turn with matrix products."""
    contenders = ways(model, n, loops)
    actions = {way: action for way, (action, _) in contenders.items()}
    timings = alternate(actions | gemm.products(), rounds)
    rates, slowest, flops = gemm.best_rates(timings), timings[NAIVE].median, live_flops(model)
    dimensions = model.shape.dimensions
    return [
        Row(name, way, how, n, dimensions, flops, timings[way], slowest, rates)
        for way, (_, how) in contenders.items()
    ]


def run(
    models: Mapping[str, PixelModel], batches: Sequence[int], rounds: int, *, keras: bool
) -> Iterator[list[Row]]:
    """The rows of one network after the other."""
    for name, model in models.items():
        backends = BACKENDS if name == KERAS_NETWORK and keras else ()
        with loops((backend, False) for backend in backends) as running:
            yield [row for n in batches for row in measure(name, model, n, running, rounds)]


def report(model: PixelModel, rows: Sequence[Row]) -> str:
    """A network's table: images a second, times the naive rate, and how far native engines get."""
    batches = sorted({row.batch for row in rows})
    by = {(row.way, row.batch): row for row in rows}
    names = list(dict.fromkeys(row.way for row in rows))
    first = rows[0]
    lines = [
        (f"{way}{'*' if 'extrapolated' in by[way, batches[0]].how else ''}", *cells)
        for way in names
        for cells in [[_speed(by[way, n]) for n in batches]]
    ]
    for way in names:
        if way.endswith("alone"):
            engine = way.partition(",")[0]
            lines.append((f"{engine}, µs a step", *(_step(by[way, n]) for n in batches)))
            lines.append(
                (f"{engine}, of best GEMM", *(f"{by[way, n].of_gemm:.0%}" for n in batches))
            )
    gemms = (
        f"{precision} {min(r.gemm[precision] for r in rows) / 1e9:,.0f}"
        f"-{max(r.gemm[precision] for r in rows) / 1e9:,.0f}"
        for precision in first.gemm
    )
    head = (
        f"{first.network}: {model.shape}, {model.levels} levels, {model.parameters_count:,} "
        f"parameters, {first.flops / 1e6:,.0f} MFLOP live an image\n"
        f"images a second (times the naive rate); best GEMM, GFLOP/s: {', '.join(gemms)}\n"
    )
    notes = {f"* {row.way}: {row.how}": None for row in rows if "extrapolated" in row.how}
    widest = max(rows, key=lambda row: row.timing.spread)
    spread = f"runs lie up to {widest.timing.spread:.0%} apart ({widest.way}, batch {widest.batch})"
    body = table(("way", *(f"batch {n}" for n in batches)), lines)
    return "\n".join([head, body, "", *notes, spread])


def _speed(row: Row) -> str:
    seconds = row.timing.median
    return f"{short(row.batch / seconds)} ({short(row.naive / seconds)}×)"


def _step(row: Row) -> str:
    return short(row.timing.median / row.dimensions * 1e6)
