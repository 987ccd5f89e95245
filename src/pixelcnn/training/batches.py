"""Which images a step sees, and every random number it uses: pure functions of the seed and the step.

Nothing here has a state, so a resumed run needs none restored, and any number of processes sees the same
batches.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from pixelcnn import streams
from pixelcnn.conditioning import check_names, condition_of
from pixelcnn.data import ImageSet, tags
from pixelcnn.data.augmentation import Augmentation
from pixelcnn.data.lazy import is_drawn, whole
from pixelcnn.errors import ConfigError, DataError, ModelError
from pixelcnn.layers import Dropout, set_dropout_generator
from pixelcnn.model import PixelModel
from pixelcnn.sources import agreeing, of_shape
from pixelcnn.training.options import TrainingOptions
from pixelcnn.weights import HIDDEN, hidden

MAP_AXES = 4
"""Of conditions that are maps."""


def check_fit(model: PixelModel, train: ImageSet, val: ImageSet) -> None:
    """Compares a model with the data before any training.

    Raises:
        DataError: an empty set.
        ModelError: another shape, other levels, or not the condition that the model needs; or no weight that
            can be trained, or some that PyTorch does not see.
    """
    if unlisted := next((n for n, each in hidden(model).items() if each.requires_grad), ""):
        raise ModelError(
            f"`{unlisted}` {HIDDEN} to train",
            hint="nn.ModuleList, nn.ModuleDict and nn.ParameterList show them",
        )
    if not any(each.requires_grad for each in model.parameters()):
        raise ModelError(
            "all weights of the model are frozen", hint="model.requires_grad_() trains them"
        )
    if any(each.is_inference() for each in model.parameters()):
        raise ModelError(
            "the model was made in torch.inference_mode, which PyTorch cannot train",
            hint="make or load it outside of that",
        )
    for use, images in (("train on", train), ("validate on", val)):
        if not len(images):
            raise DataError(f"{images.name} has no image to {use}")
        condition_of(model, agreeing(model, of_shape(model, images)))
    if model.network.condition in ("vector", "map"):
        check_names(train, val)


def augmentation_of(model: PixelModel, options: TrainingOptions) -> Augmentation | None:
    """How a training transforms its images; None if it does not.

    Raises:
        ConfigError: a shift out of the image, or a model that is not told of these transformations.
    """
    names, told = options.augment, model.record.get("tags", {}).get("transformations", [])
    if options.augment_tag and sorted(names) != sorted(told):
        raise ConfigError(
            "augment_tag needs a model that is told of "
            + ", ".join(names)
            + (
                f", this one is told of {', '.join(told)}"
                if told
                else ", this one is told of nothing"
            ),
            hint=f"build it with create_model(..., tags={list(names)})",
        )
    return Augmentation(names, model.shape) if names else None


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
    if draws_globally(model):
        torch.default_generator.manual_seed(word)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index].manual_seed(word)


def draws_globally(model: nn.Module) -> bool:
    """Whether a model holds dropout of PyTorch's own, which draws from the process's random state."""
    return any(isinstance(m, _DropoutNd) and not isinstance(m, Dropout) for m in model.modules())


def _as_it_is(condition: Tensor) -> Tensor:
    return condition


@dataclasses.dataclass(frozen=True)
class Batch:
    """Images of one step on one process."""

    indices: np.ndarray
    """Of the images in the training set, ``(n,)``."""
    levels: Tensor
    """Integers ``(n, c, h, w)``, on the batches' device."""
    condition: Tensor | None
    """Labels ``(n,)``, vectors or maps, on the same device; None for a model without condition."""
    images: int
    """Of the step over all processes."""
    weight: float
    """Of each image, so that the mean of the processes' sums is the mean over all images. A process
    for which no image is left has the first one, without weight: it still takes part in the step."""

    def parts(self, size: int) -> list[tuple[Tensor, Tensor | None]]:
        """Levels and condition of no more than so many images at once; 0 leaves them together."""
        levels = self.levels.split(size or len(self.levels))
        given = (
            [None] * len(levels) if self.condition is None else self.condition.split(len(levels[0]))
        )
        return list(zip(levels, given, strict=True))


