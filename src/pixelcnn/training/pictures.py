"""Sample grids during a training, where they do not cost too much of it."""

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixelcnn import plotting, png, sampling
from pixelcnn.data import tags
from pixelcnn.folders import write_inside
from pixelcnn.record import classes_seen
from pixelcnn.scoring import condition_of
from pixelcnn.training.likelihood import Stopped
from pixelcnn.training.processes import SILENCE
from pixelcnn.training.signals import StopFlag
from pixelcnn.training.trainer import Trainer

SHARE, LEAST = 0.1, 3.0
"""Part of the training time that a grid may take, and seconds that it may always take."""

TRIAL = 0.02
"""Part of a grid after which its whole time is estimated, again and again."""


class TooSlow(Exception):
    """A grid that would take too long: so many seconds."""


def draw(trainer: Trainer, *, averaged: bool = True, anew: bool = True) -> None:
    """Draws a grid of a training's model into its folder, and shows it to its trackers.

    It is left out where it would take more than a tenth of the seconds of training since the last one.

    Args:
        trainer: of the training, whose epoch names the picture; the main process draws.
        averaged: with the averaged weights in place of those in the model.
        anew: even if there is one; otherwise what a killed run has left undrawn, in its time.
    """
    start, state, processes = time.monotonic(), trainer.state, trainer.processes
    seconds = start - trainer.drawn if anew else trainer.clock.elapsed / state.epoch
    if trainer.folder is not None and processes.is_main and trainer.options.sample_count:
        path = trainer.folder.samples / f"epoch-{state.epoch:04d}.png"
        longest = SILENCE.total_seconds() / 2 if processes.size > 1 else math.inf  # others wait
        if anew or not path.exists():
            with trainer.average.applied() if averaged else contextlib.nullcontext():
                _draw_in_time(trainer, path, seconds, longest)
    trainer.drawn = time.monotonic()
    trainer.clock.pause(trainer.drawn - start)


def _draw_in_time(trainer: Trainer, path: Path, seconds: float, longest: float) -> None:
    recorder = trainer.recorder
    try:
        picture = grid(trainer, path, min(max(LEAST, SHARE * seconds), longest))
    except TooSlow as slow:
        recorder.talk.say(
            f"no sample grid: {trainer.options.sample_count} images would take about"
            f" {slow.args[0]:.0f}s, more than a tenth of the {seconds:.0f}s of training; draw them"
            " afterwards with pixelcnn sample",
            key="grid",
        )
    except Stopped:
        return
    else:
        pixels = np.asarray(picture.convert("RGB"))[None]
        recorder.trackers.log_images("samples", pixels, trainer.state.step)


def grid(trainer: Trainer, path: Path, seconds: float) -> Image.Image:
    """Draws images of the classes that a model was trained on, or the conditions of validation, in turn.

    The seed is the same for every epoch, so that pictures compare.

    Args:
        trainer: of the training.
        path: of the picture.
        seconds: that it may take.

    Raises:
        TooSlow: once it shows that all of it would take longer.
        Stopped: a signal came.
    """
    model, count = trainer.model, trainer.options.sample_count
    given = condition_of(model, trainer.val)
    if (own := tags.of(model)).kind == "label":
        given = torch.tensor(classes_seen(model.record, own.size))
    condition = None if given is None else given[torch.arange(count) % len(given)]
    seed, watch = trainer.options.seed, _watch(trainer.stop, seconds)
    images = sampling.sample(model, count, seed=seed, condition=condition, callback=watch)
    picture = plotting.grid(images, model.levels)
    write_inside(path, png.page(picture))
    return picture


def _watch(stop: StopFlag, seconds: float) -> Callable[[int, int, Tensor], None]:
    """A sampling callback that gives up after a signal, or once it knows that the seconds will not do."""
    begun: list[tuple[int, float]] = []

    def callback(done: int, total: int, _: Tensor) -> None:
        if stop:
            raise Stopped
        if not begun:
            begun.append((done, time.monotonic()))  # what came before was preparation
        first, start = begun[0]
        if done > first + TRIAL * total:
            whole = (time.monotonic() - start) * total / (done - first)
            if whole > seconds:
                raise TooSlow(whole)

    return callback
