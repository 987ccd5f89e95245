"""``pixelcnn score``: one row an image, for anomaly detection."""

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options, words
from pixelcnn.cli.console import emit, progress, results, say
from pixelcnn.text import cell, counted

if TYPE_CHECKING:
    from torch import Tensor

    from pixelcnn.data import ImageSet
    from pixelcnn.model import PixelModel

FORMS = {"name": cell, "percentile": lambda rank: "" if math.isnan(rank) else f"{rank:.2f}"}
"""How columns are written; others have four digits behind the point."""


def score(
    model: options.Model,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder of images, a picture, an .npy, .npz or .csv file, hf:NAME, or a named data set "
            "such as mnist:test.",
            show_default=False,
        ),
    ],
    *,
    own: options.Given,
    limit: options.Limit = None,
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
    from pixelcnn.cli import models, output, sources

    if out is not None:
        output.check_target(out := words.target(out), model, data, own.condition, json=json)
    part = words.shard(shard)
    loaded = models.load(model, device=device)
    images = sources.images_for(loaded, data, own)
    scoring.training_coding(loaded, images)
    names = images.names or tuple(map(str, range(len(images))))
    images = dataclasses.replace(images, names=names).limit(limit)
    images = images[part_of(part, len(images))]
    with progress("scoring") as advance:
        nats = scoring.score(
            loaded,
            images.images,
            scoring.condition_of(loaded, images),
            batch_size=batch_size,
            callback=advance,
        )
    tell_unlike(loaded, images, nats)
    columns = scored(loaded, images, images.names, nats)
    files = [] if out is None else output.write(out, as_csv(columns).encode())
    if json:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        found = {"files": files} if files else {"rows": rows}
        emit(summary(loaded, images, nats) | {"shard": shard} | found)
    elif out is None:
        results(as_csv(columns).rstrip("\n"))
    else:
        average = f", {float(nats.mean()):.2f} nats on average" if len(nats) else ""
        say(f"{counted(len(nats), 'image')}{average}")
        output.done(out)


def part_of(part: tuple[int, int], total: int) -> slice:
    """Which of ``total`` things belong to a part: neighbours, and of all parts together every one once.

    Example:
        >>> [range(10)[part_of((index, 3), 10)] for index in (1, 2, 3)]
        [range(0, 3), range(3, 6), range(6, 10)]
    """
    index, count = part
    return slice(total * (index - 1) // count, total * index // count)


def scored(
    model: "PixelModel", images: "ImageSet", names: Sequence[str], nats: "Tensor"
) -> dict[str, list[Any]]:
    """What is said of each image, by column.

    Args:
        model: that scored.
        images: the images, with bins if they are measured values.
        names: of them: files, or indices in their set.
        nats: minus log-probabilities ``(n,)``.

    Returns:
        Beside names and nats: bits per sub-pixel; the percentile among the model's validation scores, NaN if
        it stores none; nats minus the size as a PNG file; and, of measured values, minus log-density.
    """
    from pixelcnn import scoring

    size = model.shape.dimensions
    found = {
        "name": list(names),
        "nats": nats.tolist(),
        "bits_per_dim": [scoring.bits_per_dim(value, size) for value in nats.tolist()],
        "percentile": percentiles(model, nats),
        "nats_minus_png": (nats - scoring.png_nats(images.images, model.levels)).tolist(),
    }
    densities = scoring.density(model, images, nats)
    return found if densities is None else found | {"nats_density": densities.tolist()}


def tell_unlike(model: "PixelModel", images: "ImageSet", nats: "Tensor") -> None:
    """Says so if all images are less likely than any that validated, and if they may be negatives."""
    from pixelcnn import scoring

    validated = model.record.get("validation_quantiles")
    if not validated or len(nats) < 2 or float(nats.min()) <= validated[-1]:
        return
    some = images.limit(16)
    negatives = model.levels - 1 - some.images.int()
    exchanged = float(scoring.score(model, negatives, scoring.condition_of(model, some)).mean())
    least = f"less likely than any of its validation images ({validated[-1]:.0f} nats at most)"
    say(f"note: all of the images are {least}: the model was trained on others")
    if exchanged < float(nats.mean()) / 2:
        say(
            f"hint: with dark and light exchanged they take {exchanged:.0f} nats instead of"
            f" {float(nats.mean()):.0f}: invert them, as with PIL.ImageOps.invert"
        )


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


def summary(model: "PixelModel", images: "ImageSet", nats: "Tensor") -> dict[str, Any]:
    """The scores ``(n,)`` as one measurement, under the keys of ``evaluate``."""
    from pixelcnn import scoring

    dimensions, densities = model.shape.dimensions, scoring.density(model, images, nats)
    mean, error = float(nats.mean()), scoring.standard_error(nats)
    return {
        "nats_per_image": mean,
        "stderr": error,
        "nats_per_image_density": float(densities.mean()) if densities is not None else None,
        "nats_per_image_density_stderr": scoring.standard_error(densities)
        if densities is not None
        else None,
        "bits_per_dim": scoring.bits_per_dim(mean, dimensions),
        "bits_per_dim_stderr": scoring.bits_per_dim(error, dimensions),
        "images": len(nats),
        "dimensions": dimensions,
        "data": images.name,
        "levels": model.levels,
    }


def as_csv(columns: Mapping[str, Sequence[Any]]) -> str:
    """Columns as CSV text with a header; an unknown percentile is left empty, names are :func:`cell`.

    Example:
        >>> print(as_csv({"name": ["a.png"], "nats": [8.0], "percentile": [50.0]}), end="")
        name,nats,percentile
        a.png,8.0000,50.00
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    forms = [FORMS.get(name, "{:.4f}".format) for name in columns]
    for row in zip(*columns.values(), strict=True):
        writer.writerow([form(value) for form, value in zip(forms, row, strict=True)])
    return text.getvalue()
