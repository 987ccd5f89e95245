"""What images cost without loss, in bits a sub-pixel: usual formats, a table of contexts, and models.

All of a data set's rows are about the same test images, evenly spread over the set.
"""

import copy
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from benchmarks import contexts
from benchmarks.tables import table
from pixelcnn import PixelModel, checkpoint, codec, data, scoring
from pixelcnn.cli import comparison
from pixelcnn.codec.frequencies import TOTAL
from pixelcnn.codec.integers import RANGES, integers
from pixelcnn.data import ImageSet
from pixelcnn.errors import DataError
from pixelcnn.image_codecs import CODECS
from pixelcnn.shapes import coding_order

SETS = {
    "binarized-mnist": "MNIST, binary", "mnist": "MNIST, grey", "fashion-mnist": "Fashion-MNIST",
    "cifar-10": "CIFAR-10", "kodak": "Kodak",
}  # fmt: skip
"""Data sets that are measured, and what tables call them."""
SHIPPED = {
    "binarized-mnist": "mnist",
    "mnist": "mnist-grey",
    "fashion-mnist": "fashion",
    "cifar-10": "cifar-10",
    "kodak": "cifar-10",
}
"""Models that come with the package."""
CROP = 128
"""Side of the square that is cut out of the middle of each Kodak photograph."""
LEARNT = {1: 60_000, 3: 10_000}
"""Training images that a table of contexts sees, at most, of one and of three channels."""
PUBLISHED = (
    "CIFAR-10, published (zmtomorrow/NeLLoC, all 10,000 test images): 3.38, 3.28 and 3.25 bits/dim with "
    "129k, 326k and 721k parameters, 0.22 to 2.2 s an image"
)


class Images(NamedTuple):
    """Test images of a set, and training images that a table may learn from."""

    training: ImageSet
    test: ImageSet


@dataclass
class Column:
    """A data set's figures.

    Attributes:
        name: of the set.
        images: how many.
        bits: bits a sub-pixel, by way.
        notes: why some are missing, by way.
    """

    name: str
    images: int = 0
    bits: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def load(name: str, limit: int | None) -> Images:
    """Some test images, evenly spread.

    Raises:
        DataError: they are not here.
    """
    if name != "kodak":
        found = data.load(name)
        return Images(found.train, found.test.limit(limit))
    folder = Path(os.environ.get("PIXELCNN_DATA", ""), "kodak")
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise DataError("no folder kodak with photographs in $PIXELCNN_DATA")
    crops = np.stack([_middle(path) for path in paths])
    test = ImageSet(torch.from_numpy(crops), 256, name="kodak")
    return Images(data.load("cifar-10").train, test.limit(limit))


def _middle(path: Path) -> np.ndarray:
    with Image.open(path) as shown:
        pixels = np.asarray(shown.convert("RGB")).transpose(2, 0, 1)
    top, left = (pixels.shape[1] - CROP) // 2, (pixels.shape[2] - CROP) // 2
    return pixels[:, top : top + CROP, left : left + CROP].copy()


def measure(name: str, model: PixelModel | None, limit: int | None) -> Column:
    """All figures of a data set.

    Args:
        name: in :data:`SETS`.
        model: for these images, or None.
        limit: images, at most.
    """
    column = Column(name)
    try:
        training, test = load(name, limit)
    except DataError as reason:
        column.notes["all"] = str(reason)
        return column
    column.images, dimensions = len(test), test.shape.dimensions
    column.bits["raw"] = float(math.ceil(math.log2(test.levels)))
    some = training.limit(LEARNT[test.shape.channels])
    rows = comparison.usual(test.images, test.levels, list(CODECS))
    found = contexts.bits(some.images, test.images, test.levels)
    column.bits["context table"] = found / (len(test) * dimensions)
    if model is None:
        column.notes["model"] = f"no model: --model {name}=FILE"
    else:
        if RANGES not in model.record:
            codec.calibrate(model, training.images)
        rows += comparison.own(_sized(model, test), test)
        size = 16 * model.parameters_count / (len(test) * dimensions)
        column.notes["model"] = (
            f"{model.parameters_count:,} parameters, in half precision {size:.4f}"
        )
    for row in rows:
        _enter(column, row)
    if model is not None and ".pxc" in column.bits:
        column.bits[".pxc with the model"] = column.bits[".pxc"] + size
    return column


