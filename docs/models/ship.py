"""Makes a run's best model one that comes with the package: its file, its card, and samples, none picked.

python -m docs.models.ship NAME RUN                      # weights in float16
python -m docs.models.ship NAME RUN --dtype float32 --machine "one core of a …"

Everything on the card is measured here, with the weights as they are kept, or read from the run folder.
Test images are scored once.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

import pixelcnn as px
from benchmarks.command import command_of
from pixelcnn import checkpoint, plotting
from pixelcnn.codec.calibration import LOSS, TOLERATED
from pixelcnn.data import Splits
from pixelcnn.model import PixelModel
from pixelcnn.scoring import Score
from pixelcnn.training.result import seconds_of
from pixelcnn.training.run import RunFolder

MODELS = Path(px.__file__).parent / "models"
CARDS = Path(__file__).parent
LIMIT = 8 * 2**20
"""Bytes that all models together may take."""
CHECKED = 200
"""Test images of the figure that a card states to the last digit."""
COLUMNS = 16

LICENCES = {
    "mnist": "CC BY-SA 3.0, that of MNIST; see NOTICE.",
    "binarized-mnist": "CC BY-SA 3.0, that of MNIST; see NOTICE.",
    "fashion-mnist": "MIT, that of Fashion-MNIST; see NOTICE.",
    "cifar-10": "That of the data, whose authors state none and distribute them for research; see NOTICE.",
    "digits": "CC BY 4.0, that of the digits; see NOTICE.",
}


def kept(run: Path, path: Path, dtype: str, splits: Splits) -> PixelModel:
    """The best model of a run in the package's form: averaged weights alone, ranges for compression."""
    model = px.load(run)
    half = None if dtype == "float32" else dtype
    px.save(model, path, dtype=half)
    rounded = px.load(path)
    if rounded.record.get(LOSS, 1.0) > TOLERATED:
        some = splits.train.limit(64)
        px.calibrate(rounded, some.images, px.scoring.condition_of(rounded, some))
        px.save(rounded, path, dtype=half)
    return rounded


def pattern(model: PixelModel) -> torch.Tensor:
    """An image that needs no data: levels by position, ``7 k // 3 % 5``, below the model's."""
    levels = torch.arange(model.shape.dimensions) * 7 // 3 % 5 % model.levels
    return levels.reshape(1, *model.shape)


def drawn(model: PixelModel, path: Path) -> None:
    """Samples with seed 0: of a model of classes, a row of columns for each."""
    told = model.network.condition_size
    labels = torch.arange(told).repeat_interleave(COLUMNS) if told else None
    samples = px.sample(model, len(labels) if labels is not None else 4 * COLUMNS, condition=labels)
    picture = plotting.grid(samples, model.levels, columns=COLUMNS, scale=2)
    picture.save(path, optimize=True)


def card(model: PixelModel, splits: Splits, options: argparse.Namespace) -> str:
    """What one wants to know of a model before using it."""
    name, run = options.name, options.run
    recipe, record, config = RunFolder(run).stored(), model.record, model.config()
    full, few = px.evaluate(model, splits.test), px.evaluate(model, splits.test, limit=CHECKED)
    fingerprint = checkpoint.describe(MODELS / f"{name}.safetensors")["fingerprint"]
    images, checks = record["images"], record["validation"]
    blank = float(px.score(model, pattern(model), *given(model)))
    nats = f"{full.nats:.2f} ± {full.stderr:.2f} nats an image"
    bits = f"{full.bits_per_dim:.4f} ± {full.bits_per_dim_stderr:.4f} bits/dim"
    return f"""# `{name}`

{recipe.about} `pixelcnn sample {name} -n 64 --out samples.png`

![Samples with seed 0]({name}.png)

{model.parameters_count:,} parameters, {record["weights"]} weights kept in {options.dtype}; network
`{config["network"]["name"]}`, output `{config["output"]["name"]}`; fingerprint `{fingerprint[:16]}`.

## Data

{full.data}, {coding(full)}: trained on {images["train"]:,} images,
chosen by {checks["images"]:,} of {images["val"]:,} validation images.

## Measured

{nats}, {bits}, on {full.images:,} images ({full.split})
in float32 with the weights as they are kept: `pixelcnn evaluate {name}`.

| check | nats |
|---|---|
| `pixelcnn evaluate {name} --limit {CHECKED}` | {few.nats:.4f} |
| the pattern of levels in `tests/test_shipped.py` | {blank:.4f} |

## Made with

{made(run, options.machine)}

## Licence

{LICENCES[full.data]}
"""


def given(model: PixelModel) -> list[torch.Tensor]:
    """What a pattern is given to a model with: the first class, where it counts classes."""
    return [torch.zeros(1, dtype=torch.int64)] if model.network.condition else []


def coding(score: Score) -> str:
    """Levels, and how they came about."""
    ways = [way for way in (score.binarisation, score.quantisation) if way != "none"]
    return ", ".join([f"{score.levels} levels", *ways])


def made(run: Path, machine: str) -> str:
    """The command, and what it took."""
    folder = RunFolder(run)
    record, taken = px.load(run).record, seconds_of(folder)
    spent = "" if taken is None else f" in {taken / 60:.0f} min"
    steps = f"{record['steps']:,} steps of {record['training']['batch_size']} images{spent}"
    versions = f"pixelcnn {version('pixelcnn')}, torch {record['versions']['torch']}"
    on = f"on {machine}; " if machine else ""
    return f"`{command_of(folder.stored())}`:\n{steps}; {on}{versions}."


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("run", type=Path)
    parser.add_argument("--dtype", default="float16", choices=("float16", "bfloat16", "float32"))
    parser.add_argument("--machine", default="", help="that trained it, in words")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> None:
    """Writes the model, its card and its samples."""
    options = parse(words)
    path, splits = MODELS / f"{options.name}.safetensors", RunFolder(options.run).stored().load()
    model = kept(options.run, path, options.dtype, splits)
    drawn(model, CARDS / f"{options.name}.png")
    text = card(model, splits, options)
    (CARDS / f"{options.name}.md").write_text(text, encoding="utf-8")
    total = sum(file.stat().st_size for file in MODELS.glob("*.safetensors"))
    size = path.stat().st_size
    sys.stdout.write(f"{path}: {size:,} bytes; all models {total:,} of {LIMIT:,}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
