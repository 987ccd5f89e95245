"""Random transformations of training images: flips, shifts and rotations, other ones each epoch.

How an image is transformed is a pure function of (seed, epoch, its index in the training set), see
:mod:`pixelcnn.streams`. So batches may be of any size and order, on any number of processes and any device,
and training resumes where it stopped.
"""

import dataclasses
import functools
import re
from collections.abc import Sequence

import torch
from torch import Tensor

from pixelcnn import streams
from pixelcnn.annotations import shown
from pixelcnn.errors import ConfigError
from pixelcnn.shapes import ImageShape

FLIP, FLIP_VERTICAL, TRANSPOSE = 1, 2, 4
"""Bits of an orientation: mirrored left to right, upside down, and before that rows exchanged for columns."""
HALF_TURN = FLIP | FLIP_VERTICAL
QUARTERS = (0, HALF_TURN, TRANSPOSE | FLIP, TRANSPOSE | FLIP_VERTICAL)
"""Turns by quarters."""

MOST_PIXELS = 32
"""Of a shift."""
WAYS = "flip, flip-vertical, shift N (by up to N pixels), rotate"


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The transformations of images of one size, all equally likely.

    They are numbered, 0 leaves an image as it is. An image is first turned and mirrored, then shifted; pixels
    that come in at a border repeat it. Whatever ways there are to the same orientation, it counts once.

    Args:
        names: any of ``flip`` (left to right), ``flip-vertical`` (upside down), ``shift N`` (by up to N
            pixels along each axis) and ``rotate`` (by quarter turns, or a half turn where images are not
            square).
        shape: of the images.

    Raises:
        ConfigError: other names, one of them twice, or a shift out of the image.

    Example:
        >>> flips = Augmentation(("flip",), ImageShape(1, 1, 3))
        >>> flips.count, flips.apply(torch.tensor([[[[1, 2, 3]]]] * 2), torch.tensor([0, 1])).tolist()
        (2, [[[[1, 2, 3]]], [[[3, 2, 1]]]])
    """

    names: tuple[str, ...]
    shape: ImageShape

    def __post_init__(self) -> None:
        check_names(self.names)
        if self.shift >= min(self.shape.height, self.shape.width):
            raise ConfigError(
                f"a shift of {self.shift} pixels can move images of {self.shape} out of sight",
                hint="shift by less",
            )

    def __str__(self) -> str:
        half = "rotate (by half turns, as the images are not square)"
        turned = {"rotate": "rotate" if self._square else half}
        return f"{', '.join(turned.get(name, name) for name in self.names)}; {self.count} ways"

    @property
    def _square(self) -> bool:
        return self.shape.height == self.shape.width

    @functools.cached_property
    def shift(self) -> int:
        """Pixels by which images are shifted at most."""
        return max((pixels_of(name) for name in self.names), default=0)

    @functools.cached_property
    def orientations(self) -> tuple[int, ...]:
        """All that repeated flips and turns lead to, in bits; 0 is the first."""
        flips = {"flip": FLIP, "flip-vertical": FLIP_VERTICAL}
        steps = [flips[name] for name in self.names if name in flips]
        if "rotate" in self.names and self._square:
            return tuple(range(8)) if steps else QUARTERS
        steps += [HALF_TURN] if "rotate" in self.names else []
        found = {0}
        for step in steps:  # without a transposition, each undoes itself
            found |= {one ^ step for one in found}
        return tuple(sorted(found))

    @property
    def count(self) -> int:
        """How many transformations there are, the one that changes nothing among them."""
        return len(self.orientations) * (2 * self.shift + 1) ** 2

    def draw(self, seed: int, epoch: int, index: Tensor) -> Tensor:
        """The numbers of the transformations of some images in an epoch.

        Args:
            seed: of the training.
            epoch: from 0.
            index: of the images in the training set, int64 ``(n,)``.

        Returns:
            int64 ``(n,)`` in ``[0, count)``, on the device of ``index``.
        """
        words = streams.coin_words(seed, epoch, index, 1, index.device, streams.augmentation)[:, 0]
        return ((words >> 32) & (2**32 - 1)) * self.count >> 32

    def apply(self, images: Tensor, numbers: Tensor) -> Tensor:
        """Transforms each image in its own way, without looking at what a device holds.

        Args:
            images: ``(n, c, h, w)`` of any type: levels, grey values or maps.
            numbers: of the transformations, int64 ``(n,)``.
        """
        images = images.contiguous()
        height, width = images.shape[2:]
        numbers = numbers.to(images.device)[:, None]
        bits = _on_device(self.orientations, images.device)[numbers % len(self.orientations)]
        place, side = numbers // len(self.orientations), 2 * self.shift + 1
        rows = self._sources(height, place // side, bits & FLIP_VERTICAL)
        columns = self._sources(width, place % side, bits & FLIP)
        turned = (bits & TRANSPOSE).bool()[:, :, None]
        down, right = rows[:, :, None], columns[:, None, :]
        source = torch.where(turned, right * width + down, down * width + right).flatten(1)
        found = images.flatten(2).gather(2, source[:, None].expand(-1, images.shape[1], -1))
        return found.reshape(images.shape)

    def _sources(self, length: int, step: Tensor, mirrored: Tensor) -> Tensor:
        """Where on an axis the pixels of each image come from: ``(n, length)``."""
        side = 2 * self.shift + 1
        offset = (step + self.shift) % side - self.shift  # step 0 is no shift
        places = torch.arange(length, device=step.device)[None] - offset
        places = places.clamp(0, length - 1)
        return torch.where(mirrored.bool(), length - 1 - places, places)


def check_names(names: Sequence[str]) -> None:
    """Refuses what is no transformation.

    Raises:
        ConfigError: names it, and what there is.

    Example:
        >>> try:
        ...     check_names(["shift"])
        ... except ConfigError as error:
        ...     print(error)
        augment cannot be 'shift'
    """
    kinds = []
    for name in names:
        kind = "shift" if name.startswith("shift ") and pixels_of(name) else name
        if name == "shift" or kind not in ("flip", "flip-vertical", "rotate", "shift"):
            raise ConfigError(
                f"augment cannot be {shown(name)}",
                hint=f"write 'shift 2' for up to 2 pixels, at most {MOST_PIXELS}"
                if name.startswith("shift")
                else f"known: {WAYS}",
            )
        if kind in kinds:
            raise ConfigError(f"augment names {kind} twice", hint="name it once")
        kinds.append(kind)


def pixels_of(name: str) -> int:
    """Pixels of ``shift N``; 0 of anything else.

    Example:
        >>> pixels_of("shift 2"), pixels_of("flip"), pixels_of("shift 99")
        (2, 0, 0)
    """
    found = re.fullmatch(r"shift ([1-9][0-9]?)", name, re.ASCII)
    return int(found[1]) if found and int(found[1]) <= MOST_PIXELS else 0


@functools.lru_cache(maxsize=16)
def _on_device(orientations: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(orientations, device=device)
