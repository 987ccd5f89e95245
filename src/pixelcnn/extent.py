"""How much of an image is computed at once: as much as there is memory for, or a part that stands for all."""

import copy
import math

from torch import Tensor

from pixelcnn.memory import afford
from pixelcnn.model import PixelModel
from pixelcnn.modes import within
from pixelcnn.networks import Network
from pixelcnn.shapes import ImageShape
from pixelcnn.text import counted

MOST_NUMBERS = 2**25
"""In the widest layer of a part: a quarter of a gigabyte in float64."""
MOST_POSITIONS, FEW_POSITIONS = 65_536, 4_096
"""Up to which an image is looked at whole; and of a part that stands for a larger one."""
COARSEST = 16
"""Sides of a part leave as much over as the image's own, where grids of every so many positions end."""
LEAST_ROWS = COARSEST
"""Rows of a part, where the image has so many."""


def widest(network: Network) -> int:
    """Numbers of one position in the widest layer, about.

    Dense layers have units, not features, and are as large as their weights for any image.

    Example:
        >>> from pixelcnn.networks import PixelCNN
        >>> widest(PixelCNN(channels=1, out=2, width=40, depth=1))
        40
    """
    sides = [network.channels, network.out]
    if network.largest is None:
        sides += [side for weight in network.parameters() for side in weight.shape[:2]]
    return max(sides)


def part(network: Network, shape: ImageShape, positions: int) -> ImageShape:
    """The upper left part of an image, of so many positions or fewer, whole rows if possible.

    That of a square image is a square, since some networks take nothing else.
    Fewer, where the layers of the network are so wide that they would hold :data:`MOST_NUMBERS` numbers.

    Example:
        >>> from pixelcnn.networks import PixelCNN
        >>> network = PixelCNN(channels=1, out=1, width=4, depth=1)
        >>> part(network, ImageShape(1, 28, 28), 4096), part(network, ImageShape(1, 65536, 65536), 4096)
        (ImageShape(channels=1, height=28, width=28), ImageShape(channels=1, height=64, width=64))
    """
    positions = max(1, min(positions, MOST_NUMBERS // widest(network)))
    if shape.height == shape.width:
        side = _ending_alike(math.isqrt(positions), shape.height)
        return ImageShape(shape.channels, side, side)
    columns = max(1, min(shape.width, positions // min(shape.height, LEAST_ROWS)))
    columns = _ending_alike(columns, shape.width)
    rows = _ending_alike(max(1, positions // columns), shape.height)
    return ImageShape(shape.channels, rows, columns)


def _ending_alike(most: int, side: int) -> int:
    """A side, or as much of it as there may be, with the same rest by :data:`COARSEST` if that leaves any."""
    if side <= most or most < COARSEST:
        return min(side, most)
    return most - (most - side) % COARSEST


def cropped(model: PixelModel, positions: int) -> PixelModel:
    """The model for the upper left part of its images, or all of them if they have no more positions.

    Args:
        model: shares its parts with the result, which has a shape and a record of its own.
        positions: see :func:`part`.
    """
    # What torch.compile made would pass both on to the model inside.
    view = copy.copy(within(model))
    view.shape = part(model.network, model.shape, positions)
    return view


def representative(model: PixelModel) -> PixelModel:
    """The model, of images of more than :data:`MOST_POSITIONS` pixels for a part of them."""
    large = model.shape.height * model.shape.width > MOST_POSITIONS
    return cropped(model, FEW_POSITIONS if large else MOST_POSITIONS)


def cropped_condition(model: PixelModel, condition: Tensor | None) -> Tensor | None:
    """The condition of a whole image for a model of a part of it: a map is cropped like the image."""
    if condition is None or model.network.condition != "map":
        return condition
    return condition[..., : model.shape.height, : model.shape.width]


def require_batch(model: PixelModel, images: Tensor, batch_size: int) -> None:
    """Whether images can be scored, so many at a time.

    Args:
        model: scores them.
        images: levels ``(n, c, h, w)``, of which the first is looked at.
        batch_size: images at a time.

    Raises:
        DataError, ModelError: see :meth:`PixelModel.check`.
        ResourceError: the levels and parameters of a batch do not fit into memory.
    """
    model.check(images[:1])
    channels, height, width = model.shape
    each = 8 * channels + model.dtype.itemsize * model.network.out
    count = min(len(images), batch_size)
    afford(
        count * height * width * each,
        f"{counted(count, 'image')} of {model.shape} at a time need",
        "a smaller batch_size needs less",
    )
