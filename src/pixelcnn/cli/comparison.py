"""What a model's images cost in the usual formats, beside the model: ``evaluate --compare``."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pixelcnn import devices, image_codecs, scoring
from pixelcnn.cli import console
from pixelcnn.codec import compress
from pixelcnn.config import check_choice
from pixelcnn.data import ImageSet
from pixelcnn.errors import ModelError
from pixelcnn.image_codecs import CODECS
from pixelcnn.model import PixelModel
from pixelcnn.text import counted

MOST = 1_000
"""Images that are compared, at most: programs that are started for each take minutes for so many."""
TITLES = {name: codec.title for name, codec in CODECS.items()} | {
    "model": "this model, -log2 p",
    "pxc": "this model, .pxc",
}
COLUMNS = {
    "bytes_per_image": ("a file each", ",.1f"),
    "bits_per_dim": ("bits/dim", ".4f"),
    "sheet_bytes_per_image": ("all in one", ",.1f"),
    "sheet_bits_per_dim": ("bits/dim", ".4f"),
}
"""Titles and forms of the numbers of a row."""

Row = dict[str, Any]
"""What one way needs, under the keys of ``--json``."""


def row(codec: str, dimensions: int, files: float | None, sheet: float | None, note: str) -> Row:
    """What one way needs for the images.

    Args:
        codec: its name for programs.
        dimensions: sub-pixels of an image.
        files: bytes an image, each by itself; None if that was not measured.
        sheet: bytes an image, all of them together; None likewise.
        note: why not.
    """
    bits = [None if size is None else 8 * size / dimensions for size in (files, sheet)]
    numbers = dict(zip(COLUMNS, (files, bits[0], sheet, bits[1]), strict=True))
    return {"codec": codec, **numbers, "note": note}


def names(text: str) -> list[str]:
    """``"png,jbig"`` as names of codecs.

    Raises:
        ConfigError: no such codec.

    Example:
        >>> names("png, jbig")
        ['png', 'jbig']
    """
    found = [word.strip().lower() for word in text.split(",")]
    for name in found:
        check_choice("--compare", name, CODECS)
    return list(dict.fromkeys(found))


def compare(model: PixelModel, images: ImageSet, codecs: Sequence[str]) -> dict[str, Any]:
    """What codecs, and the model, need for the same images: at most :data:`MOST` of them, evenly spread.

    Args:
        model: any; the row of its file says so if it has no integer form.
        images: a set whose levels do not change from epoch to epoch.
        codecs: names in :data:`pixelcnn.image_codecs.CODECS`.

    Returns:
        How many images these are, and a :func:`row` for each codec and for the model.
    """
    images = images.limit(MOST)
    rows = [*usual(images.images, model.levels, codecs), *own(model, images)]
    return {"images": len(images), "rows": rows}


def usual(images: Any, levels: int, codecs: Sequence[str]) -> list[Row]:
    """What codecs need for images.

    Args:
        images: integer levels ``(n, c, h, w)``.
        levels: of them.
        codecs: names in :data:`pixelcnn.image_codecs.CODECS`.
    """
    rows, dimensions = [], math.prod(images.shape[1:])
    for name in codecs:
        with console.progress(f"coding as {TITLES[name]}") as advance:
            found = image_codecs.sizes(name, images, levels, advance)
        files, sheet = (
            None if size is None else size / len(images) for size in (found.files, found.sheet)
        )
        rows.append(row(name, dimensions, files, sheet, found.note))
    return rows


def own(model: PixelModel, images: ImageSet) -> list[Row]:
    """What a model needs: by its probabilities, and as one ``.pxc`` file, if it has an integer form."""
    size, given = model.shape.dimensions, scoring.condition_of(model, images)
    with console.progress("scoring") as advance:
        nats = scoring.score(model, images.images, given, callback=advance)
    ideal = float(nats.mean()) / math.log(2) / 8
    rows = [row("model", size, ideal, ideal, "")]
    with console.progress("coding as .pxc") as advance:
        there, levels = devices.placed(model, "cpu"), images.images[:]
        try:
            blob = compress(there, levels, given, verify=False, callback=advance)
        except ModelError as reason:
            return [*rows, row("pxc", size, None, None, str(reason))]
    return [*rows, row("pxc", size, None, len(blob) / len(images), "")]


def show(compared: Mapping[str, Any], total: int) -> None:
    """Prints the table.

    Args:
        compared: see :func:`compare`.
        total: images that there are.
    """
    spread = f"{compared['images']:,} of {total:,} images, evenly spread"
    chosen = counted(total, "image") if compared["images"] == total else spread
    noted = any(each["note"] for each in compared["rows"])
    titles = ["", *(title for title, _ in COLUMNS.values()), *[""] * noted]
    cells = [
        [
            TITLES[each["codec"]],
            *("-" if (size := each[key]) is None else f"{size:{form}}"
              for key, (_, form) in COLUMNS.items()),
            *[each["note"]] * noted,
        ]
        for each in compared["rows"]
    ]  # fmt: skip
    console.result()
    console.table(f"Lossless, {chosen}, in bytes an image", titles, cells, range(1, 5))
