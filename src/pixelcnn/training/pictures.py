"""Sample grids during a training, where they do not cost too much of it."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pixelcnn import plotting, png, sampling
from pixelcnn.data import ImageSet, tags
from pixelcnn.folders import write_inside
from pixelcnn.model import PixelModel
from pixelcnn.record import classes_seen
from pixelcnn.scoring import condition_of
from pixelcnn.training.callbacks import TrainingState
from pixelcnn.training.likelihood import Stopped
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.processes import SILENCE, Processes
from pixelcnn.training.recorder import Recorder
from pixelcnn.training.run import RunFolder
from pixelcnn.training.signals import StopFlag

SHARE, LEAST = 0.1, 3.0
"""Part of the training time that a grid may take, and seconds that it may always take."""

TRIAL = 0.02
"""Part of a grid after which its whole time is estimated, again and again."""


class TooSlow(Exception):
    """A grid that would take too long: so many seconds."""


class Grids:
    """Draws the sample grids of a training into its folder, and shows them to its trackers.

    Args:
        val: validation images, whose conditions are used where they are no classes.
        options: how many images, of which seed.
        folder: of the run; without one nothing is drawn.
        stop: set by a signal.
        processes: the main one draws.
        recorder: of the training.
    """

    def __init__(
        self,
        val: ImageSet,
        options: TrainingOptions,
        folder: RunFolder | None,
        stop: StopFlag,
        processes: Processes,
        recorder: Recorder,
    ) -> None:
        self.val, self.options, self.stop, self.recorder = val, options, stop, recorder
        self.folder = folder if processes.is_main and options.sample_count else None
        self.longest = (
            SILENCE.total_seconds() / 2 if processes.size > 1 else math.inf
        )  # others wait

    def __call__(self, state: TrainingState, seconds: float, *, anew: bool = True) -> None:
        """A grid of a state's model, unless it would take more than a tenth of some seconds of training.

        Args:
            state: its epoch names the picture.
            seconds: of training.
            anew: draw it even if there is one.
        """
        if self.folder is None:
            return
        count = self.options.sample_count
        path = self.folder.samples / f"epoch-{state.epoch:04d}.png"
        if not anew and path.exists():
            return
        budget = min(max(LEAST, SHARE * seconds), self.longest)
        try:
            grid = self.draw(state.model, path, budget)
        except TooSlow as slow:
            self.recorder.talk.say(
                f"no sample grid: {count} images would take about {slow.args[0]:.0f}s, more than a tenth"
                f" of the {seconds:.0f}s of training; draw them afterwards with pixelcnn sample",
                key="grid",
            )
        except Stopped:
            return
        else:
            pixels = np.asarray(grid.convert("RGB"))[None]
            self.recorder.trackers.log_images("samples", pixels, state.step)

    def draw(self, model: PixelModel, path: Path, seconds: float) -> Image.Image:
        """Draws images of the classes that a model was trained on, or the conditions of validation, in turn.

        The seed is the same for every epoch, so that pictures compare.

        Args:
            model: in any mode.
            path: of the picture.
            seconds: that it may take.

        Raises:
            TooSlow: once it shows that all of it would take longer.
            Stopped: a signal came.
        """
        count, given = self.options.sample_count, condition_of(model, self.val)
        if (own := tags.of(model)).kind == "label":
            given = torch.tensor(classes_seen(model.record, own.size))
        condition = None if given is None else given[torch.arange(count) % len(given)]
        seed, watch = self.options.seed, self._watch(seconds)
        images = sampling.sample(model, count, seed=seed, condition=condition, callback=watch)
        picture = plotting.grid(images, model.levels)
        write_inside(path, png.page(picture))
        return picture

    def _watch(self, seconds: float) -> Callable[[int, int, Tensor], None]:
        """A sampling callback that gives up after a signal, or once it knows that the seconds will not do."""
        begun: list[tuple[int, float]] = []

        def callback(done: int, total: int, _: Tensor) -> None:
            if self.stop:
                raise Stopped
            if not begun:
                begun.append((done, time.monotonic()))  # what came before was preparation
            first, start = begun[0]
            if done > first + TRIAL * total:
                whole = (time.monotonic() - start) * total / (done - first)
                if whole > seconds:
                    raise TooSlow(whole)

        return callback
