"""Which images train, which validate and which test: fixed, and independent of any library's shuffle."""

import hashlib

import numpy as np

from pixelcnn import streams
from pixelcnn.data.image_set import ImageSet, as_bytes
from pixelcnn.errors import DataError
from pixelcnn.shapes import ImageShape

THREE_WAYS = (0.8, 0.9)
"""Own data: up to the first share trains, up to the second validates, the rest tests."""
TWO_WAYS = (0.9,)
"""The same where the user brings a test set."""


def permutation(n: int) -> np.ndarray:
    """The fixed shuffle of ``n`` images: positions sorted by the words of their stream.

    Of :mod:`pixelcnn.streams`, since no library guarantees its ``shuffle`` for ever.

    Example:
        >>> permutation(6).tolist()
        [0, 1, 4, 2, 5, 3]
    """
    return np.argsort(streams.split().words(n), kind="stable")


def shuffled_parts(n: int, *sizes: int) -> list[np.ndarray]:
    """The fixed shuffle, cut into parts of these sizes; each part keeps the order of the file."""
    assert sum(sizes) == n, f"{sizes} of {n}"
    return [np.sort(part) for part in np.split(permutation(n), np.cumsum(sizes)[:-1])]


def content_key(shape: ImageShape, pixels: bytes) -> int:
    """The first 64 bits of the SHA-256 of an image: its shape and its values."""
    digest = hashlib.sha256(str(shape).encode() + pixels).digest()
    return int.from_bytes(digest[:8], "big")


def content_keys(images: ImageSet) -> np.ndarray:
    """The content key of each image: ``(n,)`` uint64.

    Its name, its place in a folder and the other images do not matter.
    """
    shape = images.shape
    keys = (content_key(shape, as_bytes(image)) for image in images.images)
    return np.fromiter(keys, dtype=np.uint64, count=len(images))


def parts_by_content(keys: np.ndarray, shares: tuple[float, ...] = THREE_WAYS) -> list[np.ndarray]:
    """Indices of each part, ascending, cut where the content keys pass the shares of their range.

    So an image stays where it is when others are added, renamed or removed, and copies of an image
    are never on both sides. A small set could leave a part empty: then the distinct images are
    ranked by key and cut by their number, with at least one in each part.

    Raises:
        DataError: fewer distinct images than parts.
    """
    bounds = [round(share * 2**64) for share in shares]
    part = np.searchsorted(np.array(bounds, dtype=np.uint64), keys, side="right")
    count = len(shares) + 1
    if len(np.unique(part)) < count:
        part = _ranked(keys, shares)
    return [np.flatnonzero(part == number) for number in range(count)]


def _ranked(keys: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Part of each image of a small set."""
    distinct, place = np.unique(keys, return_inverse=True)
    n, count = len(distinct), len(shares) + 1
    if n < count:
        raise DataError(
            f"{n} different images cannot be split into {count} parts",
            hint=f"at least {count} different images are needed; `pixelcnn evaluate --split all` takes "
            "fewer, `pixelcnn train --set data.test=` (in Python test=) test images from elsewhere",
        )
    smaller = [max(1, round(n * (b - a))) for a, b in zip(shares, (*shares[1:], 1.0), strict=True)]
    cuts = n - np.cumsum(smaller[::-1])[::-1]
    return np.searchsorted(cuts, place, side="right")
