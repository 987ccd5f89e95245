"""``pixelcnn score``: one row an image, for anomaly detection."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, results, say
from pixelcnn.text import cell, counted

if TYPE_CHECKING:
    from torch import Tensor

    from pixelcnn.data import ImageSet
    from pixelcnn.model import PixelModel


def score(
    model: options.Model,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder of images, a picture, an .npy, .npz or .csv file, hf:NAME, or a named data set.",
            show_default=False,
        ),
    ],
    *,
    own: options.Given,
    batch_size: options.BatchSize = 64,
    device: options.Device = None,
    out: Annotated[
        Path | None,
        options.said(
            "-o",
            "--out",
            metavar="FILE.csv",
            help="Where to write the rows. Replaced if it is there.",
            default="stdout",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        options.said(
            metavar="I/N",
            help="Only the I-th of N equal parts of the data, 1/N to N/N: one for each machine.",
            default="all",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Score each image, to find the odd ones.

    \b
    Examples:
      pixelcnn score runs/digits-digits digits --out scores.csv
      pixelcnn score runs/digits-digits photos/ --size 8 | sort -t, -k5 -g | tail

    A CSV row holds name, nats, bits_per_dim, percentile (against the model's validation images: 99
    is less likely than 99 % of them) and nats_minus_png. The last one subtracts the size of the
    image as a PNG file: plain images are likely under any model, so the likelihood alone misleads.
    Of a model of measured values a last column, nats_density, is minus log-density in their units.
    With --json the rows, or the file that --out names, come with their mean.
    """
    from pixelcnn import scoring
    from pixelcnn.cli import apart, models, output, sources

    if out is not None:
        apart.check_apart(out := options.target(out), model, data, own.condition)
        output.make_way(out, json=json)
    part = options.shard(shard)
    loaded = models.load(model, device=device)
    images = sources.images_for(loaded, data, own)
    scoring.training_coding(loaded, images)
    names = images.names or [str(index) for index in range(len(images))]
    chosen = part_of(part, len(images))
    images, names = images[chosen], names[chosen]
    with progress("scoring") as advance:
        nats = scoring.score(
            loaded,
            images.images,
            scoring.condition_of(loaded, images),
            batch_size=batch_size,
            callback=advance,
        )
    rows = scored(loaded, images, names, nats)
    files = [] if out is None else output.write(out, as_csv(rows).encode())
    if json:
        found = {"files": files} if files else {"rows": [as_json(row) for row in rows]}
        emit(summary(loaded, images, nats, rows) | {"shard": shard} | found)
    elif out is None:
        results(as_csv(rows).rstrip("\n"))
    else:
        average = f", {float(nats.mean()):.2f} nats on average" if rows else ""
        say(f"{counted(len(rows), 'image')}{average}")
        output.done(out)


def part_of(part: tuple[int, int], total: int) -> slice:
    """Which of ``total`` things belong to a part: neighbours, and of all parts together every one once.

    Example:
        >>> [range(10)[part_of((index, 3), 10)] for index in (1, 2, 3)]
        [range(0, 3), range(3, 6), range(6, 10)]
    """
    index, count = part
    return slice(total * (index - 1) // count, total * index // count)


class Row(NamedTuple):
    """What is said of one image; its fields are the columns.

    Attributes:
        name: the file, or the index of the image in its set.
        nats: minus log-probability.
        bits_per_dim: the same in bits per sub-pixel.
        percentile: among the model's validation scores, 0 to 100; NaN if it stores none.
        nats_minus_png: nats minus the size as a PNG file.
        nats_density: minus log-density in the units of measured values; None of other images.
    """

    name: str
    nats: float
    bits_per_dim: float
    percentile: float
    nats_minus_png: float
    nats_density: float | None = None


def scored(
    model: "PixelModel", images: "ImageSet", names: Sequence[str], nats: "Tensor"
) -> list[Row]:
    """The rows of some images and their scores ``(n,)``."""
    from pixelcnn import scoring

    ranks = percentiles(model, nats)
    png = scoring.png_nats(images.images, model.levels).tolist()
    bits = [scoring.bits_per_dim(value, model.shape.dimensions) for value in nats.tolist()]
    found = scoring.density(model, images, nats)
    densities = [None] * len(nats) if found is None else found.tolist()
    columns = zip(names, nats.tolist(), bits, ranks, png, densities, strict=True)
    return [
        Row(name, value, bit, rank, value - size, density)
        for name, value, bit, rank, size, density in columns
    ]


def percentiles(model: "PixelModel", nats: "Tensor") -> list[float]:
    """Where scores lie among the model's validation scores, 0 to 100; NaN if it stores none."""
    from pixelcnn import scoring
    from pixelcnn.errors import ModelError

    try:
        ranks: list[float] = scoring.percentiles(model, nats).tolist()
    except ModelError as error:
        say(f"note: {error}, so the percentile is left empty")
        return [math.nan] * len(nats)
    return ranks


def summary(
    model: "PixelModel", images: "ImageSet", nats: "Tensor", rows: Sequence[Row]
) -> dict[str, Any]:
    """The scores ``(n,)``, and their rows, as one measurement, under the keys of ``evaluate``."""
    from pixelcnn import scoring

    dimensions = model.shape.dimensions
    densities = [row.nats_density for row in rows if row.nats_density is not None]
    mean, error = float(nats.mean()), scoring.standard_error(nats)
    return {
        "nats_per_image": mean,
        "stderr": error,
        "nats_per_image_density": math.fsum(densities) / len(rows) if densities else None,
        "bits_per_dim": scoring.bits_per_dim(mean, dimensions),
        "bits_per_dim_stderr": scoring.bits_per_dim(error, dimensions),
        "images": len(nats),
        "dimensions": dimensions,
        "data": images.name,
        "levels": model.levels,
    }


def as_json(row: Row) -> dict[str, Any]:
    """A row under the names of the columns that it has."""
    return {name: value for name, value in row._asdict().items() if value is not None}


def as_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV text with a header; an unknown percentile is left empty, names are :func:`cell`.

    There is a column of densities if the rows have any.

    Example:
        >>> print(as_csv([Row("a.png", 8.0, 2.8854, 50.0, -2.0)]), end="")
        name,nats,bits_per_dim,percentile,nats_minus_png
        a.png,8.0000,2.8854,50.00,-2.0000
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measured = any(row.nats_density is not None for row in rows)
    writer.writerow(Row._fields if measured else Row._fields[:-1])
    for row in rows:
        rank = "" if math.isnan(row.percentile) else f"{row.percentile:.2f}"
        numbers = (f"{row.nats:.4f}", f"{row.bits_per_dim:.4f}", rank, f"{row.nats_minus_png:.4f}")
        density = (f"{row.nats_density:.4f}",) if measured else ()
        writer.writerow([cell(row.name), *numbers, *density])
    return text.getvalue()
