"""The chapter of the demo about the models that come with the package: what each draws."""

from pathlib import Path

from PIL.Image import Image

from pixelcnn import checkpoint, plotting, sampling
from pixelcnn.cli import conditions
from pixelcnn.cli.output import save_picture
from pixelcnn.cli.report import Figure, Section
from pixelcnn.model import PixelModel

COUNT = 10
"""Images of each model; of one that is told the class, one of each of the first classes."""

SIDE = 64
"""Pixels that an image is enlarged to, about."""


def gallery(folder: Path, seed: int) -> Section:
    """A row of samples of every model that comes along.

    Args:
        folder: gets a picture of each, as ``model-NAME.png``.
        seed: of the drawing.
    """
    figures = [drawn(name, folder / f"model-{name}.png", seed) for name in checkpoint.shipped()]
    return Section(
        "Models that come along",
        [
            "These were trained before and are in the package, each on one core of a processor, for "
            "minutes or for hours. None of the images was chosen: they are the first that the seed gives.",
        ],
        figures,
        command="\n".join(
            f"pixelcnn sample {name} -n {COUNT} --seed {seed}" for name in checkpoint.shipped()
        ),
    )


def drawn(name: str, path: Path, seed: int) -> Figure:
    """The first samples of a model, with what it is."""
    model = checkpoint.load(name)
    save_picture(row(model, seed), path)
    told = ", told which class to draw" if model.network.condition else ""
    about = f"{model.parameters_count:,} parameters, {model.levels} levels{told}"
    kind = model.record["data"]["name"]
    return Figure(
        path, f"{COUNT} images in a row.", f"{name}: trained on {kind}; {about}.", wide=True
    )


def row(model: PixelModel, seed: int) -> Image:
    """The first samples of a model side by side."""
    classes = conditions.tensor(conditions.labels(model, None, COUNT))
    images = sampling.sample(model, COUNT, condition=classes, seed=seed)
    scale = max(1, SIDE // max(model.shape[1:]))
    return plotting.grid(images, model.levels, columns=COUNT, scale=scale)
