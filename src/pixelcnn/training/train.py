"""Training a recipe: what ``pixelcnn train`` does."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixelcnn.data import Splits
from pixelcnn.model import PixelModel
from pixelcnn.training import recipe as recipes
from pixelcnn.training.device import accelerator, own_device, resolve_device
from pixelcnn.training.fitting import run_training
from pixelcnn.training.guards import check_fit
from pixelcnn.training.recipe import Recipe, goes_on, of_model
from pixelcnn.training.record import nameless, training_record
from pixelcnn.training.run import RunFolder, held
from pixelcnn.training.session import History
from pixelcnn.training.team import Team, assembled, check_size
from pixelcnn.training.toml import literal

DEFAULT = "digits"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A training that is ready to start.

    Attributes:
        recipe: resolved: every argument spelt out, as the data want them.
        model: new.
        splits: the data.
        notes: what differs from the recipe as written, in words.
    """

    recipe: Recipe
    model: PixelModel
    splits: Splits
    notes: list[str]


def prepare(recipe: Recipe, team: Team | None = None) -> Prepared:
    """Loads the data, builds the model and checks that they fit; writes nothing.

    Args:
        recipe: what to train.
        team: the processes of the training, of which the leader loads first: what it downloads is there
            for the others.

    Raises:
        ConfigError, DataError, ModelError: whatever would stop the training before its first step.
    """
    options = recipe.options
    team = team or Team()
    accelerator(own_device(resolve_device(options.device), team), team)
    loaded: list[Splits] = []
    team.first(lambda: loaded.append(recipe.load()))
    splits = loaded[0] if loaded else recipe.load()
    model, notes = recipe.build(splits.train)
    check_fit(model, splits.train, splits.val)
    resolved = of_model(model, recipe.data, options, recipe.name, recipe.about)
    return Prepared(resolved, model, splits, notes)


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
    fresh = resolve(recipe).with_overrides(overrides)
    path = Path(run) if run is not None else default_run(fresh)
    with (
        assembled(fresh.options.devices, fresh.options.nodes) as team,
        held(RunFolder(path, resume=resume), team) as folder,
    ):

        def choose() -> tuple[Recipe, bool]:
            chosen = going_on(folder, fresh, overrides, named=recipe is not None)
            return chosen, folder.recipe.exists() and goes_on(folder.stored(), chosen, str(path))

        chosen, replan = team.first(choose)
        check_size(team, chosen.options.devices, chosen.options.nodes)
        ready = prepare(chosen, team)
        team.first(lambda: folder.begin(ready.recipe.dumps()))
        train, val = ready.splits.train, ready.splits.val
        options, source = ready.recipe.options, ready.recipe.data
        notes = training_record(train, val, options, recipe=chosen.name, data=source)
        return run_training(
            ready.model, train, val, options, folder, notes, team,
            replan=replan, remarks=ready.notes, verbose=verbose,
        )  # fmt: skip


def going_on(folder: RunFolder, fresh: Recipe, overrides: Sequence[str], named: bool) -> Recipe:
    """The recipe that a folder holds, with overrides; ``fresh`` where it holds none.

    Args:
        folder: of the run.
        fresh: what was asked for.
        overrides: settings that go on top of a stored recipe, too.
        named: ``fresh`` was asked for by name, so the stored recipe has to be the same one.
    """
    if not folder.recipe.exists():
        return fresh
    stored = folder.stored()
    name = fresh.name if named else stored.name
    return dataclasses.replace(stored.with_overrides(overrides), name=name)


def processes(
    recipe: str | Path | Recipe | None,
    run: str | Path | None,
    overrides: Sequence[str],
    resume: bool,
) -> tuple[int, int]:
    """Devices and nodes that :func:`train_recipe` with the same arguments would ask for."""
    fresh = resolve(recipe).with_overrides(overrides)
    folder = RunFolder(Path(run) if run is not None else default_run(fresh), resume=resume)
    chosen = going_on(folder, fresh, overrides, named=recipe is not None) if resume else fresh
    return chosen.options.devices, chosen.options.nodes


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


def settings(**values: Any) -> list[str]:
    """Overrides from values, leaving out those that are None; ``table__key`` names a key.

    Example:
        >>> settings(training__epochs=3, training__seed=None, data__name="mnist")
        ['training.epochs=3', 'data.name="mnist"']
    """
    return [
        f"{name.replace('__', '.', 1)}={literal(value)}"
        for name, value in values.items()
        if value is not None
    ]
