"""What :mod:`benchmarks.gpu` measures in processes of its own: a fault of a GPU ends one of them alone.

A process prints a line of JSON for each figure as soon as it has it.
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.engine_runs import first_part
from benchmarks.models import built
from benchmarks.timing import now, seconds_each
from benchmarks.training import bare_step, fitted, plain_training, random_images
from pixelcnn import PixelModel
from pixelcnn.drawing import uniforms
from pixelcnn.engines.cuda import CudaEngine
from pixelcnn.engines.trace import trace
from pixelcnn.training import recipe as recipes
from pixelcnn.training.likelihood import resolve_precision
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.recipe import Recipe, Setting

STEPS = {
    "keras-mnist": {"width": 16, "depth": 1},
    "gated-cifar10": {"width": 12, "depth": 1, "head_width": 24},
    "compact-cifar10": {"width": 16, "depth": 1},
    "compact-cifar10-large": {"width": 16, "depth": 1, "head_width": 16},
    "pixelcnnpp-cifar10": {"width": 8, "blocks": 1},
}
"""Recipes whose steps are measured, and what makes their networks small enough for a processor."""

REPLAYED = "cuda"
"""The engine that draws whole images, and only on a GPU."""

SAMPLED = ("keras-mnist", "compact-cifar10")
ENGINES = ("full", "cached", REPLAYED)
BATCHES, FEW = (1, 64, 1_024), (1, 4)
"""Images drawn at a time, on a GPU and on a processor."""

SMALL_SIZE, SMALL_BATCH = (8, 8), 2
"""Height and width, and images of a step, on a processor."""

PLAIN, BARE, FIT = "plain PyTorch", "bare loop", "fit"
EAGER, COMPILED = "eager", "compiled"
WAYS = ((PLAIN, EAGER), (BARE, EAGER), (FIT, EAGER), (PLAIN, COMPILED), (FIT, COMPILED))
"""Who takes steps, and how. Compiling takes long, so it comes last."""

FITTED = (8, 200)
"""Steps that ``fit`` takes, at least and at most; the first few are not counted."""
WARM = 3

Row = dict[str, Any]


def prepared(name: str, device: str) -> tuple[Recipe, PixelModel]:
    """A recipe and its model on the processor, both small where there is no GPU."""
    small, size = (STEPS[name], SMALL_SIZE) if device == "cpu" else ({}, None)
    changes = [Setting("network", key, value) for key, value in small.items()]
    recipe = recipes.get(name).with_overrides(changes)
    return recipe, built(recipe, size)


def steps(name: str, device: str, seconds: float) -> Iterator[Row]:
    """A training step of a recipe, in every way.

    Args:
        name: of the recipe.
        device: to train on.
        seconds: for all of it, about.
    """
    recipe, model = prepared(name, device)
    options = dataclasses.replace(recipe.options, device=device)
    ways = WAYS if device != "cpu" else [way for way in WAYS if COMPILED not in way]
    precision = resolve_precision(options.precision, device)

    batch = options.batch_size if device != "cpu" else SMALL_BATCH
    images = random_images(model, batch, device)
    for who, how in ways:
        if device != "cpu":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        wanted = min(4.0, seconds / 3 / len(ways))
        yield {
            "recipe": name,
            "way": who,
            "how": how,
            "precision": precision,
            "batch": batch,
            "seconds": step_seconds(model, images, options, precision, who, how, wanted),
            "peak_memory_gb": torch.cuda.max_memory_allocated() / 1e9,
        }
    if device == "cpu":
        yield {"note": "on a processor nothing is compiled"}


def step_seconds(
    model: PixelModel,
    images: torch.Tensor,
    options: TrainingOptions,
    precision: str,
    who: str,
    how: str,
    wanted: float,
) -> float:
    """Seconds that a step takes in one way, from about as many steps as some seconds hold."""
    options = dataclasses.replace(options, compile=how == COMPILED)
    if who == PLAIN:
        _, step = plain_training(model, images.device, precision, compiled=how == COMPILED)
        return seconds_each(partial(step, images.long()), images.device, wanted)
    if who == BARE:
        step = bare_step(model, images, options, precision)
        return seconds_each(step, images.device, wanted)
    few, many = FITTED
    began = time.perf_counter()
    gaps = fitted(model, images.cpu(), few, options)[WARM:]
    room = wanted - (time.perf_counter() - began)
    count = min(many, int(room / (sum(gaps) / len(gaps))))
    if count > few and how != COMPILED:  # a second training would compile again
        gaps = fitted(model, images.cpu(), count, options)[WARM:]
    return sum(gaps) / len(gaps)


def sampling(name: str, device: str, seconds: float) -> Iterator[Row]:
    """Images of a recipe's network through the engines that a GPU has.

    Args:
        name: of the recipe.
        device: to draw on.
        seconds: for all of it, about.
    """
    model = prepared(name, device)[1].to(device)
    batches = BATCHES if device != "cpu" else FEW
    names = [name for name in ENGINES if device != "cpu" or name != REPLAYED]
    wanted = seconds / 2 / (len(batches) * len(names))
    for engine in names:
        part = replayed if engine == REPLAYED else partial(first_part, engine=engine)
        for n in batches:
            try:
                part(model, n)  # does not count
                whole, drawn = part(model, n, seconds=wanted)
            except torch.OutOfMemoryError:
                yield {"note": f"{engine}: out of memory at batch size {n}"}
                torch.cuda.empty_cache()
                continue
            yield {
                "recipe": name,
                "engine": engine,
                "batch": n,
                "seconds": whole,
                "drawn": drawn,
                "of": model.shape.dimensions,
            }


def replayed(model: PixelModel, n: int, *, seconds: float = 0.0) -> tuple[float, int]:
    """Draws n images again and again, each time from the start: captures count.

    Args:
        model: on a GPU.
        n: number of images.
        seconds: for which more are drawn.

    Returns:
        Median seconds that n images take, and all of their sub-pixels.
    """
    nothing = torch.zeros(n, *model.shape, dtype=torch.int64)
    drawn_from = nothing, nothing.bool(), uniforms(0, range(n), model.shape)
    taken: list[float] = []
    while not taken or sum(taken) < seconds:
        began = now(model.device)
        CudaEngine(model, trace(model.network), n, None).fill(*drawn_from, 1.0)
        taken.append(now(model.device) - began)
    return statistics.median(taken), model.shape.dimensions


PARTS = {"steps": steps, "sampling": sampling}


def main() -> None:
    """Prints the rows of one part for one recipe."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("recipe")
    parser.add_argument("device")
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    for row in PARTS[given.part](given.recipe, given.device, given.seconds):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
