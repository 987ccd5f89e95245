"""Images that are too large to be coded whole, as tiles of one size, and back.

All tiles of an image are alike, and as many as it takes: rows and columns of tiles are as even as they can
be, so that only a few pixels lie beyond the lower and the right edge. Those repeat the pixels of the edge,
which costs next to nothing, and are dropped again.
"""

import torch
from torch import Tensor

from pixelcnn.shapes import ImageShape

MOST_SUBPIXELS = 2**19
"""Of a tile: what is kept of all positions at once while it is coded is bounded by them."""
MOST_COLUMNS = 2**12
"""Of a tile: engines keep some rows of features."""
BLOCK = 1_024
"""Tiles that are coded together, at most."""
TOGETHER = 2**14
"""Columns of all tiles that are coded together, at most."""


def tile_of(shape: ImageShape, largest: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of the tiles of an image; its own if it is coded whole.

    Args:
        shape: of the image.
        largest: height and width of the largest image that the network takes; None for any.

    Example:
        >>> tile_of(ImageShape(1, 28, 28), None), tile_of(ImageShape(3, 512, 768), None)
        ((28, 28), (171, 768))
        >>> tile_of(ImageShape(1, 30, 56), (28, 28))
        (15, 28)
    """
    rows, columns = largest or (shape.height, shape.width)
    columns = min(columns, MOST_COLUMNS, MOST_SUBPIXELS // shape.channels)
    width = _even(shape.width, columns)
    rows = min(rows, MOST_SUBPIXELS // (shape.channels * width))
    return _even(shape.height, rows), width


def block_of(shape: ImageShape) -> int:
    """Tiles of a shape that are coded together.

    Example:
        >>> block_of(ImageShape(1, 28, 28)), block_of(ImageShape(3, 32, 32)), block_of(ImageShape(1, 8, 8))
        (585, 170, 1024)
    """
    return max(1, min(BLOCK, MOST_SUBPIXELS // shape.dimensions, TOGETHER // shape.width))


def grid(shape: ImageShape, tile: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of tiles of an image."""
    return -(-shape.height // tile[0]), -(-shape.width // tile[1])


def split(images: Tensor, tile: tuple[int, int]) -> Tensor:
    """The tiles of images ``(n, c, h, w)``, row by row of each, ``(n * tiles, c, *tile)``.

    Example:
        >>> split(torch.arange(6).reshape(1, 1, 2, 3), (2, 2)).tolist()
        [[[[0, 1], [3, 4]]], [[[2, 2], [5, 5]]]]
    """
    if tuple(images.shape[2:]) == tile:
        return images
    height, width = images.shape[2:]
    rows, columns = -(-height // tile[0]), -(-width // tile[1])
    down = torch.arange(rows * tile[0]).clamp(max=height - 1)
    across = torch.arange(columns * tile[1]).clamp(max=width - 1)
    whole = images[:, :, down][..., across].unflatten(3, (columns, -1)).unflatten(2, (rows, -1))
    return whole.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def join(tiles: Tensor, shape: ImageShape) -> Tensor:
    """The images ``(n, *shape)`` of tiles ``(n * tiles, c, height, width)``.

    Example:
        >>> join(torch.tensor([[[[0, 1], [3, 4]]], [[[2, 2], [5, 5]]]]), ImageShape(1, 2, 3)).tolist()
        [[[[0, 1, 2], [3, 4, 5]]]]
    """
    if tuple(tiles.shape[1:]) == tuple(shape):
        return tiles
    rows, columns = grid(shape, tuple(tiles.shape[2:]))  # type: ignore[arg-type]
    whole = tiles.unflatten(0, (-1, rows, columns)).permute(0, 3, 1, 4, 2, 5)
    return whole.flatten(4, 5).flatten(2, 3)[:, :, : shape.height, : shape.width]


def _even(side: int, most: int) -> int:
    """Length of the parts of a side that are alike, and as few as there can be."""
    return -(-side // -(-side // most))
