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
from pixelcnn.errors import ConfigError, DataError, ModelError
from pixelcnn.scoring import condition_of
from pixelcnn.shapes import ImageShape

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel


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
    elif Path(known).is_file():
        mask[0, 0] = _read_mask(Path(known), shape)
    else:
        raise ConfigError(
            f"--known {known}: no such file",
            hint="use top, left, or a mask picture (white = known)",
        )
    return mask


def _read_mask(path: Path, shape: ImageShape) -> Tensor:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.size != (shape.width, shape.height):
                raise ModelError(
                    f"{path}: the mask is {picture.height}x{picture.width}, "
                    f"the model's images are {shape.height}x{shape.width}",
                    hint="draw the mask at the size of the model's images",
                )
            grey = np.asarray(picture.convert("L"))
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable picture", hint=str(error)) from error
    return torch.from_numpy(grey >= 128)


def later_pixels_known(mask: Tensor) -> bool:
    """Whether a known pixel comes after an unknown one in raster order.

    Example:
        >>> later_pixels_known(known_pixels("top", ImageShape(1, 4, 4)))
        False
    """
    flat = mask.any(1).flatten(1)
    return bool((flat[:, 1:] & ~flat[:, :-1]).any())
