"""``pixelcnn score``: one row an image, for anomaly detection."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import progress, result, say

if TYPE_CHECKING:
    from torch import Tensor

    from pixelcnn.model import PixelModel

COLUMNS = ("name", "nats", "bits_per_dim", "percentile", "nats_minus_png")


def score(
    model: options.Model,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder of images, a picture, an .npy, .npz or .csv file, or a named data set.",
            show_default=False,
        ),
    ],
    size: options.Size = None,
    fit: options.Fit = None,
    layout: options.Layout = None,
    skip_bad: options.SkipBad = False,
    label: options.TakenAs = None,
    batch_size: options.BatchSize = 64,
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
) -> None:
    """Score each image, to find the odd ones.

    \b
    Examples:
      pixelcnn score runs/digits photos/ --out scores.csv
      pixelcnn score runs/digits batch.npz | sort -t, -k5 -g | tail

    A CSV row holds name, nats, bits_per_dim, percentile (against the model's validation images: 99
    is less likely than 99 % of them) and nats_minus_png. The last one subtracts the size of the
    image as a PNG file: plain images are likely under any model, so the likelihood alone misleads.
    """
    from pixelcnn import checkpoint, scoring
    from pixelcnn import data as sets
    from pixelcnn.cli import conditions, sources

    loaded = checkpoint.load(model)
    prepared = sources.preparation(loaded, options.sides(size), fit, layout, skip_bad)
    images = conditions.taken_as(loaded, sets.load_all(data, **prepared), label)
    with progress("scoring") as advance:
        nats = scoring.score(
            loaded,
            images.images,
            scoring.condition_of(loaded, images),
            batch_size=batch_size,
            callback=advance,
        )
    ranks = percentiles(loaded, nats)
    png = scoring.png_nats(images.images, loaded.levels)
    names = images.names or [str(index) for index in range(len(nats))]
    text = rows(names, nats.tolist(), ranks, png.tolist(), loaded.shape.dimensions)
    if out is None:
        result(text.rstrip("\n"))
        return
    from pixelcnn.cli import output

    output.write(out, text.encode())
    say(f"{len(nats)} images, {float(nats.mean()):.2f} nats on average")
    result(str(out))


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


def rows(
    names: Sequence[str],
    nats: Sequence[float],
    percentiles: Sequence[float],
    png: Sequence[float],
    dimensions: int,
) -> str:
    """The scores as CSV text with a header; an unknown percentile is left empty.

    Example:
        >>> print(rows(["a.png"], [8.0], [50.0], [10.0], 4), end="")
        name,nats,bits_per_dim,percentile,nats_minus_png
        a.png,8.0000,2.8854,50.00,-2.0000
    """
    from pixelcnn.scoring import bits_per_dim

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, value, rank, size in zip(names, nats, percentiles, png, strict=True):
        shown = "" if math.isnan(rank) else f"{rank:.2f}"
        bits = bits_per_dim(value, dimensions)
        writer.writerow([name, f"{value:.4f}", f"{bits:.4f}", shown, f"{value - size:.4f}"])
    return text.getvalue()
