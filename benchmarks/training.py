"""A training step: this library's, plain convolutions, and Keras; and what the trainer costs around it."""

import copy
import itertools
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch

import pixelcnn as px
from benchmarks import gemm
from benchmarks.arithmetic import live_flops
from benchmarks.keras_backends import MODES, loop, train_step
from benchmarks.models import from_recipe
from benchmarks.naive import naive
from benchmarks.tables import short, table
from benchmarks.timing import Action, Timing, alternate, timed
from benchmarks.workers import Unavailable, Worker, worker
from pixelcnn import PixelModel
from pixelcnn.cli import inventory
from pixelcnn.memory import keep_memory
from pixelcnn.training import recipe as recipes
from pixelcnn.training.likelihood import log_prob
from pixelcnn.training.loop import Loop
from pixelcnn.training.precision import resolve_precision
from pixelcnn.training.schedules import optimiser

PLAIN = "plain PyTorch"
BARE = "bare loop"
TRAINER = "fit"
STEPS = 8
"""Steps of a run through the trainer; the first two are not counted."""
PASSES = 3
"""Arithmetic of a step in forward passes: one forward, two backward."""


def plain_step(model: PixelModel, images: torch.Tensor) -> Action:
    """What a tutorial in PyTorch does: NCHW, float32, dense kernels, Adam."""
    twin = naive(model).train()
    optimizer = torch.optim.Adam(twin.parameters(), foreach=False, fused=False)

    def run() -> None:
        optimizer.zero_grad()
        parameters = twin.network(twin.encode(images))  # the model itself changes the layout
        (-twin.output.log_prob(parameters, images).mean()).backward()
        optimizer.step()

    return timed(run)


def bare_step(model: PixelModel, images: torch.Tensor, options: Any, precision: str) -> Action:
    """What ``fit`` computes in a step, without a trainer around it."""
    own = copy.deepcopy(model).train()
    optimizer = optimiser(own, options)

    def run() -> None:
        optimizer.zero_grad()
        last = options.channels_last
        found = log_prob(own, images, None, precision, channels_last=last)
        (-found.mean()).backward()
        if options.gradient_clip:
            torch.nn.utils.clip_grad_norm_(own.parameters(), options.gradient_clip)
        optimizer.step()

    return timed(run)


def trainer_step(model: PixelModel, images: px.data.ImageSet, options: Any) -> Action:
    """A step of ``fit``: the median time from one to the next."""

    def run() -> float:
        starts: list[float] = []
        step = Loop._take_step

        def clocked(self: Loop) -> None:
            starts.append(time.perf_counter())
            step(self)

        Loop._take_step = clocked  # type: ignore[method-assign]
        try:
            own = copy.deepcopy(model)
            px.fit(own, images, images.limit(1), options=options, verbose=False)
        finally:
            Loop._take_step = step  # type: ignore[method-assign]
        gaps = [after - before for before, after in itertools.pairwise(starts)]
        return statistics.median(gaps[1:])

    return run


def contender(name: str, way: str, batch: int) -> Action:
    """A way to train a recipe's network, by its name in the table."""
    recipe, model = recipes.get(name), from_recipe(name)
    images = torch.randint(model.levels, (batch, *model.shape)).to(model.image_dtype)
    if way == PLAIN:
        return plain_step(model, images)
    keep_memory()
    options = replace(recipe.options, batch_size=batch, epochs=1, device="cpu", validate_every=1)
    if way != TRAINER:
        return bare_step(model, images, options, way.rpartition(" ")[2])
    stand_in = inventory.stand_in(recipe.data).limit(1)
    data = replace(stand_in, images=images.repeat(STEPS, 1, 1, 1), labels=None)
    return trainer_step(model, data, options)


def ways() -> list[str]:
    """The contenders beside Keras."""
    precisions = dict.fromkeys(("32", resolve_precision("auto", "cpu")))
    return [PLAIN, *(f"{BARE}, {precision}" for precision in precisions), TRAINER]


def measure(
    name: str, batch: int, rounds: int, *, keras: bool
) -> tuple[dict[str, Timing], dict[str, float]]:
    """Seconds a step of each contender, in turn with matrix products; and their memory in GB."""
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for backend, xla in MODES if keras and name == "keras-mnist" else ():
            try:
                running = stack.enter_context(loop(backend, xla=xla))
                workers[running.name] = running
            except Unavailable as reason:
                print(f"Keras with {backend} is left out: {reason}")
        actions = {way: train_step(running, batch) for way, running in workers.items()}
        for way in ways():
            command = [sys.executable, "-m", "benchmarks.training", name, way]
            workers[way] = stack.enter_context(worker(way, command, os.environ))
            actions[way] = partial(workers[way].ask, str(batch))
        timings = alternate(actions | gemm.products(), rounds)
        return timings, {way: running.peak_memory() for way, running in workers.items()}


def report(
    name: str, batch: int, timings: Mapping[str, Timing], memory: Mapping[str, float]
) -> str:
    """Images a second, against plain PyTorch, and of the best matrix product."""
    rates, work = gemm.best_rates(timings), PASSES * live_flops(from_recipe(name)) * batch
    bare = [way for way in timings if way.startswith(BARE)][-1]
    rows: list[Sequence[str]] = []
    for way, peak in memory.items():
        seconds = timings[way].median
        half = "bf16" in (way if way != TRAINER else bare)
        rows.append(
            (
                way,
                f"{seconds * 1e3:,.0f}",
                short(batch / seconds),
                f"{short(timings[PLAIN].median / seconds)}×",
                f"{work / seconds / rates['bf16' if half else 'fp32']:.0%}",
                f"{peak:.2f}",
            )
        )
    over = timings[TRAINER].median / timings[bare].median - 1
    head = ("what", "ms a step", "images/s", f"against {PLAIN}", "of best GEMM", "GB")
    best = ", ".join(f"{kind} {rate / 1e9:,.0f}" for kind, rate in rates.items())
    notes = f"best GEMM, GFLOP/s: {best}; {TRAINER} takes {over:+.1%} of the {BARE}'s time more"
    return f"{name}, batch {batch}\n\n{table(head, rows)}\n\n{notes}"


def main(name: str, way: str) -> None:
    """Announces itself, then answers numbers of images with the seconds of a step, until the input ends.

    The first of some steps does not count: it finds caches as another contender left them.
    """
    print("ready", flush=True)
    actions: dict[str, Action] = {}
    for line in sys.stdin:
        if line not in actions:
            actions[line] = contender(name, way, int(line))
        action, steps = actions[line], STEPS if way.startswith(BARE) else 2
        seconds = [action()] if way == TRAINER else [action() for _ in range(steps)][1:]
        print(statistics.median(seconds), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
