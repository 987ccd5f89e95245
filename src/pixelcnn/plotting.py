"""Pictures of images, and of numbers about images, drawn with Pillow.

Everything here takes integer levels ``(n, channels, height, width)``, a tensor or an array, and gives a
Pillow image or a file. Small images are enlarged by whole factors without smoothing, so that every pixel
of the model stays one visible square.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pixelcnn.errors import ConfigError, DataError, writing
from pixelcnn.files import write_atomically
from pixelcnn.folders import at_home

Bytes = NDArray[np.uint8]

PAPER = (236, 238, 241)
"""Colour of the gaps between images."""
UNSEEN = (140, 146, 158)
"""Colour of a pixel that is not drawn yet: neither black nor white."""
KNOWN = (66, 133, 244)
"""Tint of the pixels that a completion was given."""
EMBER = (
    (4, 5, 20), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21),
    (250, 193, 39), (252, 255, 164),
)  # fmt: skip
"""Colour map of :func:`heatmap`: lightness rises evenly from nearly black to pale yellow, so it
reads the same in grey and with any colour vision. The stops lie on matplotlib's CC0 map inferno."""


def to_rgb(images: Any, levels: int, shades: int = 256) -> NDArray[Any]:
    """Levels as colours ``(n, height, width, 3)``, of 8 bits unless there are more shades.

    One channel is grey, three are red, green and blue. Two are magenta and green, so that equal
    values look grey. Of four and more the first three are shown.

    As long as shades are no fewer than levels, quantising the colours in equal bins gives the levels back.

    Args:
        images: integer levels (n, c, h, w).
        levels: the number of levels; level 0 is black, ``levels - 1`` full brightness.
        shades: see :func:`brightness`.

    Raises:
        DataError: not four axes, or no levels.

    Example:
        >>> to_rgb([[[[0, 1]]]], levels=2).tolist()
        [[[[0, 0, 0], [255, 255, 255]]]]
    """
    pixels = brightness(levels, shades)[_checked(images, levels)].transpose(0, 2, 3, 1)
    order = {1: [0, 0, 0], 2: [0, 1, 0]}.get(pixels.shape[-1], [0, 1, 2])
    return np.ascontiguousarray(pixels[..., order])


def _checked(images: Any, levels: int) -> NDArray[Any]:
    """Images as an array of levels that may be indices."""
    values = _array(getattr(images, "images", images))  # a set says what it holds
    if values.ndim != 4:
        raise DataError(
            f"a picture needs images (n, channels, height, width), got shape {values.shape}"
        )
    if values.dtype.kind not in "biu" or (
        values.size and not 0 <= values.min() <= values.max() < levels
    ):
        raise DataError(f"a picture needs integers from 0 to {levels - 1}")
    return values.astype(np.uint8) if values.dtype.kind == "b" else values


def _array(values: Any, kind: Any = None) -> NDArray[Any]:
    """Numbers on any device, and log-probabilities without their gradients, which nobody sees."""
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values, kind)


