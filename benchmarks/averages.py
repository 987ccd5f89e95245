"""Averages of several models' probabilities: an ensemble of one scan, and scans from several corners.

Any mean of distributions over images is one. Models of the same scan are averaged at each sub-pixel. A model
that was trained on flipped images scans from another corner; with it, only probabilities of whole images have
a mean.
"""

import argparse
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

import pixelcnn as px
from benchmarks.tables import table
from pixelcnn import data
from pixelcnn.data import ImageSet
from pixelcnn.modes import evaluation_view
from pixelcnn.scoring import bits_per_dim, standard_error
from pixelcnn.training import recipe as recipes

CORNERS = {"top-left": (), "top-right": (3,), "bottom-left": (2,), "bottom-right": (2, 3)}
"""Where a scan begins, and the axes of images that are flipped for it."""

BATCH = 100


@dataclasses.dataclass(frozen=True)
class Scan:
    """A model, or a recipe of one, and the corner at which it begins.

    Example:
        >>> Scan.parse("runs/mnist@bottom-right")
        Scan(name='runs/mnist', corner='bottom-right')
        >>> Scan.parse("mnist").corner
        'top-left'
    """

    name: str
    corner: str

    @staticmethod
    def parse(text: str) -> "Scan":
        """``NAME`` or ``NAME@CORNER``."""
        name, _, corner = text.partition("@")
        if corner and corner not in CORNERS:
            raise argparse.ArgumentTypeError(f"no corner {corner!r}; known: {', '.join(CORNERS)}")
        return Scan(name, corner or "top-left")


def seen_from(corner: str, images: Tensor) -> Tensor:
    """Images ``(n, c, h, w)`` as a scan from a corner meets them: flipped so that it is at the top left."""
    return images.flip(CORNERS[corner])


def flipped(images: ImageSet, corner: str) -> ImageSet:
    """A set of such images."""
    return dataclasses.replace(images, images=seen_from(corner, images.images))


def mean(log_probs: Iterable[Tensor]) -> Tensor:
    """The logarithm of the mean of probabilities, of tensors of one shape.

    Example:
        >>> mean([torch.tensor([0.25]).log(), torch.tensor([0.75]).log()]).exp()
        tensor([0.5000])
    """
    found = torch.stack(list(log_probs))
    return found.logsumexp(0) - math.log(len(found))


def log_probs(models: Mapping[Scan, px.PixelModel], images: Tensor) -> dict[str, Tensor]:
    """Log-probability of each image, in nats, float64 ``(n,)``.

    Of each model, of the ensemble of each corner that has several, and of all corners if there are several.

    Args:
        models: in evaluation mode; each scores every image once.
        images: levels ``(n, c, h, w)``.
    """
    found: dict[str, list[Tensor]] = {}
    with torch.inference_mode():
        for part in images.split(BATCH):
            corners: dict[str, list[Tensor]] = {}
            for scan, model in models.items():
                pixels = model.log_prob_map(seen_from(scan.corner, part)).double()
                corners.setdefault(scan.corner, []).append(pixels)
                found.setdefault(f"{scan.name}, {scan.corner}", []).append(pixels.sum((1, 2, 3)))
            ensembles = {corner: mean(maps).sum((1, 2, 3)) for corner, maps in corners.items()}
            for corner, maps in corners.items():
                if len(maps) > 1:
                    found.setdefault(f"all of {corner}", []).append(ensembles[corner])
            if len(corners) > 1:
                found.setdefault("all", []).append(mean(ensembles.values()))
    return {what: torch.cat(parts) for what, parts in found.items()}


def measure(scans: Sequence[Scan], name: str, split: str, limit: int | None) -> str:
    """A table of each model, of the ensemble of each corner that has several, and of all corners."""
    images = getattr(data.load(name), split).frozen().limit(limit).images
    models = {scan: evaluation_view(px.load(scan.name)) for scan in scans}
    rows = []
    for what, each in log_probs(models, images).items():
        bits = bits_per_dim(-float(each.mean()), images[0].numel())
        nats = f"{-float(each.mean()):.2f} ± {standard_error(-each):.2f}"
        rows.append((what, nats, f"{bits:.4f}"))
    return table((f"{name} {split}, {len(images):,} images", "nats", "bits/dim"), rows)


def train(scan: Scan, run: Path, settings: Sequence[str], seconds: str) -> None:
    """Trains a recipe on images as its corner sees them, or goes on with that."""
    recipe = recipes.get(scan.name).with_overrides(settings)
    splits = data.Splits(*(flipped(part, scan.corner) for part in recipe.load()))
    model, _ = recipe.build(splits)
    px.fit(
        model, splits.train, splits.val, run, resume=True, options=recipe.options, max_time=seconds
    )


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks averages", description=__doc__)
    parser.add_argument("scans", nargs="+", type=Scan.parse, metavar="MODEL[@CORNER]",
                        help=f"a corner is one of {', '.join(CORNERS)}")  # fmt: skip
    parser.add_argument(
        "--data", default="binarized-mnist", help="a named data set (binarized-mnist)"
    )
    parser.add_argument("--split", default="val", choices=("val", "test"))
    parser.add_argument("--limit", type=int, metavar="N", help="images, evenly spread (all)")
    parser.add_argument("--train", type=Path, metavar="RUN",
                        help="train the recipe RECIPE@CORNER in this folder instead")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="table.key=VALUE")
    parser.add_argument("--max-time", default="75m", help="of the training (75m)")
    options = parser.parse_args(words)
    if options.train and len(options.scans) != 1:
        parser.error("one recipe is trained at a time")
    return options


def main(words: Sequence[str]) -> int:
    """Prints the table, or trains."""
    options = parse(words)
    if options.train:
        train(options.scans[0], options.train, options.set, options.max_time)
    else:
        print(measure(options.scans, options.data, options.split, options.limit))
    return 0
