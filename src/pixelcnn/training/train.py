"""Training a recipe: what ``pixelcnn train`` does."""

import dataclasses
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelcnn import checkpoint
from pixelcnn.data import DATASETS, Splits
from pixelcnn.data.reading import is_condition_file
from pixelcnn.devices import resolve_device
from pixelcnn.errors import DataError, ModelError
from pixelcnn.folders import RUNS, at_home, is_plain, number_of, numbered
from pixelcnn.model import PixelModel
from pixelcnn.surroundings import independent
from pixelcnn.training import checkpoints
from pixelcnn.training import recipe as recipes
from pixelcnn.training.batches import augmentation_of, check_fit
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.plan import few_steps
from pixelcnn.training.recipe import Recipe, Setting, goes_on, of_model
from pixelcnn.training.record import content_of, nameless, training_record
from pixelcnn.training.run import AGAIN, RunFolder, held

if TYPE_CHECKING:
    from pixelcnn.training.history import History

DEFAULT = "digits"


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be trained where: a recipe with everything that the caller and the folder say of it.

    Attributes:
        recipe: with all settings.
        run: the folder.
        resume: go on with what the folder holds.
        replan: it goes on for another length, so that its number of steps is settled anew.
        remarks: what to say of it.
        free: nobody named the folder, so another will do if this one has been taken by the time it starts.
        again: how it goes on after an interruption, in the words of hints.
    """

    recipe: Recipe
    run: Path
    resume: bool = False
    replan: bool = False
    remarks: tuple[str, ...] = ()
    free: bool = False
    again: str = AGAIN

    @property
    def folder(self) -> RunFolder:
        """Where it is to be, which nobody holds yet."""
        return RunFolder(self.run, resume=self.resume, again=self.again)

    @property
    def processes(self) -> int:
        """How many it asks for."""
        return self.recipe.options.devices * self.recipe.options.nodes


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A training that is ready to start.

    Attributes:
        recipe: resolved: every argument spelt out, as the data want them.
        model: new, or the one to start from.
        splits: the data.
        notes: what differs from the recipe as written, in words.
    """

    recipe: Recipe
    model: PixelModel
    splits: Splits
    notes: list[str]


def request(
    recipe: str | Path | Recipe | None = None,
    run: str | Path | None = None,
    *,
    overrides: Sequence[Setting | str] = (),
    resume: bool = False,
    again: str = AGAIN,
) -> Request:
    """What a caller asks for, resolved; reads recipes, writes nothing.

    Args:
        recipe: a name, a TOML file or a recipe; ``digits`` if None, or what ``run`` holds if it is resumed.
        run: the folder. If None ``runs/RECIPE-DATA``, or the next ``runs/RECIPE-DATA-2`` and so on; to
            resume, the last of them.
        overrides: values of the recipe, see :meth:`Recipe.with_overrides`; on top of a stored one, too.
        resume: continue what the folder holds; fine if that is nothing, or a finished run.
        again: see :class:`Request`.

    Raises:
        ConfigError: a recipe or a setting that cannot be used, or one that contradicts the stored recipe.
        DataError: the data that a run was started on have moved.
    """
    start = recipe if isinstance(recipe, Recipe) else recipes.get(recipe or DEFAULT)
    overrides = [*overrides, *located(start.with_overrides(overrides))]
    fresh, remarks = start.with_overrides(overrides), tuple[str, ...]()
    path = default_run(fresh, resume=resume) if run is None else at_home(run)
    if run is None and path.name != base_name(fresh):
        before = "going on with the last of them" if resume else "this run is"
        remarks = (f"runs/{base_name(fresh)} is there already; {before} {path}",)
    folder = RunFolder(path, resume=resume)
    if not (resume and folder.recipe.exists()):
        free = run is None and not resume
        return Request(fresh, path, resume, False, remarks, free, again)
    stored = folder.stored()
    chosen = stored.with_overrides(overrides)
    source = str(chosen.data.get("name", ""))
    if os.path.isabs(source) and not os.path.lexists(source):
        raise DataError(
            f"{path} was started on {source}, which is there no more",
            hint="say where it lies now with --data (in Python data.name= among the overrides)",
        )
    name = stored.name if recipe is None else fresh.name
    chosen = dataclasses.replace(chosen, name=name)
    replan = goes_on(stored, chosen, str(path))
    return Request(chosen, path, resume, replan, remarks, again=again)


def located(recipe: Recipe) -> list[Setting]:
    """The paths of a recipe's own data, and start, in full, so that a run goes on from anywhere."""
    found = [("data", key, recipe.data.get(key)) for key in ("name", "test", "condition")]
    return [
        Setting(table, key, str(at_home(value).absolute()))
        for table, key, value in (*found, ("training", "init", recipe.training.get("init")))
        if isinstance(value, str)
        and (key != "condition" or is_condition_file(value))  # else a column, whatever lies here
        and (key in ("condition", "init") or value not in DATASETS)
        and os.path.exists(at_home(value))
    ]


def prepare(recipe: Recipe, *, trained: bool = False) -> Prepared:
    """Loads the data, builds the model and checks that they fit; writes nothing.

    Args:
        recipe: what to train.
        trained: weights are going to be read from a checkpoint, so a model to start from may be gone by now.

    Raises:
        ConfigError, DataError, ModelError: whatever would stop the training before its first step.
    """
    options = recipe.options
    resolve_device(options.device)
    splits = recipe.load()
    model = _start(recipe, trained=trained)
    if model is None:
        model, notes = recipe.build(splits.train)
        notes += [] if trained else few_steps(recipe, len(splits.train))
    else:
        notes = [f"network and output are those of {nameless(options.init)}, which it starts from"]
    check_fit(model, splits.train, splits.val)
    augmentation_of(model, options)
    resolved = of_model(model, recipe.data, options, recipe.name, recipe.about)
    return Prepared(resolved, model, splits, notes)


