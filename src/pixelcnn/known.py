"""Which pixels of an image are known: a half, a mask, or a picture of one."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.data.geometry import LUMA
from pixelcnn.data.npy import FileArray
from pixelcnn.data.opening import brief, named
from pixelcnn.data.picture import SEEN_THROUGH, read_picture
from pixelcnn.data.pictures import is_picture
from pixelcnn.data.stored import whole
from pixelcnn.data.tensors import numbers_of
from pixelcnn.errors import ConfigError, DataError, ModelError
from pixelcnn.folders import at_home
from pixelcnn.shapes import ImageShape
from pixelcnn.surroundings import independent


@independent
def known_pixels(known: Any, shape: ImageShape) -> Tensor:
    """The mask that ``top``, ``left``, a picture or an array stands for, bool ``(n or 1, c or 1, h, w)``.

    Args:
        known: ``top``, ``left``; a picture, or the path of one, whose white part is known; or booleans
            ``(n or 1, c or 1, h, w)``, or ``(h, w)`` for all images, or an ``.npy`` file of them.
        shape: of the model's images.

    Raises:
        ConfigError: neither a word we know nor a file.
        DataError: a file that is no picture, or an array that is no mask of such images.
        ModelError: a picture of another size.

    Example:
        >>> known_pixels("top", ImageShape(1, 2, 2)).int().tolist()
        [[[[1, 1], [0, 0]]]]
    """
    mask = torch.zeros(1, 1, shape.height, shape.width, dtype=torch.bool)
    if isinstance(known, str) and known == "top":
        mask[:, :, : shape.height // 2] = True
    elif isinstance(known, str) and known == "left":
        mask[..., : shape.width // 2] = True
    elif is_picture(known):
        mask[0, 0] = _read_mask(known, shape)
    elif isinstance(known, str | Path):
        if not os.path.exists(path := at_home(known)):
            raise ConfigError(
                f"{brief(str(known))} is no known part, nor a file",
                hint="use top, left, a mask picture (white = known), or booleans in an .npy file",
            )
        if path.suffix.lower() == ".npy":
            with named(str(path)):
                return _of_array(whole(FileArray(path)), shape)
        mask[0, 0] = _read_mask(path, shape)
    else:
        return _of_array(known, shape)
    return mask


def _of_array(known: Any, shape: ImageShape) -> Tensor:
    mask = numbers_of(known, "known must be a bool mask").cpu()
    if mask.dtype != torch.bool:
        kind = str(mask.dtype).removeprefix("torch.")
        raise DataError(f"known must be a bool mask, got {kind}", hint="pass mask > 0")
    # With more of both, its first axis may mean two things.
    if mask.ndim == 3 and 1 in (len(mask), shape.channels):
        mask = mask[:, None]
    if mask.ndim not in (2, 4) or mask.shape[-2:] != shape[1:]:
        raise misfit(mask, shape)
    return mask[None, None] if mask.ndim == 2 else mask


def misfit(mask: Tensor, images: Sequence[int]) -> DataError:
    """A mask that says nothing of images, or of one, of a shape."""
    return DataError(
        f"a mask of shape {tuple(mask.shape)} does not fit images {tuple(images)}",
        hint="known is (n or 1, channels or 1, height, width), or (height, width) for all",
    )


def _read_mask(source: Any, shape: ImageShape) -> Tensor:
    """The white part of a picture, bool ``(h, w)``, by the same reader as every picture."""
    where = "the picture" if is_picture(source) else str(source)
    with named(where):
        picture = read_picture(source)
    _, height, width = picture.pixels.shape
    if (height, width) != (shape.height, shape.width):
        raise ModelError(
            f"{where}: the mask is {height}x{width}, "
            f"the model's images are {shape.height}x{shape.width}",
            hint="draw the mask at the size of the model's images",
        )
    if SEEN_THROUGH in picture.notes:
        raise DataError(
            f"{where}: the mask is transparent in places, which is neither known nor unknown",
            hint="make it white where pixels are known, and black elsewhere",
        )
    weights = LUMA if len(picture.pixels) == 3 else (1000,)
    return torch.from_numpy(np.tensordot(weights, picture.pixels.astype(int), 1) >= 127_500)


def later_pixels_known(mask: Tensor) -> bool:
    """Whether a known pixel, or channel of one, comes after an unknown one in coding order.

    Example:
        >>> later_pixels_known(known_pixels("top", ImageShape(1, 4, 4)))
        False
    """
    flat = mask.movedim(1, -1).flatten(1)
    return bool((flat[:, 1:] & ~flat[:, :-1]).any())
