"""Training a model from Python, and all that surrounds the loop: checks, devices, order, the last words."""

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from pixelcnn import devices
from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError, ResourceError
from pixelcnn.layers import set_dropout_generator
from pixelcnn.model import PixelModel
from pixelcnn.modes import evaluation_view
from pixelcnn.scoring import condition_of
from pixelcnn.training import checkpoints, loop
from pixelcnn.training.batches import Batches, check_fit, draws_globally
from pixelcnn.training.callbacks import Trackers
from pixelcnn.training.history import History
from pixelcnn.training.likelihood import Loss, Stopped, Validation, validate
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.pictures import Grids
from pixelcnn.training.plan import Clock
from pixelcnn.training.precision import resolve_precision
from pixelcnn.training.processes import Processes, accelerated, joined
from pixelcnn.training.progress import Talk
from pixelcnn.training.recipe import goes_on, of_model
from pixelcnn.training.record import training_record
from pixelcnn.training.recorder import Recorder
from pixelcnn.training.run import RunFolder, held
from pixelcnn.training.signals import Interrupted, StopFlag
from pixelcnn.training.trainer import Trainer

NO_MEMORY = ("out of memory", "can't allocate memory", "bad_alloc", "could not create a memory")
"""What torch and the libraries below it say when memory runs out."""


