"""The model that a command is given, and what was meant where there is none."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixelcnn.errors import ModelError
from pixelcnn.folders import at_home, is_there, run_folders

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel


def load(name: str, *, weights: str = "averaged", device: str | None = None) -> "PixelModel":
    """Reads a model.

    Args:
        name: a model file, a run folder, or the name of a shipped model.
        weights: as for :func:`pixelcnn.checkpoint.load`.
        device: where it computes; None for the best place that there is.

    Raises:
        ModelError: no such model; it says what else the name stands for, or which run folder is near.
    """
    from pixelcnn import checkpoint

    try:
        checkpoint.resolve(name)
    except ModelError:
        from pixelcnn.cli import inventory

        if not is_there(at_home(name)) and (kinds := inventory.kinds(name)):
            raise _something_else(name, kinds) from None
        raise
    return checkpoint.load(name, weights=weights, device=device or "auto")


def of_size(model: "PixelModel", size: tuple[int, int] | None) -> "PixelModel":
    """The model for images of another height and width: it shares all with the model but the shape.

    Raises:
        ConfigError: larger than the network takes.
    """
    from pixelcnn.model import PixelModel

    if size is None:
        return model
    other = PixelModel(model.network, model.output, (model.shape.channels, *size))
    other.record, other.statistics = model.record, model.statistics
    return other


def _something_else(name: str, kinds: Sequence[str]) -> ModelError:
    """What is wrong with a name of something else, and what to give instead."""
    message = f"{name} is {' and '.join(map(_one, kinds))}, not a model"
    if "recipe" in kinds:
        runs = [run for run in run_folders() if Path(run).name.startswith(f"{name}-")]
        if runs:
            return ModelError(message, hint=f"give its run folder: {' or '.join(runs)}")
        return ModelError(
            message, hint=f"'pixelcnn train {name}' makes one, and prints its run folder: give that"
        )
    if "data set" in kinds:
        return ModelError(
            message, hint=f"give a model, as in: pixelcnn evaluate MODEL --data {name}"
        )
    return ModelError(message, hint="give a model file or a run folder; a recipe trains one")


def _one(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
