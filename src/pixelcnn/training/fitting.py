"""Training a model from Python."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError
from pixelcnn.memory import keep_memory
from pixelcnn.model import PixelModel
from pixelcnn.training.device import accelerator, own_device, resolve_device
from pixelcnn.training.guards import check_fit, memory, preserved, quiet
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.recipe import goes_on, of_model
from pixelcnn.training.record import training_record
from pixelcnn.training.run import RunFolder, held
from pixelcnn.training.session import History, Session
from pixelcnn.training.signals import StopFlag
from pixelcnn.training.team import Team, assembled


def fit(
    model: PixelModel,
    train: ImageSet,
    val: ImageSet,
    run: str | Path | None = None,
    options: TrainingOptions | None = None,
    *,
    resume: bool = False,
    verbose: bool = True,
    **overrides: Any,
) -> History:
    """Trains a model; afterwards it holds the weights that validated best (averaged, if averaging is on).

    Args:
        model: trained in place.
        train: training images.
        val: validation images; dynamically binarised ones are drawn once.
        run: folder for models, checkpoints, metrics and samples; nothing is written without one.
        options: how to train.
        resume: continue what ``run`` holds, fine if that is nothing or a finished training.
        verbose: write a line an epoch to stderr.
        **overrides: single options, as ``epochs=3``.

    Raises:
        ConfigError: options or a run folder that cannot be used.
        ModelError: images that do not fit the model.
        TrainingError: a loss that is not finite.
        ResourceError: out of memory or disk.
        Interrupted: Ctrl-C or SIGTERM, after saving.

    Example:
        >>> from pixelcnn import data, networks, outputs
        >>> train, val, _ = data.load("digits")
        >>> output = outputs.Categorical(levels=17)
        >>> model = PixelModel(networks.PixelCNN(1, 17, width=8, depth=1), output, train.shape)
        >>> fit(model, train.limit(64), val.limit(8), epochs=1, verbose=False).steps
        1
    """
    options = TrainingOptions.from_table((options or TrainingOptions()).as_table() | overrides)
    check_fit(model, train, val)
    notes = training_record(train, val, options)
    if run is None and resume:
        raise ConfigError("resume needs a run folder", hint="pass run=...")
    with assembled(options.devices, options.nodes) as team:
        if run is None:
            return run_training(model, train, val, options, None, notes, team, verbose=verbose)
        recipe = of_model(model, notes["data"], options)
        with held(RunFolder(run, resume=resume), team) as folder:

            def begin() -> bool:
                goes = folder.recipe.exists() and goes_on(folder.stored(), recipe, str(folder.path))
                folder.begin(recipe.dumps())
                return goes

            replan = team.first(begin)
            return run_training(
                model, train, val, options, folder, notes, team, replan=replan, verbose=verbose
            )


def check_same_data(notes: dict[str, Any], team: Team) -> None:
    """Compares the data of all processes by content.

    Raises:
        ConfigError: this process sees other data than the leader.
    """
    own, leading = notes["content_hash"], team.first(lambda: notes["content_hash"])
    if own != leading:
        raise ConfigError(
            f"process {team.rank} of {team.size} has other data than process 0",
            hint="give every machine the same files",
        )


def run_training(
    model: PixelModel,
    train: ImageSet,
    val: ImageSet,
    options: TrainingOptions,
    folder: RunFolder | None,
    notes: dict[str, Any],
    team: Team,
    *,
    replan: bool = False,
    remarks: Sequence[str] = (),
    verbose: bool = True,
) -> History:
    """Trains in a folder that is held already; arguments and errors as :func:`fit`.

    Args:
        model: trained in place.
        train: training images.
        val: validation images.
        options: how to train.
        folder: held and laid out; None writes nothing.
        notes: the first part of the training record.
        team: the processes of this training.
        replan: do not keep the number of steps that a resumed run had settled on.
        remarks: what to say before the start.
        verbose: talk on stderr.
    """
    device = own_device(resolve_device(options.device), team)
    place = accelerator(device, team)
    check_same_data(notes, team)
    val = val.frozen().limit(options.validation_images or None)
    model.record = dict(notes)
    keep_memory()
    with quiet(), preserved(model), StopFlag() as stop, memory(options.batch_size):
        model.to(device)
        session = Session(model, train, val, options, device, folder, stop, team, verbose)
        for remark in remarks:
            session.journal.say(remark)
        return session.run(place, replan)