def _start(recipe: Recipe, *, trained: bool) -> PixelModel | None:
    """The model that a recipe starts from, if any, which also says how classes and conditions count.

    A run that goes on does without one that is gone by now, or that is another one.
    """
    if (init := recipe.options.init) is None:
        return None
    try:
        model = checkpoint.load(init)
    except ModelError:
        if not trained:
            raise
        return None
    now = of_model(model, recipe.data, recipe.options)
    same = (now.network, now.output) == (recipe.network, recipe.output)
    return model if same or not trained else None


def rehearse(wanted: Request) -> Prepared:
    """Checks recipe, data, model and run folder as :func:`train_recipe` does, and writes nothing.

    Args:
        wanted: what is to be trained where.

    Raises:
        ConfigError, DataError, ModelError: what would stop the training.
    """
    from pixelcnn.training.callbacks import check_trackers

    folder = wanted.folder
    folder.check()
    if (trackers := wanted.recipe.options.trackers) != TrainingOptions.trackers:  # takes a second
        check_trackers(trackers, wanted.run)
    ready = prepare(wanted.recipe, trained=bool(checkpoints.existing(folder.checkpoints)))
    folder.check_content(content_of(ready.model, train=ready.splits[0], val=ready.splits[1]))
    return ready


@independent
def train_recipe(
    wanted: Request | Recipe | str | Path | None = None,
    run: str | Path | None = None,
    *,
    overrides: Sequence[Setting | str] = (),
    resume: bool = False,
    verbose: bool = True,
    callbacks: Sequence[Any] = (),
    trackers: Sequence[Any] | None = None,
) -> "History":
    """Trains a recipe in a run folder.

    Args:
        wanted: a request, or else what :func:`request` makes one of, with the next arguments.
        run: see :func:`request`.
        overrides: see :func:`request`.
        resume: see :func:`request`.
        verbose: talk on stderr.
        callbacks: see :func:`pixelcnn.fit`.
        trackers: see :func:`pixelcnn.fit`.

    Raises:
        ConfigError: a recipe, a setting or a folder that cannot be used; a resumed run's recipe is
            contradicted by anything but epochs, time and devices.
        DataError, ModelError, TrainingError, ResourceError, Interrupted: see :func:`pixelcnn.fit`.
    """
    from pixelcnn.training.callbacks import check_hooks
    from pixelcnn.training.fitting import run_training
    from pixelcnn.training.processes import check_size, joined
    from pixelcnn.training.progress import ProgressLines
    from pixelcnn.training.trainer import Job

    since = time.monotonic()
    if not isinstance(wanted, Request):
        wanted = request(wanted, run, overrides=overrides, resume=resume)
    first, options = wanted, wanted.recipe.options
    with joined(options.devices, options.nodes) as processes:
        asked = processes.on_main(
            lambda: request(first.recipe, again=first.again) if first.free else first
        )
        with held(asked.folder, processes) as folder:
            recipe = asked.recipe
            check_size(processes, recipe.options.devices, recipe.options.nodes)
            chosen = recipe.options.trackers if trackers is None else trackers
            processes.on_main(lambda: check_hooks(callbacks, chosen, asked.run))
            talk = ProgressLines(None, verbose=verbose and processes.is_main)
            talk.say(f"loading {nameless(recipe.data.get('name', 'data'))}")
            trained = processes.on_main(lambda: bool(checkpoints.existing(folder.checkpoints)))
            # The main process loads first: what it downloads is there for the others.
            loaded: list[Prepared] = []
            processes.on_main(lambda: loaded.append(prepare(recipe, trained=trained)))
            ready = loaded[0] if loaded else prepare(recipe, trained=trained)
            (train, val, _), options = ready.splits, ready.recipe.options
            notes = training_record(
                ready.model, train, val, options, recipe=recipe.name, data=ready.recipe.data
            )
            processes.on_main(lambda: folder.begin(ready.recipe.dumps(), notes["content_hash"]))
            job = Job(
                model=ready.model, train=train, val=val, options=options, notes=notes,
                processes=processes, folder=folder, replan=asked.replan,
                remarks=[*asked.remarks, *ready.notes], verbose=verbose,
                callbacks=callbacks, trackers=chosen, since=since,
            )  # fmt: skip
            return run_training(job)


def base_name(recipe: Recipe) -> str:
    """``RECIPE-DATA``: a plain name, whatever the data's path."""
    stem = Path(str(nameless(recipe.data.get("name", "data")))).stem.replace(":", "-")
    tail = re.sub(r"[/\\]", "-", "".join(c for c in stem if c.isprintable()))
    while not is_plain(f"data-{tail}"):
        tail = tail[:-1]
    return f"{recipe.name}-{tail}"


def default_run(recipe: Recipe, *, resume: bool = False) -> Path:
    """``runs/RECIPE-DATA``, or behind the last of this name ``runs/RECIPE-DATA-N``; to resume, that last."""
    base = RUNS / base_name(recipe)
    runs = [path.parent for path in base.parent.glob("*/recipe.toml")]
    last = number_of(base, runs) if resume else 0
    return numbered(base, last or number_of(base, base.parent.glob("*")) + 1)
