"""The model that a command is given, and what was meant where there is none."""

from pathlib import Path
from typing import TYPE_CHECKING

from pixelcnn.errors import ModelError
from pixelcnn.folders import BEST, at_home, is_there
from pixelcnn.registry import closest

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel

RUNS = Path("runs")
"""Where ``pixelcnn train`` puts run folders."""
NAMED = 5
"""Run folders that a hint names at most."""


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

    path = at_home(name)
    if is_there(path):
        if path.is_dir() and not (path / BEST).is_file():
            raise _no_run(path)
    elif name not in checkpoint.shipped():
        raise no_model(name)
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


def no_model(name: str) -> ModelError:
    """What is wrong with a name that is no model, and what to give instead."""
    from pixelcnn import checkpoint
    from pixelcnn.cli import inventory

    kinds = inventory.kinds(name)
    if not kinds:
        runs, shipped = run_folders(RUNS), list(checkpoint.shipped())
        known = f"give a model file or a run folder; shipped models: {', '.join(shipped) or 'none'}"
        if runs:
            known += f"; run folders here: {_some(runs)}"
        near = closest(name, [*runs, *shipped])
        return ModelError(
            f"no model file, run folder or shipped model called {name!r}.{near}".rstrip("."),
            hint=known,
        )
    message = f"{name} is {' and '.join(map(_one, kinds))}, not a model"
    if "recipe" in kinds:
        runs = [run for run in run_folders(RUNS) if Path(run).name.startswith(f"{name}-")]
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


def run_folders(folder: Path) -> list[str]:
    """Run folders with a model directly in a folder, in order of their names."""
    return sorted(str(path.parent) for path in folder.glob(f"*/{BEST}"))


def _one(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _some(names: list[str]) -> str:
    more = ", …" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _no_run(folder: Path) -> ModelError:
    runs = run_folders(folder)
    hint = f"it holds run folders: {_some(runs)}" if runs else "train a model first"
    return ModelError(f"{folder}: this folder holds no {BEST}", hint=hint)
