"""Training a model from Python, and all that surrounds the loop: checks, devices, order, the last words."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from pixelcnn import devices
from pixelcnn.checkpoint import check_rebuilds, uncompiled
from pixelcnn.conditioning import condition_of
from pixelcnn.config import gated
from pixelcnn.data import Options, tags
from pixelcnn.engines.programs import tell_of_future
from pixelcnn.errors import ConfigError
from pixelcnn.likelihoods import bits_per_dim
from pixelcnn.scoring import tell_coding
from pixelcnn.sources import training_sets
from pixelcnn.surroundings import independent
from pixelcnn.text import counted
from pixelcnn.training import checkpoints, loop, pictures, validation
from pixelcnn.training.acceleration import accelerated
from pixelcnn.training.batches import Batches, augmentation_of, check_fit
from pixelcnn.training.calibration import calibrate_kept
from pixelcnn.training.callbacks import Trackers, check_hooks
from pixelcnn.training.caller import lay_out, memory, preserved
from pixelcnn.training.history import History
from pixelcnn.training.likelihood import Stopped, resolve_precision, try_out
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.processes import joined
from pixelcnn.training.progress import ProgressLines
from pixelcnn.training.recipe import goes_on, of_model
from pixelcnn.training.record import training_record, validation_record
from pixelcnn.training.recorder import Recorder
from pixelcnn.training.run import RunFolder, held
from pixelcnn.training.signals import Interrupted, StopFlag
from pixelcnn.training.trainer import Job, Trainer

READ = frozenset(Options.__annotations__)
"""Options of images, which are none of a training."""


@independent
@gated
def fit(
    model: nn.Module,
    train: Any,
    val: Any = None,
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
        model: trained in place; of one that ``torch.compile`` made, the model inside; see ``compile``.
        train: training images: a set, or any other source of images, see :func:`pixelcnn.score`; of what
            comes in parts the one to train on.
        val: validation images, likewise; dynamically binarised ones are drawn once. By default the validation
            part of ``train``, or a tenth of it, chosen by content.
        run: folder for models, checkpoints, metrics and samples; nothing is written without one.
        options: how to train.
        resume: continue what ``run`` holds, fine if that is nothing or a finished training.
        verbose: talk on stderr: a bar in a terminal or a notebook, and a line an epoch.
        callbacks: see :class:`pixelcnn.training.Callback`.
        trackers: see :class:`pixelcnn.training.callbacks.Trackers`; those of the options if None.
        **overrides: single options, as ``epochs=3``; or of :class:`pixelcnn.data.Options`, as ``size=32``, of
            images that are to be read otherwise than the model's record says.

    Raises:
        ConfigError: options, callbacks, trackers or a run folder that cannot be used.
        DataError: images that cannot be read.
        ModelError: images that do not fit the model, or with a run folder a model that no file can hold.
        TrainingError: a loss that is not finite.
        ResourceError: out of memory or disk.
        Interrupted: Ctrl-C, SIGTERM or SIGHUP, after saving; the model holds the best weights so far.

    Example:
        >>> from pixelcnn import PixelModel, data, networks, outputs
        >>> train, val, _ = data.load("digits")
        >>> output = outputs.Categorical(levels=17)
        >>> model = PixelModel(networks.PixelCNN(1, 17, width=8, depth=1), output, train.shape)
        >>> fit(model, train.limit(64), val.limit(8), epochs=1, verbose=False).steps
        1
    """
    since = time.monotonic()
    read = {key: overrides.pop(key) for key in [*overrides] if key in READ}
    options = TrainingOptions.from_table((options or TrainingOptions()).as_table() | overrides)
    model = uncompiled(model)
    train, val = training_sets(model, train, val, read)
    check_fit(model, train, val)
    try_out(model, train)
    tell_of_future(model)
    augmentation_of(model, options)
    if run is None and resume:
        raise ConfigError("resume needs a run folder", hint="pass run=...")
    if options.init is not None:
        raise ConfigError("init is for recipes", hint="fit the model that pixelcnn.load gives")
    check_hooks(callbacks, wanted := options.trackers if trackers is None else trackers, run)
    notes = training_record(model, train, val, options)
    tell_coding(val, notes["binarisation"], notes["quantisation"], "the training images are")
    with joined(options.devices, options.nodes) as processes, contextlib.ExitStack() as stack:
        folder, replan = None, False
        if run is not None:
            recipe = of_model(model, notes["data"], options)
            check_rebuilds(model, model.state_dict())  # now, not when the first file is written
            ours = stack.enter_context(held(RunFolder(run, resume=resume), processes))

            def begin() -> bool:
                goes = ours.recipe.exists() and goes_on(ours.stored(), recipe, str(ours.path))
                ours.begin(recipe.dumps(), notes["content_hash"])
                return goes

            folder, replan = ours, processes.on_main(begin)
        job = Job(
            model=model, train=train, val=val, options=options, notes=notes, processes=processes,
            folder=folder, replan=replan, verbose=verbose, callbacks=callbacks, trackers=wanted, since=since,
        )  # fmt: skip
        return run_training(job)


