"""The validations of one training."""

import numpy as np
import torch

from pixelcnn.conditioning import condition_of
from pixelcnn.data import ImageSet
from pixelcnn.devices import float64_device
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.training.callbacks import TrainingState
from pixelcnn.training.likelihood import Loss, Stopped, Validation
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.processes import Processes
from pixelcnn.training.progress import Talk
from pixelcnn.training.signals import StopFlag

SMALLEST, LARGEST = 64, 256
"""Images a forward pass: enough to be fast, few enough to fit."""
SMALL = 3 * 32 * 32
"""Sub-pixels of an image: of larger ones the smallest pass takes fewer, as its memory goes with them all."""


class Validator:
    """Scores the validation set with the weights that a model has; a signal stops it, unless honoured.

    Processes take the batches in turn, each batch as one process would compute it, so the numbers are the
    same for any number of processes.

    Args:
        model: in any mode.
        data: the validation set, whose levels do not change between epochs.
        options: how to train.
        precision: of the training.
        processes: that share the work.
        stop: set by a signal; asked before each batch, equally often in every process.
        talk: says that it goes on.
    """

    def __init__(
        self,
        model: PixelModel,
        data: ImageSet,
        options: TrainingOptions,
        precision: str,
        processes: Processes,
        stop: StopFlag,
        talk: Talk,
    ) -> None:
        self.model, self.data, self.options, self.precision = model, data, options, precision
        self.processes, self.stop, self.talk = processes, stop, talk

    @property
    def images_at_once(self) -> int:
        """Images of a forward pass: where memory allows no more than a step takes."""
        few = max(1, min(SMALLEST, SMALLEST * SMALL // self.model.shape.dimensions))
        size = self.options.micro_batch_size or self.options.batch_size
        return max(few, min(LARGEST, size))

    def __call__(self, state: TrainingState, *, full: bool = False) -> Validation:
        """One validation.

        Args:
            state: of the training.
            full: in 32 bits where the training computes in bfloat16.

        Raises:
            Stopped: a signal said so.
        """
        model, data, size = evaluation_view(self.model), self.data, self.images_at_once
        precision = "32" if full and self.precision == "bf16" else self.precision
        loss = Loss(model, precision, channels_last=self.options.channels_last)
        given, exact = condition_of(model, data), float64_device(model.device)
        nats = np.zeros(len(data))
        with torch.inference_mode():
            for start in range(0, len(data), size * self.processes.size):
                self.talk.validating(state)
                if self.stop.agree(self.processes) and not self.stop.honoured:
                    raise Stopped
                first = start + size * self.processes.rank
                index = torch.arange(first, max(first, min(first + size, len(data))))
                if not len(index):
                    continue
                condition = None if given is None else model.standardised(given[index])
                found = loss.log_prob(data.levels_at(index, 0, 0), condition)
                nats[index] = -found.flatten(1).to(exact).double().sum(1).cpu()
        return Validation(self.processes.sum(nats), model.shape.dimensions, precision)