def fit(
    model: PixelModel,
    train: ImageSet,
    val: ImageSet,
    run: str | Path | None = None,
    options: TrainingOptions | None = None,
    *,
    resume: bool = False,
    verbose: bool = True,
    callbacks: Sequence[Any] = (),
    trackers: Sequence[Any] | None = None,
    **overrides: Any,
) -> History:
    """Trains a model; afterwards it holds the weights that validated best (averaged, if averaging is on).

    A model that was trained before is trained on: its record then names its parent. Submodules that are in
    evaluation mode while the model is in training mode stay so. Device and mode of the model, signal
    handlers and random state are afterwards what they were.

    Args:
        model: trained in place.
        train: training images.
        val: validation images; dynamically binarised ones are drawn once.
        run: folder for models, checkpoints, metrics and samples; nothing is written without one.
        options: how to train.
        resume: continue what ``run`` holds, fine if that is nothing or a finished training.
        verbose: talk on stderr: a bar in a terminal or a notebook, and a line an epoch.
        callbacks: see :class:`pixelcnn.training.Callback`.
        trackers: names or objects, see :class:`pixelcnn.training.callbacks.Trackers`; those of the options
            if None.
        **overrides: single options, as ``epochs=3``.

    Raises:
        ConfigError: options, trackers or a run folder that cannot be used.
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
    since = time.monotonic()
    options = TrainingOptions.from_table((options or TrainingOptions()).as_table() | overrides)
    check_fit(model, train, val)
    if run is None and resume:
        raise ConfigError("resume needs a run folder", hint="pass run=...")
    if options.init is not None:
        raise ConfigError("init is for recipes", hint="fit the model that pixelcnn.load gives")
    notes = training_record(model, train, val, options)
    with joined(options.devices, options.nodes) as processes, contextlib.ExitStack() as stack:
        folder, replan = None, False
        if run is not None:
            recipe = of_model(model, notes["data"], options)
            held_folder = stack.enter_context(held(RunFolder(run, resume=resume), processes))

            def begin() -> bool:
                goes = held_folder.recipe.exists() and goes_on(
                    held_folder.stored(), recipe, str(held_folder.path)
                )
                held_folder.begin(recipe.dumps())
                return goes

            folder, replan = held_folder, processes.on_main(begin)
        return run_training(
            model, train, val, options, folder, notes, processes,
            replan=replan, verbose=verbose, callbacks=callbacks, trackers=trackers, since=since,
        )  # fmt: skip


def run_training(
    model: PixelModel,
    train: ImageSet,
    val: ImageSet,
    options: TrainingOptions,
    folder: RunFolder | None,
    notes: dict[str, Any],
    processes: Processes,
    *,
    replan: bool = False,
    remarks: Sequence[str] = (),
    verbose: bool = True,
    callbacks: Sequence[Any] = (),
    trackers: Sequence[Any] | None = None,
    since: float | None = None,
) -> History:
    """Trains in a folder that is held already; arguments and errors as :func:`fit`.

    Args:
        model: trained in place.
        train: training images.
        val: validation images.
        options: how to train.
        folder: held and laid out; None writes nothing.
        notes: the first part of the training record.
        processes: of this training.
        replan: do not keep the number of steps that a resumed run had settled on.
        remarks: what to say before the start.
        verbose: talk on stderr.
        callbacks: the user's.
        trackers: names or objects; those of the options if None.
        since: :func:`time.monotonic` when the training was asked for.
    """
    device = processes.device(devices.resolve_device(options.device))
    precision = processes.on_main(lambda: resolve_precision(options.precision, device))
    processes.check_same(notes["content_hash"]["train"] + notes["content_hash"]["val"], "data")
    val = val.frozen().limit(options.validation_images or None)
    path = folder.path if folder is not None and processes.is_main else None
    log = folder.log if folder is not None and processes.is_main else None
    batches = Batches(
        train, options.batch_size, options.seed,
        condition=condition_of(model, train), rank=processes.rank, processes=processes.size,
        device=device,
    )  # fmt: skip
    with (
        batches,
        preserved(model),
        without_advice(processes),
        StopFlag() as stop,
        memory(options.batch_size),
        accelerated(device) as accelerator,
        Talk(log, verbose=verbose and processes.is_main) as talk,
        contextlib.ExitStack() as stack,
    ):
        for remark in remarks:
            talk.say(remark)
        model.record = dict(notes)
        lay_out(model, device, precision, channels_last=options.channels_last)
        wanted = [] if not processes.is_main else options.trackers if trackers is None else trackers
        tracked = Trackers(wanted, path, options.as_table())
        stack.callback(tracked.finish)
        window = min(options.log_every, batches.steps_per_epoch)
        recorder = Recorder(folder.metrics if path and folder else None, window, tracked, talk)

        def validated(precision: str = precision) -> Validation:
            return validate(
                evaluation_view(model), val, batch_size=max(64, min(256, options.batch_size)),
                precision=precision, channels_last=options.channels_last, processes=processes,
                stop=lambda: stop.agree(processes) and not stop.honoured,
            )  # fmt: skip

        trainer = Trainer(
            Loss(model, precision, channels_last=options.channels_last),
            batches, options,
            Clock(options, options.epochs * batches.steps_per_epoch, len(val), precision,
                  time.monotonic() if since is None else since),
            accelerator, processes, folder, stop, recorder, callbacks, validated,
            Grids(val, options, folder, stop, processes, recorder),
        )  # fmt: skip
        over = restore(trainer, folder, processes, talk, replan=replan)
        if over:
            talk.say(f"nothing to do: this training is over, at step {trainer.state.step}")
        else:
            greet(trainer, len(val), device, talk)
            talk.open(trainer.state.step, trainer.plan.steps)
            run_loop(trainer, stop)
            talk.close()
        return finish(trainer, len(val), validated, talk, stop)


def restore(
    trainer: Trainer, folder: RunFolder | None, processes: Processes, talk: Talk, *, replan: bool
) -> bool:
    """Goes on from the latest checkpoint of a folder, if there is one.

    Returns:
        Whether that training is over: all its steps are taken, or it had stopped for want of progress.
    """
    if folder is None:
        return False
    found = processes.on_main(lambda: checkpoints.latest(folder.checkpoints, talk.say))
    if found is None:
        return False
    trainer.load_state_dict(found[1])
    trainer.clock.go_on(found[1]["elapsed"])
    if replan:
        steps = max(trainer.options.epochs * trainer.per_epoch, trainer.state.step)
        trainer.plan = trainer.plan.again(trainer.state.step, steps, trainer.state.step / steps)
        trainer.state.steps, trainer.state.epochs = trainer.plan.steps, trainer.plan.epochs
    gave_up = 0 < trainer.options.patience <= trainer.saver.best.worse
    late = replan and trainer.clock.left <= 0
    return trainer.state.step >= trainer.plan.steps or (gave_up and not replan) or late


def greet(trainer: Trainer, validating: int, device: str, talk: Talk) -> None:
    """What is about to be trained, in one line."""
    kind = "bfloat16" if trainer.precision == "bf16" else f"float{trainer.precision}"
    timed = (
        f"{trainer.options.max_time} of" if trainer.options.max_time else f"{trainer.plan.steps:,}"
    )
    talk.say(
        f"{len(trainer.batches.data):,} images of {trainer.model.shape} with {trainer.model.levels} levels,"
        f" {validating:,} validate; {trainer.model.parameters_count:,} parameters; {timed} steps"
        f" of {trainer.batches.batch_size} images on {device} in {kind}"
        + (f" by {trainer.processes.size} processes" if trainer.processes.size > 1 else "")
        + (f"; going on after step {trainer.state.step:,}" if trainer.state.step else "")
    )


def run_loop(trainer: Trainer, stop: StopFlag) -> None:
    """Runs it to its end.

    Raises:
        Interrupted: after a signal.
    """
    try:
        loop.run(trainer)
    except KeyboardInterrupt as error:
        if not stop.signum:
            raise
        raise interrupted(trainer, stop, "stopped at once; the last checkpoint is whole") from error
    if trainer.reason == "signal":
        steps = f"step {trainer.state.step} of {trainer.plan.steps}"
        raise interrupted(trainer, stop, f"stopped after {steps}; all is saved")


def interrupted(trainer: Trainer, stop: StopFlag, what: str) -> Interrupted:
    """The error for a training that a signal ended."""
    hint = "" if trainer.folder is None else "continue with --resume"
    return Interrupted(what, signum=stop.agreed or stop.signum, hint=hint)


def finish(
    trainer: Trainer,
    validating: int,
    validated: Callable[[str], Validation],
    talk: Talk,
    stop: StopFlag,
) -> History:
    """Puts the best weights back, scores them in full precision, and draws what they can do."""
    model, saver = trainer.model, trainer.saver
    saver.recall_best()
    best = saver.best.nats
    if model.record["validation"]["precision"] == "bf16":
        try:
            found = validated("32")
        except Stopped as stopped:
            raise interrupted(
                trainer, stop, "stopped after the last step; all is saved"
            ) from stopped
        saver.annotate_best(found, "32")
        best = found.mean
    bits = best / model.shape.dimensions / math.log(2)
    talk.say(
        f"best at step {saver.best.step}: {best:.3f} nats an image, {bits:.4f} bits/dim,"
        f" on {validating} validation images"
    )
    if trainer.recorder.rows:
        trainer.draw(averaged=False)  # it holds the best ones
    run = None if trainer.folder is None else trainer.folder.path
    return History(
        tuple(trainer.recorder.rows), trainer.state.step, best, trainer.reason or "done", run
    )


def lay_out(model: PixelModel, device: str, precision: str, *, channels_last: bool) -> None:
    """Puts a model where it trains, its weights in the type and order in memory that the training uses."""
    model.to(device)
    if precision == "64":
        model.double()
    if channels_last:
        for parameter in model.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    if not model.training:
        model.train()


@contextlib.contextmanager
def preserved(model: PixelModel) -> Iterator[None]:
    """Gives back the model on its device, in its mode, contiguous and without gradients.

    Where dropout of PyTorch's own draws from its global random state, that is given back, too.
    """
    device, modes = model.device, [(module, module.training) for module in model.modules()]
    with torch.random.fork_rng(devices=[], enabled=draws_globally(model)):
        try:
            yield
        finally:
            model.to(device)
            set_dropout_generator(model, None)
            for module, training in modes:
                module.training = training
            for parameter in model.parameters():
                parameter.grad = None
                parameter.data = parameter.data.contiguous()


@contextlib.contextmanager
def without_advice(processes: Processes) -> Iterator[None]:
    """Several processes are told about the layout of 1x1 kernels, which is as good as the one expected."""
    with contextlib.ExitStack() as stack:
        if processes.size > 1:
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message="Grad strides do not match")
        yield


@contextlib.contextmanager
def memory(batch_size: int) -> Iterator[None]:
    """Says in one line that memory ran out.

    Raises:
        ResourceError: instead of what torch or the system raise for want of memory.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(batch_size) from error
    except RuntimeError as error:
        if any(sign in str(error) for sign in NO_MEMORY):
            raise _out_of_memory(batch_size) from error
        raise


def _out_of_memory(batch_size: int) -> ResourceError:
    smaller = f"try --batch-size {batch_size // 2}"
    return ResourceError(
        f"out of memory at batch size {batch_size}",
        hint=smaller if batch_size > 1 else "a narrower network or smaller images need less",
    )