def run_training(job: Job) -> History:
    """Trains; errors as of :func:`fit`."""
    model, options, processes, folder = job.model, job.options, job.processes, job.folder
    device = processes.device(devices.resolve_device(options.device))
    precision = processes.on_main(lambda: resolve_precision(options.precision, device))
    processes.check_same("".join(job.notes["content_hash"].values()), "data")
    path = folder.path if folder is not None and processes.is_main else None
    log, metrics = (path and path / name for name in ("train.log", "metrics.csv"))
    talk, found = ProgressLines(log, verbose=job.verbose and processes.is_main), None
    if folder is not None:
        found = processes.on_main(lambda: checkpoints.latest(folder.checkpoints, talk.say))
    model.statistics = processes.on_main(lambda: checkpoints.settled(model, job.train, found))
    batches = Batches(
        job.train, options.batch_size, options.seed,
        condition=condition_of(model, job.train), prepare=model.standardised,
        augmentation=augmentation_of(model, options), tagged=tags.of(model) if options.augment_tag else None,
        rank=processes.rank, processes=processes.size, device=device,
    )  # fmt: skip
    with (
        batches,
        preserved(model, device),
        devices.exact_convolutions(device),
        StopFlag() as stop,
        memory(batches.batch_size, options.micro_batch_size),
        accelerated(device) as accelerator,
        talk,
        Trackers(job.trackers if processes.is_main else (), path, options.as_table()) as trackers,
    ):
        model.record = dict(job.notes)
        lay_out(model, device, precision, channels_last=options.channels_last)
        window = min(options.log_every, batches.steps_per_epoch)
        recorder = Recorder(metrics, window, trackers, talk)
        trainer = Trainer(job, batches, precision, accelerator, stop, recorder)
        over, found = restore(trainer, found), None  # whose memory the training has use for
        if over:
            talk.say(f"nothing to do: this training is over, {trainer.where_it_ended}")
        else:
            greet(trainer, device)
            run_loop(trainer)
        return finish(trainer)


def restore(trainer: Trainer, found: dict[str, Any] | None) -> bool:
    """Goes on from the latest checkpoint of a folder, if there is one, of which this is the content.

    Returns:
        Whether that training is over: all its steps are taken, or it had stopped for want of progress.
    """
    folder, options, state, clock = trainer.folder, trainer.options, trainer.state, trainer.clock
    if found is None:
        if folder is not None and folder.best.exists():
            say = trainer.recorder.talk.say
            say("there is no checkpoint to go on from: this training starts anew")
        return False
    trainer.load_state_dict(found, resumed=True)
    over = state.step >= trainer.plan.steps or 0 < options.patience <= trainer.saver.best.worse
    # The folder's recipe may tell of a length that a kill has kept from every checkpoint.
    if trainer.job.replan or found.get("length", options.length) != options.length:
        trainer.follow(trainer.processes.on_main(lambda: clock.replan(trainer.plan, state.step)))
        over = over and state.step >= trainer.plan.steps
    return over and trainer.saver.best.step >= 0  # else the best model is lost, and has to be made


