"""The first chapters of the demo: the data, the training, and how good the model is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelcnn import plotting, scoring
from pixelcnn.charts import learning_curve
from pixelcnn.cli.output import save_picture
from pixelcnn.cli.report import Bar, Figure, Section
from pixelcnn.data import ImageSet, Splits
from pixelcnn.model import PixelModel
from pixelcnn.scoring import Score, bits_per_dim
from pixelcnn.shapes import ImageShape
from pixelcnn.training.history import bits_per_dim_curves, read_rows

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Stage:
    """What every chapter works with.

    Attributes:
        folder: where pictures go.
        run: the run folder, as the commands in the report name it: quoted where a shell wants it.
        model: the trained model.
        digits: the data, split.
        seed: of all drawing.
    """

    folder: Path
    run: str
    model: PixelModel
    digits: Splits
    seed: int

    @property
    def levels(self) -> int:
        """Levels of a pixel."""
        return self.model.levels


def the_data(stage: Stage) -> Section:
    """What the model is trained on."""
    train, val, test = stage.digits
    path = stage.folder / "digits.png"
    some = train.limit(40).images
    save_picture(plotting.grid(some, stage.levels, columns=10, scale=8), path)
    return Section(
        "The data",
        [
            f"{len(train) + len(val) + len(test):,} handwritten digits of 8 by 8 pixels. Every pixel "
            f"is a whole number from 0 (black) to {stage.levels - 1} (white).",
            f"{len(train):,} of them train the model, {len(val)} decide which moment of the training "
            f"to keep, and {len(test)} are put aside for the test: they choose nothing.",
        ],
        [Figure(path, "Forty handwritten digits, white on black.", "Some of the training digits.")],
        command="pixelcnn info digits",
    )


def training(stage: Stage, max_time: str) -> Section:
    """How the loss went down."""
    rows = read_rows(stage.folder / "run" / "metrics.csv")
    parameters = stage.model.parameters_count
    return Section(
        "Training",
        [
            "The model reads an image like a page, from the top left, and predicts every pixel from "
            "the pixels before it: not one value, but a probability for each of the "
            f"{stage.levels} levels. Multiplied together, these are the exact probability of the "
            "image.",
            f"Training turns {parameters:,} numbers a little at a time, so that the training digits "
            "become more probable. The curves count bits per pixel, which is how many yes-or-no "
            "questions a pixel costs on average, for the training digits and for those put aside. "
            "Lower is better.",
        ],
        [
            Figure(
                learning_curve(
                    bits_per_dim_curves(rows), "passes over the training set", "bits per pixel"
                ),
                "The bits per pixel fall steeply at first, then slowly.",
                "Bits per pixel during training.",
            )
        ],
        command=f"pixelcnn train digits --max-time {max_time}",
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
    nats: Numbers = -logs[levels, np.arange(levels.shape[1])].sum(1)
    return nats


def evaluation(stage: Stage, score: Score) -> Section:
    """The test score, beside what anybody could do."""
    train, _, test = stage.digits
    png = float(scoring.png_nats(test.images, stage.levels).mean())
    bars = [
        Bar("every level equally likely", uniform_nats(stage.model.shape, stage.levels)),
        Bar("a histogram for each pixel", float(histogram_nats(train, test).mean())),
        Bar("this model", score.nats, ours=True),
    ]
    return Section(
        "How good is it?",
        [
            f"A test digit costs {score.nats:.2f} ± {score.stderr:.2f} nats, which is "
            f"{score.bits_per_dim:.3f} bits per pixel (a nat is 1.44 bits; ± is the standard error). "
            "The figure is exact, so it can be compared with any other model of the same pixels.",
            "Below are two models that look at no neighbours. All that this one saves, it has "
            f"learnt about how pixels belong together. As a PNG file a digit takes {png:.0f} nats, "
            "most of them for the file's frame.",
        ],
        bars=bars,
        unit="nats per image",
        command=f"pixelcnn evaluate {stage.run}",
    )


def facts(stage: Stage, score: Score, seconds: float) -> list[tuple[str, str, str]]:
    """The cards on top of the page."""
    uniform = uniform_nats(stage.model.shape, stage.levels)
    level = bits_per_dim(uniform, stage.model.shape.dimensions)
    return [
        ("test digits", f"{score.nats:.2f} nats", f"± {score.stderr:.2f}, per image"),
        ("per pixel", f"{score.bits_per_dim:.3f} bits", f"a blind guess needs {level:.2f}"),
        ("trained for", f"{seconds:.0f} s", "on this computer"),
        ("model", f"{stage.model.parameters_count:,}", "parameters"),
    ]
