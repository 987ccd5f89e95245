"""Which images a step sees, and every random number it uses: pure functions of the seed and the step.

Nothing here has a state, so a resumed run needs none restored, and any number of processes sees the same
batches.
"""

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from pixelcnn import streams
from pixelcnn.data import ImageSet


def order(seed: int, epoch: int, images: int) -> np.ndarray:
    """The order in which an epoch visits its images.

    Example:
        >>> sorted(order(0, 3, 5).tolist())
        [0, 1, 2, 3, 4]
    """
    return np.argsort(streams.order(seed, epoch).words(images), kind="stable")


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seeds dropout for a step, on the CPU and on the CUDA device in use.

    Not by ``torch.manual_seed``: that formats a stack trace for every kind of device, every time.
    """
    value = int(streams.dropout(seed, step, rank).words(1)[0] >> np.uint64(1))
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(value)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Images of one step on one process."""

    indices: np.ndarray
    """Of the images in the training set, ``(n,)``."""
    levels: Tensor
    """Integers ``(n, c, h, w)``."""
    condition: Tensor | None
    """Labels ``(n,)``, vectors or maps; None for a model without condition."""
    images: int
    """Of the step over all processes."""
    weight: float
    """Of each image, so that the mean of the processes' sums is the mean over all images. A process
    for which no image is left has the first one, without weight: it still takes part in the step."""


class Batches:
    """The batches of a training set by step.

    Args:
        data: training images.
        batch_size: images a step over all processes.
        seed: of the order and of dynamic binarisation.
        condition: labels, vectors or maps of all training images; None for a model without.
        rank: of this process.
        processes: that share each step.
    """

    def __init__(
        self,
        data: ImageSet,
        batch_size: int,
        seed: int,
        *,
        condition: Tensor | None = None,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.data, self.batch_size, self.seed = data, min(batch_size, len(data)), seed
        self.condition, self.rank, self.processes = condition, rank, processes
        self.steps_per_epoch = math.ceil(len(data) / self.batch_size)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def indices(self, step: int) -> np.ndarray:
        """Images of a step over all processes."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, order(self.seed, epoch, len(self.data))
        return self._order[position * self.batch_size : (position + 1) * self.batch_size]

    def __getitem__(self, step: int) -> Batch:
        everyone = self.indices(step)
        mine = everyone[self.rank :: self.processes]
        weight = self.processes / len(everyone) if len(mine) else 0.0
        mine = mine if len(mine) else everyone[:1]
        index = torch.from_numpy(mine)
        levels = self.data.levels_at(index, self.seed, step // self.steps_per_epoch)
        condition = None if self.condition is None else self.condition[index]
        return Batch(mine, levels, condition, len(everyone), weight)