def _sized(model: PixelModel, images: ImageSet) -> PixelModel:
    """The model for images of this size: photographs are larger than what it was trained on."""
    sized = copy.copy(model)
    sized.shape = images.shape
    return sized


def _enter(column: Column, row: comparison.Row) -> None:
    """Enters what one codec needs."""
    own, title = {"model": "model, -log2 p", "pxc": ".pxc"}, comparison.TITLES[row["codec"]]
    places = {"sheet_bits_per_dim": own[row["codec"]]} if row["codec"] in own else {
        "bits_per_dim": f"{title}, a file each", "sheet_bits_per_dim": f"{title}, one sheet",
    }  # fmt: skip
    for what, way in places.items():
        if row[what] is not None:
            column.bits[way] = row[what]
    if row["note"]:
        column.notes[title] = row["note"]


def chosen(words: Sequence[str]) -> dict[str, PixelModel]:
    """Models by data set: the shipped ones, and those of ``NAME=FILE``."""
    named = (word.partition("=") for word in words)
    files = SHIPPED | {name: file for name, _, file in named}
    if unknown := set(files) - set(SETS):
        raise SystemExit(f"no data set {unknown.pop()!r}; known: {', '.join(SETS)}")
    return {name: checkpoint.load(file).eval() for name, file in files.items()}


def run(
    names: Sequence[str], models: Mapping[str, PixelModel], limit: int | None
) -> Iterator[Column]:
    """One data set after the other."""
    for name in names:
        yield measure(name, models.get(name), limit)


def report(columns: Sequence[Column]) -> str:
    """One table of all data sets, and what is to be said of each."""
    formats = [
        f"{each.title}, {how}" for each in CODECS.values() for how in ("a file each", "one sheet")
    ]
    ways = ("raw", *formats, "context table", "model, -log2 p", ".pxc", ".pxc with the model")
    head = ("bits/dim", *(SETS[column.name] for column in columns))
    rows = [(way, *(_cell(column.bits.get(way)) for column in columns)) for way in ways]
    rows.insert(0, ("images", *(f"{column.images:,}" for column in columns)))
    notes = [
        f"{SETS[column.name]}, {what}: {why}"
        for column in columns
        for what, why in column.notes.items()
    ]
    return "\n".join([table(head, rows), "", *notes, PUBLISHED])


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


class Check(NamedTuple):
    """How far a file lies above what the model says."""

    images: int
    file: int
    twin: float
    model: float

    def __str__(self) -> str:
        coder, twin = self.file / self.twin - 1, self.twin / self.model - 1
        return (
            f"{self.images:,} images: .pxc {self.file:,} bytes, {coder:+.3%} of the integer model's "
            f"-log2 p, {self.twin:,.0f} bytes, which is {twin:+.3%} of the float model's, "
            f"{self.model:,.0f} bytes"
        )


def check(model: PixelModel, images: ImageSet) -> Check:
    """The bytes of a file, and of the likelihoods of the integer and the float model.

    Args:
        model: with activation ranges, without a condition.
        images: that it takes.
    """
    model = _sized(model, images)
    file = len(codec.compress(model, images.images, verify=False))
    float_bits = float(scoring.score(model, images.images).sum()) / math.log(2)
    return Check(len(images), file, twin_bits(model, images) / 8, float_bits / 8)


@torch.inference_mode()
def twin_bits(model: PixelModel, images: ImageSet, batch: int = 1_000) -> float:
    """-log2 of the probability of images under a model's integer twin, position after position."""
    twin, _ = integers(model, model.shape)
    start, bits = twin.start_native if twin.native else twin.start, 0.0
    for levels in images.images.long().split(batch):
        walker = start(len(levels), None)
        for at in coding_order(model.shape):
            pixel = levels[:, :, at.row, at.column]
            before, own = pixel[:, : at.channel], pixel[:, at.channel, None]
            counts = twin.frequencies(walker.parameters(levels, at), before)
            bits -= float(torch.log2(counts.gather(-1, own).double() / TOTAL).sum())
    return bits