def brightness(levels: int, shades: int = 256) -> NDArray[Any]:
    """The value of each level, a table ``(levels,)``: evenly spaced, within the level's bin.

    Args:
        levels: the number of levels.
        shades: how many values there are, 256 in 8 bits or 65,536 in 16; fewer than levels share them.

    Example:
        >>> brightness(4).tolist(), brightness(4, 65_536).tolist()
        ([0, 85, 170, 255], [0, 21845, 43690, 65535])
    """
    level = np.arange(levels)
    even = np.rint(level * (shades - 1) / (levels - 1))
    if levels <= shades:
        first, after = -(-level * shades // levels), -(-(level + 1) * shades // levels)
        even = np.clip(even, first, after - 1)
    return even.astype(np.uint8 if shades == 256 else np.uint16)


def enlargement(side: int, target: int = 96) -> int:
    """The whole factor that brings ``side`` pixels close to ``target``, at least 1.

    Example:
        >>> enlargement(8), enlargement(28), enlargement(512)
        (12, 3, 1)
    """
    return max(1, target // side)


def canvas(
    count: int, height: int, width: int, columns: int | None = None, scale: int | None = None
) -> tuple[int, int]:
    """Height and width in pixels of the :func:`grid` of so many images.

    Example:
        >>> canvas(6, 8, 8, scale=2)
        (38, 56)
    """
    factor, gap, columns = _layout(count, max(height, width), columns, scale)
    rows = math.ceil(count / columns)
    return rows * (height * factor + gap) + gap, columns * (width * factor + gap) + gap


def _layout(count: int, side: int, columns: int | None, scale: int | None) -> tuple[int, int, int]:
    """Enlargement, pixels between images, and images in a row."""
    factor = scale or enlargement(side)
    return factor, max(2, factor // 3), columns or math.ceil(math.sqrt(count))


def grid(
    images: Any, levels: int, columns: int | None = None, scale: int | None = None
) -> Image.Image:
    """All images side by side, row after row, with thin gaps.

    Args:
        images: integer levels (n, c, h, w) or a set of images, at least one image.
        levels: the number of levels.
        columns: images in a row; by default about a square.
        scale: whole enlargement factor; by default about 96 pixels a side.

    Example:
        >>> grid(np.zeros((6, 1, 8, 8), int), levels=2, scale=2).size
        (56, 38)
    """
    return tiles(to_rgb(images, levels), columns, scale)


def tiles(rgb: Bytes, columns: int | None = None, scale: int | None = None) -> Image.Image:
    """The same as :func:`grid` for pictures that are colours ``(n, h, w, 3)`` already."""
    count, height, width, _ = rgb.shape
    if count == 0:
        raise DataError("no images to draw")
    factor, gap, columns = _layout(count, max(height, width), columns, scale)
    paper = np.full((*canvas(count, height, width, columns, factor), 3), PAPER, np.uint8)
    for index, image in enumerate(rgb):
        tile = image.repeat(factor, axis=0).repeat(factor, axis=1)
        top = gap + index // columns * (tile.shape[0] + gap)
        left = gap + index % columns * (tile.shape[1] + gap)
        paper[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return Image.fromarray(paper)


def save_grid(
    images: Any, path: str | Path, levels: int, columns: int | None = None, scale: int | None = None
) -> None:
    """Writes :func:`grid` as a picture file, whole or not at all; the suffix decides the format.

    Raises:
        ConfigError: a suffix that stands for no format, or a path that cannot be written.
    """
    form = Image.registered_extensions().get(Path(path).suffix.lower())
    if form not in Image.SAVE:
        raise ConfigError(f"{path}: the suffix stands for no picture format", hint="use .png")
    buffer = io.BytesIO()
    grid(images, levels, columns, scale).save(buffer, form)
    with writing(path):
        write_atomically(at_home(path), buffer.getvalue())


def reveal(images: Any, levels: int, seen: Any) -> Bytes:
    """Partial images as colours ``(n, h, w, 3)``: what is not ``seen`` yet is plain grey-blue.

    Args:
        images: integer levels (n, c, h, w).
        levels: the number of levels.
        seen: bool (n or 1, 1 or c, h, w); a pixel shows once its first channel is seen.
    """
    rgb = to_rgb(images, levels)
    pixels = np.broadcast_to(_array(seen, bool)[:, 0], rgb.shape[:3])
    return np.where(pixels[..., None], rgb, np.array(UNSEEN, np.uint8))


def completions(
    given: Any, known: Any, drawn: Any, levels: int, scale: int | None = None
) -> Image.Image:
    """One row an image: what was known, tinted blue, and then its completions.

    Args:
        given: integer levels (n, c, h, w).
        known: bool (n or 1, 1 or c, h, w).
        drawn: completions (n · k, c, h, w), those of the first image first.
        levels: the number of levels.
        scale: whole enlargement factor; by default about 96 pixels a side.
    """
    mask = np.broadcast_to(_array(known, bool).any(axis=1), (len(given), *given.shape[2:]))
    rgb = to_rgb(given, levels)
    tinted = (0.72 * rgb + 0.28 * np.array(KNOWN)).astype(np.uint8)
    first = np.where(mask[..., None], tinted, np.array(UNSEEN, np.uint8))
    rest = to_rgb(drawn, levels).reshape(len(given), -1, *rgb.shape[1:])
    rows = np.concatenate([first[:, None], rest], axis=1)
    return tiles(rows.reshape(-1, *rgb.shape[1:]), columns=rows.shape[1], scale=scale)


def coloured(values: Any, low: float, high: float) -> Bytes:
    """Numbers as colours ``(..., 3)`` of the map :data:`EMBER`, linear from ``low`` to ``high``."""
    span = (high - low) or 1.0
    position = np.clip((np.asarray(values, np.float64) - low) / span, 0, 1) * (len(EMBER) - 1)
    channels = [np.interp(position, range(len(EMBER)), stops) for stops in np.transpose(EMBER)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def heatmap(
    values: Any,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    scale: int | None = None,
) -> Image.Image:
    """A map of numbers as colours, with a legend below.

    Args:
        values: numbers (h, w), or (n, h, w) for several maps side by side with one legend.
        unit: the text of the legend, as in ``"bits per pixel"``.
        low: the number drawn darkest; by default 0, or the smallest where that is below.
        high: the number drawn brightest, as all above it; by default the largest.
        scale: whole enlargement factor; by default about 192 pixels a side for one map.

    Raises:
        DataError: not two or three axes, or a number that is NaN or infinite.

    Example:
        >>> heatmap(np.eye(4), unit="bits", scale=8).size
        (180, 74)
    """
    maps = _maps(values)
    low = min(0.0, float(maps.min())) if low is None else low
    top = float(maps.max()) if high is None else high
    factor = scale or enlargement(max(maps.shape[1:]), 192 if len(maps) == 1 else 96)
    picture = tiles(coloured(maps, low, top), columns=len(maps), scale=factor)
    more = "+" if float(maps.max()) > top else ""
    return with_legend(picture, f"{low:.3g}", f"{top:.3g}{more}", unit)


def _maps(values: Any) -> NDArray[np.float64]:
    """Numbers as maps ``(n, h, w)``."""
    maps = _array(values, np.float64)
    maps = maps[None] if maps.ndim == 2 else maps
    if maps.ndim != 3 or not maps.size:
        raise DataError(
            f"a heat map needs numbers (height, width) or (n, height, width), got shape {maps.shape}",
            hint="of log_prob_map(images) take the sum over channels, .sum(1)",
        )
    if not np.isfinite(maps).all():
        raise DataError("a heat map needs numbers, but some are NaN or infinite")
    return maps


def with_legend(picture: Image.Image, low: str, high: str, unit: str) -> Image.Image:
    """``picture`` above a colour bar from ``low`` to ``high``."""
    font = ImageFont.load_default(size=12)
    margin, bar = 10, 10
    canvas = Image.new("RGB", (max(picture.width, 180), picture.height + 38), PAPER)
    canvas.paste(picture, ((canvas.width - picture.width) // 2, 0))
    length = canvas.width - 2 * margin
    strip = coloured(np.linspace(0, 1, length)[None].repeat(bar, axis=0), 0, 1)
    canvas.paste(Image.fromarray(strip), (margin, picture.height + 4))
    draw = ImageDraw.Draw(canvas)
    line, middle, right = picture.height + bar + 8, canvas.width // 2, canvas.width - margin
    for text, x, anchor in ((low, margin, "la"), (unit, middle, "ma"), (high, right, "ra")):
        draw.text((x, line), text, fill=(40, 44, 52), font=font, anchor=anchor)
    return canvas


def stacked(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures below one another, centred.

    Example:
        >>> stacked([Image.new("RGB", (4, 2)), Image.new("RGB", (6, 3))]).size
        (6, 5)
    """
    width = max(picture.width for picture in pictures)
    canvas = Image.new("RGB", (width, sum(picture.height for picture in pictures)), PAPER)
    top = 0
    for picture in pictures:
        canvas.paste(picture, ((width - picture.width) // 2, top))
        top += picture.height
    return canvas
