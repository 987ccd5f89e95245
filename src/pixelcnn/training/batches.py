"""Which images a step sees, and every random number it uses: pure functions of the seed and the step.

Nothing here has a state, so a resumed run needs none restored, and any number of processes sees the same
batches.
"""

import dataclasses
import math
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from pixelcnn import streams
from pixelcnn.data import ImageSet
from pixelcnn.layers import Dropout, set_dropout_generator


def order(seed: int, epoch: int, images: int) -> np.ndarray:
    """The order in which an epoch visits its images.

    Example:
        >>> sorted(order(0, 3, 5).tolist())
        [0, 1, 2, 3, 4]
    """
    return np.argsort(streams.order(seed, epoch).words(images), kind="stable")


def seed_dropout(model: nn.Module, seed: int, step: int, rank: int = 0) -> None:
    """Has all dropout of a model draw from one generator, seeded for a step.

    Masks are a pure function of the arguments, and PyTorch's global random state is left alone, unless the
    model holds dropout of PyTorch's own, which draws from there. The generator stays with the layers and is
    seeded anew by the next call.

    Args:
        model: on the device that it will compute on.
        seed: of the training.
        step: of the training.
        rank: of this process.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _DropoutNd)]
    if not layers:
        return
    word = int(streams.dropout(seed, step, rank).words(1)[0] >> np.uint64(1))
    device = next(model.parameters()).device
    generator = next((layer.generator for layer in layers if isinstance(layer, Dropout)), None)
    if generator is None or generator.device != device:
        generator = torch.Generator(device)
    set_dropout_generator(model, generator)
    generator.manual_seed(word)
    if not all(isinstance(layer, Dropout) for layer in layers):
        torch.default_generator.manual_seed(word)
        if device.type == "cuda":
            torch.cuda.manual_seed(word)


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

    Use as a context where the device is a GPU: a set that fits into a third of its free memory lies there
    whole, dynamic binarisation included; of a larger one a thread prepares the next batch in pinned memory.

    Args:
        data: training images.
        batch_size: images a step over all processes.
        seed: of the order and of dynamic binarisation.
        condition: labels, vectors or maps of all training images; None for a model without.
        rank: of this process.
        processes: that share each step.
        device: where the batches are wanted.
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
        device: str = "cpu",
    ) -> None:
        self.data, self.batch_size, self.seed = data, min(batch_size, len(data)), seed
        self.condition, self.rank, self.processes = condition, rank, processes
        self.steps_per_epoch = math.ceil(len(data) / self.batch_size)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)
        self._device, self._thread = torch.device(device), ThreadPoolExecutor(1)
        self._next: tuple[int, Future[Batch]] | None = None
        if self._device.type != "cpu" and size_of(data, condition) <= room_on(self._device):
            images = dataclasses.replace(data, images=data.images.to(self._device))
            self.data, self._ahead = images, False
            self.condition = None if condition is None else condition.to(self._device)
        else:
            self._ahead = self._device.type == "cuda"

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def indices(self, step: int) -> np.ndarray:
        """Images of a step over all processes."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = order(self.seed, epoch, len(self.data)), epoch
        return self._order[position * self.batch_size : (position + 1) * self.batch_size]

    def __getitem__(self, step: int) -> Batch:
        if not self._ahead:
            return self._batch(step)
        expected, found = self._next or (-1, None)
        batch = found.result() if found is not None and expected == step else self._batch(step)
        self._next = step + 1, self._thread.submit(self._batch, step + 1)
        return batch

    def _batch(self, step: int) -> Batch:
        everyone = self.indices(step)
        mine = everyone[self.rank :: self.processes]
        weight = self.processes / len(everyone) if len(mine) else 0.0
        mine = mine if len(mine) else everyone[:1]
        index = torch.from_numpy(mine).to(self.data.images.device)
        levels = self.data.levels_at(index, self.seed, step // self.steps_per_epoch)
        condition = None if self.condition is None else self.condition[index]
        if self._ahead:
            levels = levels.pin_memory()
            condition = None if condition is None else condition.pin_memory()
        return Batch(mine, levels, condition, len(everyone), weight)


def size_of(data: ImageSet, condition: Tensor | None) -> int:
    """Bytes of a set and what its images are given."""
    return data.images.nbytes + (0 if condition is None else condition.nbytes)


def room_on(device: torch.device) -> int:
    """Bytes that a set may take on a device: a third of what is free; none where it cannot be asked."""
    return torch.cuda.mem_get_info(device)[0] // 3 if device.type == "cuda" else 0
