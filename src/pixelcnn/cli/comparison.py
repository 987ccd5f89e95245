"""What a model's images cost in the usual formats, beside the model: ``evaluate --compare``."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer

from pixelcnn import devices, image_codecs, scoring
from pixelcnn.annotations import shown
from pixelcnn.cli import console
from pixelcnn.codec import compress
from pixelcnn.data import ImageSet
from pixelcnn.errors import ModelError
from pixelcnn.image_codecs import CODECS
from pixelcnn.model import PixelModel
from pixelcnn.text import counted

MOST = 1_000
"""Images that are compared, at most: programs that are started for each take minutes for so many."""
HEAD = ("", "a file each", "bits/dim", "all in one", "bits/dim", "")


@dataclass(frozen=True)
class Row:
    """What one way needs, in bytes an image.

    Attributes:
        codec: its name for programs.
        title: for people.
        files: each image by itself; None if that was not measured.
        sheet: all images together; None likewise.
        note: why not.
    """

    codec: str
    title: str
    files: float | None = None
    sheet: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Rows about the same images.

    Attributes:
        images: how many.
        dimensions: sub-pixels of each.
        rows: the usual codecs as they were asked for, then the model.
    """

    images: int
    dimensions: int
    rows: tuple[Row, ...]

    def bits_per_dim(self, size: float | None) -> float | None:
        """Bytes an image in bits per sub-pixel."""
        return None if size is None else 8 * size / self.dimensions

    def as_json(self) -> dict[str, Any]:
        """Everything in JSON types."""
        rows = [
            {
                "codec": row.codec,
                "bytes_per_image": row.files,
                "bits_per_dim": self.bits_per_dim(row.files),
                "sheet_bytes_per_image": row.sheet,
                "sheet_bits_per_dim": self.bits_per_dim(row.sheet),
                "note": row.note,
            }
            for row in self.rows
        ]
        return {"images": self.images, "rows": rows}

    def cells(self, row: Row) -> list[str]:
        """A row of the table, under :data:`HEAD`."""
        found = [row.title]
        for size in (row.files, row.sheet):
            bits = self.bits_per_dim(size)
            found += ["-", "-"] if size is None or bits is None else [f"{size:,.1f}", f"{bits:.4f}"]
        return [*found, row.note]


def names(text: str) -> list[str]:
    """``"png,jbig"`` as names of codecs.

    Raises:
        typer.BadParameter: no such codec.

    Example:
        >>> names("png, jbig")
        ['png', 'jbig']
    """
    found = [word.strip().lower() for word in text.split(",")]
    for name in found:
        if name not in CODECS:
            raise typer.BadParameter(
                f"no codec is called {shown(name)}; known: {', '.join(CODECS)}",
                param_hint="'--compare'",
            )
    return list(dict.fromkeys(found))


def compare(model: PixelModel, images: ImageSet, codecs: Sequence[str]) -> Comparison:
    """What codecs, and the model, need for the same images: at most :data:`MOST` of them, evenly spread.

    Args:
        model: any; the row of its file says so if it has no integer form.
        images: a set whose levels do not change from epoch to epoch.
        codecs: names in :data:`pixelcnn.image_codecs.CODECS`.
    """
    images = images.limit(MOST)
    rows = (*usual(images.images, model.levels, codecs), *own(model, images))
    return Comparison(len(images), model.shape.dimensions, rows)


def usual(images: Any, levels: int, codecs: Sequence[str]) -> list[Row]:
    """What codecs need for images.

    Args:
        images: integer levels ``(n, c, h, w)``.
        levels: of them.
        codecs: names in :data:`pixelcnn.image_codecs.CODECS`.
    """
    rows = []
    for name in codecs:
        with console.progress(f"coding as {CODECS[name].title}") as advance:
            found = image_codecs.sizes(name, images, levels, advance)
        files, sheet = (
            None if size is None else size / len(images) for size in (found.files, found.sheet)
        )
        rows.append(Row(name, CODECS[name].title, files, sheet, found.note))
    return rows


def own(model: PixelModel, images: ImageSet) -> list[Row]:
    """What a model needs: by its probabilities, and as one file, if it has an integer form."""
    with console.progress("scoring") as advance:
        given = scoring.condition_of(model, images)
        nats = scoring.score(model, images.images, given, callback=advance)
    ideal = float(nats.mean()) / math.log(2) / 8
    with console.progress("coding as .pxc") as advance:
        file = packed(model, images, advance)
    return [Row("model", "this model, -log2 p", ideal, ideal), file]


def packed(model: PixelModel, images: ImageSet, advance: console.Advance | None = None) -> Row:
    """What one ``.pxc`` file of all images needs, or why there is none."""
    try:
        blob = compress(
            devices.placed(model, "cpu"),
            images.images[:],
            scoring.condition_of(model, images),
            verify=False,
            callback=advance,
        )
    except ModelError as reason:
        return Row("pxc", "this model, .pxc", note=str(reason))
    return Row("pxc", "this model, .pxc", None, len(blob) / len(images))


def show(comparison: Comparison, total: int) -> None:
    """Prints the table.

    Args:
        comparison: of some images.
        total: images that there are.
    """
    spread = f"{comparison.images:,} of {total:,} images, evenly spread"
    chosen = counted(comparison.images, "image") if comparison.images == total else spread
    rows = [comparison.cells(row) for row in comparison.rows]
    columns = HEAD if any(row.note for row in comparison.rows) else HEAD[:-1]
    console.result()
    console.table(
        f"Lossless, {chosen}, in bytes an image",
        columns,
        [row[: len(columns)] for row in rows],
        range(1, 5),
    )
