"""How fast images are coded, against the float walk and a full pass a sub-pixel, and in how much memory."""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks import engine_runs, naive
from benchmarks.models import from_recipe
from benchmarks.tables import short, table
from benchmarks.timing import Timing, alternate, timed
from pixelcnn import PixelModel, checkpoint, codec, engines, sample
from pixelcnn.codec.integers import RANGES

COLOUR = "compact-cifar10"
"""Recipe of the network for 32x32 colour images, with random weights."""
SIZES, QUICK_SIZES = {"mnist": 256, COLOUR: 8}, {"mnist": 16}
"""Models that are measured, and the images of a file."""
GROWTH, QUICK_GROWTH = (1_000, 4_000, 10_000), (64, 256)
"""Images of the files whose memory is measured."""


@dataclass(frozen=True)
class Row:
    """One model: contenders by name."""

    model: str
    images: int
    megabytes: float
    """Of the images as they are, a byte a sub-pixel."""
    timings: dict[str, Timing]


class Peak(NamedTuple):
    """The most memory in MB of a process that codes some images: at first, packing, and unpacking."""

    images: int
    start: float
    compress: float
    decompress: float


def ready(name: str) -> PixelModel:
    """A shipped model, or a recipe's with random weights, with activation ranges."""
    model = from_recipe(name) if name == COLOUR else checkpoint.load(name).eval()
    if RANGES not in model.record:
        codec.calibrate(model, sample(model, 16, seed=1))
    return model


def measure(name: str, n: int, rounds: int) -> Row:
    """A model's own images, since what a model finds unlikely is stored as it is."""
    model = ready(name)
    images = sample(model, n, seed=0)
    blob, engine = codec.compress(model, images, verify=False), engines.choose(model).name
    actions = {
        "compress": timed(lambda: codec.compress(model, images, verify=False)),
        "decompress": timed(lambda: codec.decompress(model, blob)),
        f"float walk, {engine}": engine_runs.drawing(model, n, engine)[0],
        "a full pass a sub-pixel": naive.full_pass(model, n),
    }
    return Row(name, n, images.numel() / 1e6, alternate(actions, rounds))


def run(rounds: int, *, quick: bool) -> Iterator[Row]:
    """One model after the other."""
    for name, n in (QUICK_SIZES if quick else SIZES).items():
        yield measure(name, n, rounds)


def report(row: Row, rounds: int) -> str:
    """A model's table: images and megabytes a second, and times the slowest."""
    slowest = max(timing.best for timing in row.timings.values())
    head = ("what", "images/s", "MB/s", "times the slowest")
    lines = [
        (
            what, short(row.images / timing.best), short(row.megabytes / timing.best),
            f"{short(slowest / timing.best)}×",
        )
        for what, timing in row.timings.items()
    ]  # fmt: skip
    return (
        f"{row.model}, {row.images} images, the best of {rounds} alternating runs\n\n"
        f"{table(head, lines)}\n\na full pass a sub-pixel: extrapolated from one"
    )


def memory(sizes: Sequence[int]) -> list[Peak]:
    """Each number of images in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.codec_speed"]
    found = []
    for n in sizes:
        done = subprocess.run([*command, str(n)], check=True, capture_output=True, text=True)
        found.append(Peak(*json.loads(done.stdout)))
    return found


def memory_report(peaks: Sequence[Peak]) -> str:
    """Their table."""
    head = ("images of a file", "with the model loaded, MB", "compress", "decompress")
    rows = [(f"{peak.images:,}", *(f"{size:,.0f}" for size in peak[1:])) for peak in peaks]
    return f"mnist, the most memory of a process\n\n{table(head, rows)}"


def peak() -> float:
    """The most memory in MB that this process has had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


def main(n: int) -> None:
    """Prints the peaks of this process as JSON."""
    model = ready("mnist")
    images = sample(model, 16, seed=0).repeat(-(-n // 16), 1, 1, 1)[:n]
    start = peak()
    blob = codec.compress(model, images, verify=False)
    packed = peak()
    codec.decompress(model, blob)
    print(json.dumps([n, start, packed, peak()]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
