"""Training a recipe: what ``pixelcnn train`` does."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixelcnn.data import Splits
from pixelcnn.errors import ConfigError
from pixelcnn.model import PixelModel
from pixelcnn.training import recipe as recipes
from pixelcnn.training.device import accelerator, resolve_device
from pixelcnn.training.fitting import run_training
from pixelcnn.training.guards import check_fit
from pixelcnn.training.recipe import Recipe
from pixelcnn.training.record import nameless, training_record
from pixelcnn.training.run import RunFolder
from pixelcnn.training.session import History

DEFAULT = "digits"

FREE = (
    ("training", "epochs"),
    ("training", "max_time"),
    ("training", "devices"),
    ("training", "nodes"),
)
"""What ``resume`` may change: how long, and on how many devices."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A training that is ready to start.

    Attributes:
        recipe: resolved.
        model: new.
        splits: the data.
        notes: what differs from the recipe as written, in words.
    """

    recipe: Recipe
    model: PixelModel
    splits: Splits
    notes: list[str]


def prepare(recipe: Recipe) -> Prepared:
    """Loads the data, builds the model and checks that they fit; writes nothing.

    Raises:
        ConfigError, DataError, ModelError: whatever would stop the training before its first step.
    """
    accelerator(resolve_device(recipe.options.device), recipe.options.devices)
    splits = recipe.load()
    model, notes = recipe.build(splits.train)
    check_fit(model, splits.train, splits.val)
    return Prepared(recipe, model, splits, notes)


def train_recipe(
    recipe: str | Path | Recipe | None = None,
    run: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    verbose: bool = True,
) -> History:
    """Trains a recipe in a run folder.

    Args:
        recipe: a name, a TOML file or a recipe; ``digits`` if None, or what ``run`` holds if it is resumed.
        run: the folder; ``runs/RECIPE-DATA`` if None.
        overrides: settings as ``"training.epochs=3"``, see :meth:`Recipe.with_overrides`.
        resume: continue what the folder holds; fine if that is nothing, or a finished run.
        verbose: talk on stderr.

    Raises:
        ConfigError: a recipe, a setting or a folder that cannot be used; a resumed run's recipe is
            contradicted by anything but epochs, time and devices.
        DataError, ModelError, TrainingError, ResourceError, Interrupted: see :func:`pixelcnn.fit`.
    """
    chosen = resolve(recipe).with_overrides(overrides)
    path = Path(run) if run is not None else default_run(chosen)
    with RunFolder(path, resume=resume) as folder:
        replan = False
        if folder.recipe.exists():
            stored = recipes.parse(folder.recipe.read_text(encoding="utf-8"), chosen.name)
            explicit = None if recipe is None else chosen
            chosen, replan = resumed(stored, explicit, overrides, folder)
        prepared = prepare(chosen)
        folder.begin(chosen.dumps())
        train, val = prepared.splits.train, prepared.splits.val
        notes = training_record(train, val, chosen.options, recipe=chosen.name, data=chosen.data)
        return run_training(
            prepared.model, train, val, chosen.options, folder, notes,
            replan=replan, remarks=prepared.notes, verbose=verbose,
        )  # fmt: skip


def resolve(recipe: str | Path | Recipe | None) -> Recipe:
    """A recipe from whatever names it."""
    return (
        recipe if isinstance(recipe, Recipe) else recipes.get(DEFAULT if recipe is None else recipe)
    )


def default_run(recipe: Recipe) -> Path:
    """``runs/RECIPE-DATA``."""
    return (
        Path("runs") / f"{recipe.name}-{Path(str(nameless(recipe.data.get('name', 'data')))).stem}"
    )


def resumed(
    stored: Recipe, explicit: Recipe | None, overrides: Sequence[str], folder: RunFolder
) -> tuple[Recipe, bool]:
    """The recipe of a run that goes on, and whether its number of steps is to be settled anew.

    Raises:
        ConfigError: a setting contradicts the stored recipe.
    """
    if explicit is not None:
        name = folder.recipe.read_text(encoding="utf-8").splitlines()[0].removeprefix("# recipe: ")
        if name != explicit.name:
            raise ConfigError(
                f"{folder.path} holds a run of recipe {name}, not {explicit.name}",
                hint="choose another folder with --run",
            )
    changed = stored.with_overrides(overrides)
    for setting in overrides:
        table, key, _ = recipes.parse_setting(setting)
        before, now = stored.tables()[table].get(key), changed.tables()[table].get(key)
        if before != now and (table, key) not in FREE:
            raise ConfigError(
                f"{folder.path} was started with {table}.{key} = {before!r}, not {now!r}",
                hint="leave the setting out, or choose another folder with --run",
            )
    longer = ("epochs", "max_time")
    given = [key for table, key, _ in map(recipes.parse_setting, overrides) if table == "training"]
    replan = any(
        key in given and getattr(stored.options, key) != getattr(changed.options, key)
        for key in longer
    )
    return changed, replan


def settings(**values: Any) -> list[str]:
    """Overrides from values, leaving out those that are None; ``table__key`` names a key.

    Example:
        >>> settings(training__epochs=3, training__seed=None, data__name="mnist")
        ['training.epochs=3', 'data.name="mnist"']
    """
    from pixelcnn.training.toml import literal

    return [
        f"{name.replace('__', '.', 1)}={literal(value)}"
        for name, value in values.items()
        if value is not None
    ]
