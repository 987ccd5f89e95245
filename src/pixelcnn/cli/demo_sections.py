"""What the sections of the demo compute: pictures into its folder, and what is said of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from pixelcnn import checkpoint, codec, image_codecs, plotting, png, sampling, scoring
from pixelcnn.charts import learning_curve
from pixelcnn.cli import conditions, report
from pixelcnn.cli.animation import FrameRecorder
from pixelcnn.cli.output import save_picture, write
from pixelcnn.codec.integers import RANGES
from pixelcnn.data import ImageSet, Splits
from pixelcnn.model import PixelModel
from pixelcnn.scoring import Score
from pixelcnn.shapes import ImageShape
from pixelcnn.training.history import bits_per_dim_curves, read_rows
from pixelcnn.verify.report import Report

Numbers = NDArray[np.float64]

COUNT = 10
"""Images of each model; of one that is told the class, one of each of the first classes."""
SIDE = 64
"""Pixels that an image is enlarged to, about."""
PACKED = {
    "png": "PNG, a file each", "webp": "WebP, a file each", "png_sheet": "PNG, one sheet of all",
    "webp_sheet": "WebP, one sheet of all", "pxc": "this model, one file of all",
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """What every chapter works with.

    Attributes:
        folder: where pictures go.
        model: the trained model.
        digits: the data, split.
        seed: of all drawing.
    """

    folder: Path
    model: PixelModel
    digits: Splits
    seed: int

    @property
    def levels(self) -> int:
        """Levels of a pixel."""
        return self.model.levels

    def save(self, picture: Image, name: str) -> None:
        """Puts a picture into the folder."""
        save_picture(picture, self.folder / name)


def data(stage: Stage) -> None:
    """Some of what the model is trained on."""
    some = stage.digits.train.limit(40).images
    stage.save(plotting.grid(some, stage.levels, columns=10, scale=8), "digits.png")


def curves(stage: Stage) -> str:
    """How the loss went down."""
    rows = read_rows(stage.folder / "run" / "metrics.csv")
    return learning_curve(
        bits_per_dim_curves(rows), "passes over the training set", "bits per pixel"
    )


def uniform_nats(shape: ImageShape, levels: int) -> float:
    """Nats of an image whose levels are all equally likely.

    Example:
        >>> round(uniform_nats(ImageShape(1, 8, 8), 2), 2)
        44.36
    """
    return float(shape.dimensions * np.log(levels))


def histogram_nats(train: ImageSet, test: ImageSet) -> Numbers:
    """Nats of each test image under the training histogram of each sub-pixel, (n,).

    Every level counts one more time than it occurs, so that none is impossible.
    """
    seen = train.images.flatten(1).numpy()
    counts = np.stack([(seen == level).sum(0) for level in range(train.levels)]) + 1.0
    logs = np.log(counts / counts.sum(0))
    levels = test.images.flatten(1).numpy().astype(np.int64)
    return -logs[levels, np.arange(levels.shape[1])].sum(1)


def likelihoods(stage: Stage, score: Score) -> str:
    """The test score, beside what anybody could do."""
    train, _, test = stage.digits
    rows = [
        ("every level equally likely", uniform_nats(stage.model.shape, stage.levels), False),
        ("a histogram for each pixel", float(histogram_nats(train, test).mean()), False),
        ("this model", score.nats, True),
    ]
    return report.bars(rows, "nats per image")


def samples(stage: Stage) -> str:
    """New digits, and how they come about; says how many of them are in the data."""
    frames = FrameRecorder(stage.model.shape, stage.levels, frames=64)
    images = sampling.sample(stage.model, 36, seed=stage.seed)
    sampling.sample(stage.model, 16, seed=stage.seed, callback=frames)
    stage.save(plotting.grid(images, stage.levels, columns=6, scale=6), "samples.png")
    frames.save(stage.folder / "drawing.gif", columns=4, scale=9)
    every = torch.cat([part.images for part in stage.digits])
    copies = int((images[:, None] == every).flatten(2).all(2).any(1).sum())
    return f"{copies or 'None'} of the digits below {'are' if copies else 'is'}"


def completions(stage: Stage) -> None:
    """What may be below the upper half of a digit."""
    given = stage.digits.test.limit(6).images
    known = torch.zeros(1, 1, *stage.model.shape[1:], dtype=torch.bool)
    known[:, :, : stage.model.shape.height // 2] = True
    drawn = sampling.complete(stage.model, given, known, n=7, seed=stage.seed)
    picture = plotting.completions(given, known, drawn, stage.levels, scale=9)
    stage.save(picture, "completions.png")
    write(stage.folder / "digit.png", png.files(given[:1], stage.levels))


def compressed(stage: Stage) -> dict[str, float]:
    """Bytes that a test digit takes, by how it is packed; the model's file is written and read again."""
    model, images = stage.model, stage.digits.test.images
    if RANGES not in model.record:
        codec.calibrate(model, stage.digits.val.images)
    blob = codec.compress(model, images, verify=False)
    assert np.array_equal(codec.decompress(model, blob), images)
    write(stage.folder / "digits.pxc", blob)
    found: dict[str, float] = {}
    for name in ("png", "webp"):
        size = image_codecs.sizes(name, images, stage.levels)
        assert size.files is not None and size.sheet is not None
        found |= {name: size.files, f"{name}_sheet": size.sheet}
    return {name: size / len(images) for name, size in (found | {"pxc": len(blob)}).items()}


