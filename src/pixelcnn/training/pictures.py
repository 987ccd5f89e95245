"""Sample grids during a training, where they do not cost too much of it."""

import io
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from pixelcnn import plotting, sampling
from pixelcnn.checkpoint import write_atomically
from pixelcnn.model import PixelModel
from pixelcnn.training.likelihood import Stopped

SHARE, LEAST = 0.1, 3.0
"""Part of the training time that a grid may take, and seconds that it may always take."""

TRIAL = 0.02
"""Part of a grid after which its whole time is estimated, again and again."""


class TooSlow(Exception):
    """A grid that would take too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def draw_grid(
    model: PixelModel,
    path: Path,
    count: int,
    seed: int,
    seconds: float,
    stop: Callable[[], bool] = lambda: False,
    given: Tensor | None = None,
) -> Image.Image:
    """Draws images and saves them as one picture, which it returns.

    Args:
        model: a class-conditional one draws its classes in turn.
        path: of the picture.
        count: images.
        seed: of the uniform numbers: the same for every epoch, so that pictures compare.
        seconds: that it may take.
        stop: asked after every position.
        given: conditions that are no classes, taken in turn.

    Raises:
        TooSlow: once it shows that all of it would take longer.
        Stopped: ``stop`` said so.
    """
    if model.network.condition == "label":
        given = torch.arange(model.network.condition_size)
    condition = None if given is None else given[torch.arange(count) % len(given)]
    callback = watch(seconds, stop)
    images = sampling.sample(model, count, seed=seed, condition=condition, callback=callback)
    picture, file = plotting.grid(images, model.levels), io.BytesIO()
    picture.save(file, "PNG")
    write_atomically(path, file.getvalue())
    return picture


def watch(seconds: float, stop: Callable[[], bool]) -> Callable[[int, int, Tensor], None]:
    """A sampling callback that gives up when told to, or once it knows that ``seconds`` will not do."""
    begun: list[tuple[int, float]] = []

    def callback(done: int, total: int, _: Tensor) -> None:
        if stop():
            raise Stopped
        if not begun:
            begun.append((done, time.monotonic()))  # what came before was preparation
        first, start = begun[0]
        if done > first + TRIAL * total:
            whole = (time.monotonic() - start) * total / (done - first)
            if whole > seconds:
                raise TooSlow(whole)

    return callback
