"""A training step: this library's, plain convolutions, and Keras; and what the trainer costs around it."""

import copy
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch

import pixelcnn as px
from benchmarks import gemm
from benchmarks.arithmetic import live_flops
from benchmarks.keras_backends import MODES, loops, train_step
from benchmarks.models import from_recipe
from benchmarks.naive import masked, naive
from benchmarks.tables import short, table
from benchmarks.timing import Action, Timing, alternate, timed
from benchmarks.workers import worker
from pixelcnn import PixelModel
from pixelcnn.memory import keep_memory
from pixelcnn.training import recipe as recipes
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.caller import lay_out
from pixelcnn.training.likelihood import Loss, autocast, resolve_precision
from pixelcnn.training.schedules import optimiser

Step = Callable[[], None]
"""Takes one training step; a GPU may then be at it still."""

PLAIN = "plain PyTorch"
BARE = "bare loop"
TRAINER = "fit"
STEPS = 8
"""Steps of a run through the trainer; the first two are not counted."""
PASSES = 3
"""Arithmetic of a step in forward passes: one forward, two backward."""


def plain_training(
    model: PixelModel, device: torch.device | str, precision: str = "32", *, compiled: bool = False
) -> tuple[PixelModel, Callable[[torch.Tensor], None]]:
    """What a tutorial in PyTorch does: NCHW, dense kernels, Adam. The network, and a step on some images."""
    twin = naive(model).to(device).train()
    optimizer = torch.optim.Adam(twin.parameters(), foreach=False, fused=False)

    def loss(images: torch.Tensor) -> torch.Tensor:
        with autocast(images.device, precision):
            parameters = twin.network(twin.encode(images))  # the model itself changes the layout
        return -twin.output.log_prob(parameters.float(), images).mean()

    computed = torch.compile(loss) if compiled else loss

    def step(images: torch.Tensor) -> None:
        optimizer.zero_grad()
        computed(images).backward()
        optimizer.step()
        masked(twin)

    return twin, step


def bare_step(model: PixelModel, images: torch.Tensor, options: Any, precision: str) -> Step:
    """What ``fit`` computes in a step, without a loop around it."""
    own = copy.deepcopy(model)
    lay_out(own, str(images.device), precision, channels_last=options.channels_last)
    loss = Loss(own, precision, channels_last=options.channels_last)
    computed = torch.compile(loss) if options.compile else loss
    optimizer, average = optimiser(own, options), WeightAverage(own, options.weight_average)

    def step() -> None:
        optimizer.zero_grad()
        computed(images, None, 1 / len(images)).backward()
        if options.gradient_clip:
            torch.nn.utils.clip_grad_norm_(own.parameters(), options.gradient_clip)
        optimizer.step()
        average.update()

    return step


class StepClock:
    """A callback of ``fit`` that notes when each step was over, and waits for no GPU.

    Args:
        device: on which it trains; a GPU notes the time when it gets there.
    """

    def __init__(self, device: str) -> None:
        self.on_gpu, self.marks = device.startswith("cuda"), list[Any]()

    def on_step(self, state: Any) -> None:
        """Notes the time."""
        if self.on_gpu:
            self.marks.append(torch.cuda.Event(enable_timing=True))
            self.marks[-1].record()
        else:
            self.marks.append(time.perf_counter())

    def gaps(self) -> list[float]:
        """Seconds from each step's end to the next one's."""
        if not self.on_gpu:
            return [after - before for before, after in itertools.pairwise(self.marks)]
        self.marks[-1].synchronize()
        return [
            before.elapsed_time(after) / 1e3 for before, after in itertools.pairwise(self.marks)
        ]


def fitted(model: PixelModel, images: torch.Tensor, steps: int, options: Any) -> list[float]:
    """Seconds from one step of ``fit`` to the next.

    Args:
        model: is copied.
        images: of a step.
        steps: that are taken.
        options: how to train; batch size and epochs follow from the others.
    """
    options = replace(options, batch_size=len(images), epochs=1, validate_every=1, max_time=None)
    many = px.data.ImageSet(images.repeat(steps, 1, 1, 1), model.levels, name="random")
    clock = StepClock(options.device)
    own = copy.deepcopy(model)
    px.fit(own, many, many.limit(1), options=options, verbose=False, callbacks=[clock], trackers=[])
    return clock.gaps()


def random_images(model: PixelModel, n: int, device: str = "cpu") -> torch.Tensor:
    """Integer levels that a model could be given, always the same."""
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(model.levels, (n, *model.shape), generator=generator)
    return levels.to(device, model.image_dtype)


def contender(name: str, way: str, batch: int) -> Action:
    """A way to train a recipe's network, by its name in the table."""
    options, model = recipes.get(name).options, from_recipe(name)
    images = random_images(model, batch)
    if way == PLAIN:
        return timed(partial(plain_training(model, "cpu")[1], images.long()))
    keep_memory()
    options = replace(options, device="cpu")
    if way == TRAINER:
        return lambda: statistics.median(fitted(model, images, STEPS, options)[1:])
    return timed(bare_step(model, images, options, way.rpartition(" ")[2]))


def ways() -> list[str]:
    """The contenders beside Keras."""
    precisions = dict.fromkeys(("32", resolve_precision("auto", "cpu")))
    return [PLAIN, *(f"{BARE}, {precision}" for precision in precisions), TRAINER]


def measure(
    name: str, batch: int, rounds: int, *, keras: bool
) -> tuple[dict[str, Timing], dict[str, float]]:
    """Seconds a step of each contender, in turn with matrix products; and their memory in GB."""
    modes = MODES if keras and name == "keras-mnist" else ()
    with loops(modes) as others, ExitStack() as stack:
        workers = {running.name: running for running in others}
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
