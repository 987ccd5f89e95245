"""Picture files as input: images of a model's shape and levels, and masks of known pixels."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn import data
from pixelcnn.cli.conditions import taken_as
from pixelcnn.cli.sources import preparation
from pixelcnn.data.gate import named
from pixelcnn.data.picture import SEEN_THROUGH, read_picture
from pixelcnn.errors import ConfigError, DataError, ModelError
from pixelcnn.scoring import condition_of
from pixelcnn.shapes import ImageShape

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel

LUMA = (299, 587, 114)
"""What red, green and blue add to brightness, in thousandths (ITU-R BT.601)."""


def load(
    model: "PixelModel",
    paths: list[str],
    label: str | None = None,
    own: Mapping[str, Any] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The images of files, folders and arrays as the model's levels, (n, c, h, w), and their conditions.

    Args:
        model: whose images these are.
        paths: files, folders and arrays.
        label: the class of all of them; by default each image's own.
        own: options for own data, see :func:`pixelcnn.cli.sources.preparation`.

    Raises:
        DataError: a file that cannot be read.
        ModelError: images of another size than the model's, or without the condition that it needs.
        ConfigError: a label that the model does not know.
    """
    prepared = preparation(model, **(own or {}))
    parts = [taken_as(model, data.load_all(path, **prepared), label) for path in paths]
    images = torch.cat([model.check(part.images).cpu() for part in parts])
    conditions = [each for part in parts if (each := condition_of(model, part)) is not None]
    return images, torch.cat(conditions) if conditions else None


def known_pixels(known: str, shape: ImageShape) -> Tensor:
    """The mask that ``top``, ``left`` or a picture file stands for, bool (1, 1, h, w).

    Args:
        known: ``top``, ``left``, or a picture whose white part is known.
        shape: of the model's images.

    Raises:
        ConfigError: neither a word we know nor a file.
        DataError: a file that is no picture.
        ModelError: a picture of another size.

    Example:
        >>> known_pixels("top", ImageShape(1, 2, 2)).int().tolist()
        [[[[1, 1], [0, 0]]]]
    """
    mask = torch.zeros(1, 1, shape.height, shape.width, dtype=torch.bool)
    if known == "top":
        mask[:, :, : shape.height // 2] = True
    elif known == "left":
        mask[..., : shape.width // 2] = True
    elif _exists(Path(known)):
        mask[0, 0] = _read_mask(Path(known), shape)
    else:
        raise ConfigError(
            f"--known {known}: no such file",
            hint="use top, left, or a mask picture (white = known)",
        )
    return mask


def _exists(path: Path) -> bool:
    """Whether anything lies at a path, if only what cannot be read."""
    try:
        return path.exists()
    except OSError:  # such as a name that is too long
        return False


def _read_mask(path: Path, shape: ImageShape) -> Tensor:
    """The white part of a picture, bool ``(h, w)``, by the same reader as every picture."""
    with named(str(path)):
        picture = read_picture(path)
    _, height, width = picture.pixels.shape
    if (height, width) != (shape.height, shape.width):
        raise ModelError(
            f"{path}: the mask is {height}x{width}, "
            f"the model's images are {shape.height}x{shape.width}",
            hint="draw the mask at the size of the model's images",
        )
    if SEEN_THROUGH in picture.notes:
        raise DataError(
            f"{path}: the mask is transparent in places, which is neither known nor unknown",
            hint="make it white where pixels are known, and black elsewhere",
        )
    weights = LUMA if len(picture.pixels) == 3 else (1000,)
    return torch.from_numpy(np.tensordot(weights, picture.pixels.astype(int), 1) >= 127_500)


def later_pixels_known(mask: Tensor) -> bool:
    """Whether a known pixel comes after an unknown one in raster order.

    Example:
        >>> later_pixels_known(known_pixels("top", ImageShape(1, 4, 4)))
        False
    """
    flat = mask.any(1).flatten(1)
    return bool((flat[:, 1:] & ~flat[:, :-1]).any())