def greet(trainer: Trainer, device: str) -> None:
    """What is about to be trained, in one line after the remarks."""
    model, batches, step = trainer.model, trainer.batches, trainer.state.step
    say = trainer.recorder.talk.say
    for remark in trainer.job.remarks:
        say(remark)
    if batches.augmentation is not None:
        told = ", told to the network" if batches.tagged is not None else ""
        say(f"augmented: {batches.augmentation}{told}")
    kind = "bfloat16" if trainer.precision == "bf16" else f"float{trainer.precision}"
    length = trainer.options.limit or counted(trainer.plan.steps, "step")
    say(
        f"{counted(len(batches.data), 'image')} of {model.shape} with {model.levels} levels,"
        f" {len(trainer.val):,} validate; {counted(model.parameters_count, 'parameter')}; {length}"
        f" with {counted(batches.batch_size, 'image')} a step on {device} in {kind}"
        + (f" by {trainer.processes.size} processes" if trainer.processes.size > 1 else "")
        + (f"; going on after step {step:,}" if step else "")
    )


def run_loop(trainer: Trainer) -> None:
    """Runs it to its end.

    Raises:
        Interrupted: after a signal.
    """
    talk = trainer.recorder.talk
    talk.open(trainer.state.step, trainer.plan.steps)
    try:
        loop.run(trainer)
        talk.close()
    except KeyboardInterrupt as error:
        if not trainer.stop:
            raise
        raise interrupted(trainer, "stopped at once", "the last checkpoint is whole") from error
    if trainer.reason == "signal":
        if trainer.saver.best.step >= 0:
            trainer.saver.recall_best()
        steps = f"step {trainer.state.step} of {trainer.plan.steps}"
        held = "the model holds its best weights, "
        raise interrupted(trainer, f"stopped after {steps}", "all is saved", held)


def interrupted(trainer: Trainer, what: str, kept: str, held: str = "") -> Interrupted:
    """The error for a training that a signal ended; ``kept`` is what its folder holds, else ``held``."""
    hint = "a training with run= can be continued"
    if trainer.folder is not None:
        held, hint = "", trainer.folder.again
    else:
        kept = "nothing is written"
    signum = trainer.stop.agreed or trainer.stop.signum
    return Interrupted(f"{what}; {held}{kept}", signum=signum, hint=hint)


def finish(trainer: Trainer) -> History:
    """Puts the best weights back, scores them in full precision, and draws what they can do.

    Raises:
        Interrupted: after a signal, which leaves out what takes long.
    """
    model, saver = trainer.model, trainer.saver
    ended = "stopped after the last step", "all is saved", "the model holds its best weights, "
    saver.recall_best()
    if model.record["validation"]["precision"] == "bf16":
        try:
            found = validation.validate(trainer, full=True)
        except Stopped as stopped:
            raise interrupted(trainer, *ended) from stopped
        saver.annotate_best(validation_record(found))
    best = float(model.record["validation"]["nats_per_image"])
    bits = bits_per_dim(best, model.shape.dimensions)
    trainer.recorder.talk.say(
        f"best at step {saver.best.step}: {best:.3f} nats an image, {bits:.4f} bits/dim,"
        f" on {counted(trainer.model.record['validation']['images'], 'validation image')}"
    )
    calibrate_kept(trainer)
    # Of a training that was over before, a kill may have left them undrawn.
    pictures.draw(trainer, averaged=False, anew=bool(trainer.recorder.rows))  # the best weights
    if trainer.stop:  # whoever goes on after a training is to end as well
        raise interrupted(trainer, *ended)
    rows, run = trainer.recorder.all_rows(), trainer.state.run
    return History(rows, trainer.state.step, best, trainer.reason or "done", run)
