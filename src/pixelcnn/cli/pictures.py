"""Images of several sources as one, for a command."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pixelcnn.cli.conditions import taken_as
from pixelcnn.conditioning import condition_of
from pixelcnn.sources import beside, set_of

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel


def load(
    model: "PixelModel",
    paths: list[str],
    label: str | None = None,
    own: Mapping[str, Any] | None = None,
    condition: str | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The images of files, folders and arrays as the model's levels, (n, c, h, w), and their conditions.

    Args:
        model: whose images these are.
        paths: of any source, as for :func:`pixelcnn.data.load`.
        label: the class of all of them; by default each image's own.
        own: options for own data, see :func:`pixelcnn.sources.preparation`.
        condition: what all of them are given, or a file with one for each.

    Raises:
        DataError: a file that cannot be read.
        ModelError: images of another size than the model's, or without the condition that it needs.
        ConfigError: a label that the model does not know.
    """
    given = condition or label
    sets = [set_of(model, path, "all", beside(given, path, own)) for path in paths]
    parts = [taken_as(model, images, label, condition) for images in sets]
    images = torch.cat([model.check(part.images).cpu() for part in parts])
    conditions = [each for part in parts if (each := condition_of(model, part)) is not None]
    return images, torch.cat(conditions) if conditions else None