def packed(sizes: Mapping[str, float]) -> str:
    """What digits take as files, see :func:`compressed`."""
    rows = [(title, sizes[name], name == "pxc") for name, title in PACKED.items()]
    return report.bars(rows, "bytes a digit")


def surprise(stage: Stage) -> None:
    """Where in the image the bits are."""
    some, every = stage.digits.test.limit(8).images, stage.digits.test.images
    with torch.inference_mode():
        bits = -stage.model.log_prob_map(every).sum(1).double() / float(np.log(2))
        these = -stage.model.log_prob_map(some).sum(1).double() / float(np.log(2))
    above = plotting.grid(some, stage.levels, columns=8, scale=10)
    high = round(float(these.quantile(0.99)))
    below = plotting.heatmap(these, unit="bits per pixel", scale=10, high=high)
    stage.save(plotting.stacked([above, below]), "bits.png")
    stage.save(plotting.heatmap(bits.mean(0), unit="bits per pixel"), "mean-bits.png")


def strangers(digits: Tensor, levels: int, seed: int) -> dict[str, Tensor]:
    """Images that are no digits, made of digits (n, 1, h, w), by what was done to them."""
    pixels = digits[0].numel()
    order = torch.randperm(pixels, generator=torch.Generator().manual_seed(seed))
    return {
        "digits upside down": digits.flip(2),
        "digits lying on their side": digits.transpose(2, 3).flip(3),
        "digits with shuffled pixels": digits.flatten(1)[:, order].reshape(digits.shape),
        "digits in negative": levels - 1 - digits,
    }


def auroc(odd: Numbers, normal: Numbers) -> float:
    """The chance that an odd image scores above a normal one; ties count half.

    Example:
        >>> auroc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
        0.875
    """
    above = (odd[:, None] > normal).mean()
    ties = (odd[:, None] == normal).mean()
    return float(above + ties / 2)


def anomalies(stage: Stage) -> str:
    """Images that are not digits, told from digits; and how well that works."""
    test = stage.digits.test.images
    known = scoring.score(stage.model, test)
    rows = [("test digits", f"{float(known.mean()):.1f}", "–")]
    for name, images in strangers(test, stage.levels, stage.seed).items():
        nats = scoring.score(stage.model, images)
        found = auroc(nats.numpy(), known.numpy())
        rows.append((name, f"{float(nats.mean()):.1f}", f"{found:.3f}"))
    ranked = test[known.argsort()]
    pair = torch.cat([ranked[:8], ranked[-8:]])
    stage.save(plotting.grid(pair, stage.levels, columns=8, scale=9), "odd.png")
    heading = ("images", "nats, on average", "told from test digits (AUROC)")
    return report.table(heading, rows)


def promises(checked: Report) -> str:
    """What the model promises, put to the test."""
    rows = [(r.name, r.state, r.detail) for r in checked.rows]
    return report.table(("promise", "", "what was found"), rows)


def gallery(stage: Stage) -> tuple[str, str]:
    """A row of samples of every model that comes along, as ``model-NAME.png``; and the commands."""
    names, seed = checkpoint.shipped(), stage.seed
    commands = (f"pixelcnn sample {name} -n {COUNT} --seed {seed}" for name in names)
    return "\n".join(_drawn(stage, name) for name in names), "\n".join(commands)


def _drawn(stage: Stage, name: str) -> str:
    """The first samples of a model, with what it is."""
    model, file = checkpoint.load(name), f"model-{name}.png"
    stage.save(row(model, stage.seed), file)
    told = ", told which class to draw" if model.network.condition else ""
    about = f"{model.parameters_count:,} parameters, {model.levels} levels{told}"
    caption = f"{name}: trained on {model.record['data']['name']}; {about}."
    return report.figure(stage.folder / file, f"{COUNT} images in a row.", caption)


def row(model: PixelModel, seed: int) -> Image:
    """The first samples of a model side by side."""
    given = conditions.given(model, None, None, COUNT)
    images = sampling.sample(model, COUNT, condition=given.condition, seed=seed)
    scale = max(1, SIDE // max(model.shape[1:]))
    return plotting.grid(images, model.levels, columns=COUNT, scale=scale)