class Batches:
    """The batches of a training set by step.

    Use as a context where the device is a GPU. A set that fits into a third of its free memory lies there
    whole, with the order of the epoch, and coins of dynamic binarisation are tossed there. Of a larger set,
    and of patches that are others in each epoch, a thread prepares the next batch in pinned memory. Either
    way no step waits for a copy.

    Args:
        data: training images.
        batch_size: images a step over all processes.
        seed: of the order and of dynamic binarisation.
        condition: labels, vectors or maps of all training images; None for a model without.
        prepare: makes of them what the network is given.
        augmentation: how each image, and its map, is transformed anew in each epoch; None for not.
        tagged: as what the network is told of it; None if it is not.
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
        prepare: Callable[[Tensor], Tensor] = _as_it_is,
        augmentation: Augmentation | None = None,
        tagged: tags.Tags | None = None,
        rank: int = 0,
        processes: int = 1,
        device: str = "cpu",
    ) -> None:
        self.batch_size, self.seed = min(batch_size, len(data)), seed
        self.rank, self.processes = rank, processes
        self.augmentation, self.tagged = augmentation, tagged
        self.steps_per_epoch = math.ceil(len(data) / self.batch_size)
        self._device, self._thread = torch.device(device), ThreadPoolExecutor(1)
        self._next: tuple[int, Future[Batch]] | None = None
        self._order: tuple[int, np.ndarray, Tensor] | None = None
        resident = self._device.type != "cpu" and size_of(data, condition) <= room_on(self._device)
        resident = resident and not is_drawn(data.images)
        self._ahead = self._device.type == "cuda" and not resident
        self.data = on_device(data, self._device) if resident else data
        self.condition, self._prepare = condition, prepare
        if resident and condition is not None:
            self.condition, self._prepare = self._sent(prepare(condition)), _as_it_is

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def indices(self, step: int) -> np.ndarray:
        """Images of a step over all processes."""
        epoch, position = divmod(step, self.steps_per_epoch)
        numbers = self._ordered(epoch)[0]
        return numbers[position * self.batch_size : (position + 1) * self.batch_size]

    def __getitem__(self, step: int) -> Batch:
        if self._ahead:
            expected, found = self._next or (-1, None)
            batch = found.result() if found is not None and expected == step else self._batch(step)
            self._next = step + 1, self._thread.submit(self._batch, step + 1)
        else:
            batch = self._batch(step)
        condition = None if batch.condition is None else self._sent(batch.condition)
        return dataclasses.replace(batch, levels=self._sent(batch.levels), condition=condition)

    def _sent(self, tensor: Tensor) -> Tensor:
        """A tensor on the device; nobody waits for pinned memory on its way to a GPU."""
        return tensor.to(self._device, non_blocking=self._device.type == "cuda")

    def _ordered(self, epoch: int) -> tuple[np.ndarray, Tensor]:
        """The order of an epoch, and again where the images lie, so that a step sends no indices."""
        known = self._order  # in one piece: the thread that is ahead may be in another epoch
        if known is None or known[0] != epoch:
            numbers = order(self.seed, epoch, len(self.data))
            index = torch.from_numpy(numbers)
            if self.data.images.device.type != "cpu":
                index = self._sent(pinned(index))
            known = self._order = epoch, numbers, index
        return known[1:]

    def _batch(self, step: int) -> Batch:
        """The batch of a step where the images lie, pinned if it is to travel to a GPU."""
        epoch, position = divmod(step, self.steps_per_epoch)
        everyone = self.indices(step)
        first = position * self.batch_size
        which = slice(first + self.rank, first + len(everyone), self.processes)
        weight = self.processes / len(everyone)
        if self.rank >= len(everyone):
            which, weight = slice(first, first + 1), 0.0
        numbers, places = self._ordered(epoch)
        index = places[which]
        levels, condition = self._chosen(index, epoch)
        if self._ahead:
            levels = pinned(levels)
            condition = None if condition is None else pinned(condition)
        return Batch(numbers[which], levels, condition, len(everyone), weight)

    def _chosen(self, index: Tensor, epoch: int) -> tuple[Tensor, Tensor | None]:
        """Levels and condition of some images in an epoch, augmented."""
        condition = None if self.condition is None else self._prepare(self.condition[index])
        if self.augmentation is None:
            return self.data.levels_at(index, self.seed, epoch), condition
        numbers = self.augmentation.draw(self.seed, epoch, index)
        transform = functools.partial(self.augmentation.apply, numbers=numbers)
        if condition is not None and condition.ndim == MAP_AXES:
            condition = transform(condition)
        elif condition is not None and self.tagged is not None:
            condition = self.tagged.told(condition, numbers)
        return self.data.levels_at(index, self.seed, epoch, transform), condition


def on_device(data: ImageSet, device: torch.device) -> ImageSet:
    """A set whose images, and their places, lie on a device."""
    index = None if data.index is None else data.index.to(device)
    return dataclasses.replace(data, images=whole(data.images, device), index=index)


def pinned(tensor: Tensor) -> Tensor:
    """The same values where a GPU can fetch them by itself; as they are where there is none."""
    return tensor.pin_memory() if torch.cuda.is_available() else tensor


def size_of(data: ImageSet, condition: Tensor | None) -> int:
    """Bytes of a set and what its images are given."""
    return data.images.nbytes + (0 if condition is None else condition.nbytes)


def room_on(device: torch.device) -> int:
    """Bytes that a set may take on a device: a third of what is free; none where it cannot be asked."""
    return torch.cuda.mem_get_info(device)[0] // 3 if device.type == "cuda" else 0
