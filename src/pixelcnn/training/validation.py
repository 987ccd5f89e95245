"""The validations of one training."""

import numpy as np
import torch

from pixelcnn.conditioning import condition_of
from pixelcnn.devices import float64_device
from pixelcnn.modes import evaluation_view
from pixelcnn.training.likelihood import Loss, Stopped, Validation
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.trainer import Trainer

SMALLEST, LARGEST = 64, 256
"""Images a forward pass: enough to be fast, few enough to fit."""
SMALL = 3 * 32 * 32
"""Sub-pixels of an image: of larger ones the smallest pass takes fewer, as its memory goes with them all."""


def validate(trainer: Trainer, *, full: bool = False) -> Validation:
    """Scores the validation set with the weights that the model has; a signal stops it, unless honoured.

    Processes take the batches in turn, each batch as one process would compute it, so the numbers are the
    same for any number of processes.

    Args:
        trainer: of the training.
        full: in 32 bits where the training computes in bfloat16.

    Raises:
        Stopped: a signal said so; it is asked for before each batch, equally often in every process.
    """
    model, data, processes = evaluation_view(trainer.model), trainer.val, trainer.processes
    precision = "32" if full and trainer.precision == "bf16" else trainer.precision
    loss = Loss(model, precision, channels_last=trainer.options.channels_last)
    given, exact = condition_of(model, data), float64_device(model.device)
    nats, size = np.zeros(len(data)), images_at_once(trainer.options, model.shape.dimensions)
    with torch.inference_mode():
        for start in range(0, len(data), size * processes.size):
            trainer.recorder.talk.validating(trainer.state)
            if trainer.stop.agree(processes) and not trainer.stop.honoured:
                raise Stopped
            first = start + size * processes.rank
            index = torch.arange(first, max(first, min(first + size, len(data))))
            if not len(index):
                continue
            condition = None if given is None else model.standardised(given[index])
            found = loss.log_prob(data.levels_at(index, 0, 0), condition)
            nats[index] = -found.flatten(1).to(exact).double().sum(1).cpu()
    return Validation(processes.sum(nats), model.shape.dimensions, precision)


def images_at_once(options: TrainingOptions, dimensions: int) -> int:
    """Images of a forward pass: where memory allows no more than a step takes.

    Example:
        >>> images_at_once(TrainingOptions(batch_size=512, micro_batch_size=100), dimensions=64)
        100
    """
    few = max(1, min(SMALLEST, SMALLEST * SMALL // dimensions))
    return max(few, min(LARGEST, options.micro_batch_size or options.batch_size))
