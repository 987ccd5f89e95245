"""Sampling, training and scoring on this machine, against naive code, the Keras tutorial and matrix products.

Every figure but those of the part gpu is the median of runs in which all contenders take turns. Absolute ones
differ from machine to machine and from day to day: compare lines of one run, and run nothing beside it.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import (
    averages,
    codec_rates,
    codec_speed,
    family,
    gpu,
    growth,
    sampling,
    speedrun,
    training,
    trainings,
)
from benchmarks.machine import describe, machine
from benchmarks.models import RECIPES, models

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "growth.png"
BATCHES, QUICK_BATCHES = (1, 16, 64, 256), (1, 16)
TRAINED = {"keras-mnist": 128, "gated-mnist": 16, "digits": 32}
QUICK_TRAINED = {"digits": 32}
"""Recipes whose training step is measured, and the images of a batch."""
IMAGES, QUICK_IMAGES = 1_000, 20
"""Test images of a data set in the part codec."""
Rows = Sequence[object]
"""What a part has measured, as ``--json`` keeps it: dataclasses, and what JSON holds itself."""
Found = Iterator[tuple[str, Rows]]
"""Tables as they are ready, and what stands in them."""


def sample(options: argparse.Namespace) -> Found:
    """A table a network."""
    measured = models(options.networks, options.model)
    for rows in sampling.run(measured, options.batches, options.rounds, keras=options.keras):
        yield sampling.report(measured[rows[0].network], rows), rows


def relate(options: argparse.Namespace) -> Found:
    """One table of all networks."""
    names, batch = family.RECIPES, family.BATCH
    if options.quick:
        names, batch = family.QUICK, family.QUICK_BATCH
    rows = list(family.run(names, batch, options.rounds))
    yield family.report(rows), rows


def grow(options: argparse.Namespace) -> Found:
    """A table a sweep; draws them all unless the run is a quick one."""
    curves = []
    for sweep in growth.run(options.rounds, quick=options.quick):
        curves += sweep
        yield growth.report(sweep), sweep
    if options.plot:
        growth.plot(curves, options.plot)
        yield f"plot: {options.plot}", []


def train(options: argparse.Namespace) -> Found:
    """A table a network."""
    for name, batch in (QUICK_TRAINED if options.quick else TRAINED).items():
        timings, memory = training.measure(name, batch, options.rounds, keras=options.keras)
        row = {"network": name, "batch": batch, "seconds": timings, "peak_memory_gb": memory}
        yield training.report(name, batch, timings, memory), [row]


def on_gpu(options: argparse.Namespace) -> Found:
    """The report of a GPU, part by part."""
    for part in gpu.measure(options.out, options.minutes, options.data):
        yield str(part), [{"part": part.title, "rows": part.rows, "failures": part.failures}]
    yield f"report: {options.out / 'gpu.md'}", []


def code(options: argparse.Namespace) -> Found:
    """A table of what images cost, and how far the files lie above their models."""
    models = codec_rates.chosen(options.model)
    limit = options.images or (QUICK_IMAGES if options.quick else IMAGES)
    columns = []
    for column in codec_rates.run(options.sets, models, limit):
        columns.append(column)
        yield f"{codec_rates.SETS[column.name]} is done", [column]
    yield codec_rates.report(columns), []
    for column in columns:
        if column.images and (model := models.get(column.name)):
            found = codec_rates.check(model, codec_rates.load(column.name, limit).test)
            yield f"{column.name}, {found}", [{"data": column.name, **found._asdict()}]


def code_fast(options: argparse.Namespace) -> Found:
    """How fast images are coded, a table a model, and in how much memory."""
    for row in codec_speed.run(options.rounds, quick=options.quick):
        yield codec_speed.report(row, options.rounds), [row]
    sizes = codec_speed.QUICK_GROWTH if options.quick else codec_speed.GROWTH
    peaks = codec_speed.memory(sizes)
    yield codec_speed.memory_report(peaks), [found._asdict() for found in peaks]


PARTS: dict[str, Callable[[argparse.Namespace], Found]] = {
    "sampling": sample,
    "family": relate,
    "growth": grow,
    "training": train,
}
"""What ``all`` measures."""
CODEC = {"codec-rates": code, "codec-speed": code_fast}
APART = CODEC | {"gpu": on_gpu}
"""What has to be asked for by name."""
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "trainings": trainings.main,
    "speedrun": speedrun.main,
    "averages": averages.main,
}
"""What measures nothing of its own beside others, and has options of its own."""


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers from 1, separated by commas."""
    found = tuple(int(word) for word in text.split(","))
    if min(found) < 1:
        raise ValueError(text)
    return found


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line; a quick run is short in every way that is not asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts",
        nargs="*",
        help=f"{', '.join(PARTS)} or all (all); or {', '.join([*APART, *COMMANDS])}",
    )
    parser.add_argument("--quick", action="store_true", help="a minute or two, without Keras")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run's seconds, too")
    parser.add_argument("--rounds", type=int, help="runs of each contender (5; quick 3)")
    parser.add_argument("--batches", type=numbers, help="1,16,64,256; quick 1,16")
    parser.add_argument(
        "--networks", nargs="*", default=RECIPES, choices=RECIPES, help="sample from these recipes"
    )
    parser.add_argument(
        "--model",
        nargs="*",
        default=(),
        help="and from these model files; of the part codec-rates: DATASET=FILE",
    )
    parser.add_argument(
        "--images", type=int, help=f"of the part codec ({IMAGES:,}; quick {QUICK_IMAGES})"
    )
    parser.add_argument(
        "--sets", nargs="*", default=list(codec_rates.SETS), choices=codec_rates.SETS,
        help="data sets of the part codec-rates",
    )  # fmt: skip
    parser.add_argument("--no-keras", dest="keras", action="store_false", help="without Keras")
    parser.add_argument("--plot", type=Path, help=f"of the growth ({PICTURE.name}; quick none)")
    parser.add_argument("--minutes", type=float, default=8.0, help="of the part gpu (8)")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), metavar="FOLDER",
                        help="of the part gpu: report, logs and a training (runs/gpu)")  # fmt: skip
    parser.add_argument("--data", type=Path, metavar="FOLDER",
                        help="with the data sets, for the part gpu ($PIXELCNN_DATA)")  # fmt: skip
    options = parser.parse_args(words)
    several = {"all": tuple(PARTS), "codec": tuple(CODEC)}
    asked: list[str] = options.parts or ["all"]
    parts = (part for word in asked for part in several.get(word, (word,)))
    options.parts = list(dict.fromkeys(parts))
    if unknown := set(options.parts) - {*PARTS, *APART}:
        parser.error(
            f"no part called {unknown.pop()!r}; known: {', '.join(PARTS | APART)}, codec, all"
        )
    if not options.minutes > 0:
        parser.error(f"--minutes must be above 0, got {options.minutes:g}")
    options.keras = options.keras and not options.quick
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.batches = options.batches or (QUICK_BATCHES if options.quick else BATCHES)
    options.plot = options.plot or (None if options.quick else PICTURE)
    return options


def main(words: Sequence[str] | None = None) -> None:
    """Measures the parts one after the other."""
    words = sys.argv[1:] if words is None else words
    if words and words[0] in COMMANDS:
        sys.exit(COMMANDS[words[0]](words[1:]))
    options = parse(words)
    how = (
        ""
        if set(options.parts) <= set(APART)
        else f"medians of {options.rounds} alternating runs\n"
    )
    print(f"{describe()}\n{how}", flush=True)
    measured: dict[str, object] = {"machine": machine(), "rounds": options.rounds}
    for part in options.parts:
        began, found = time.perf_counter(), list[object]()
        for text, rows in (PARTS | APART)[part](options):
            print(f"{text}\n", flush=True)
            found += rows
            measured[part] = found
            if options.json:
                content = json.dumps(measured, indent=1, default=dataclasses.asdict)
                options.json.write_text(f"{content}\n", encoding="utf-8")
        print(f"{part} took {time.perf_counter() - began:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
