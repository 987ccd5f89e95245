"""Training a model from Python: the whole of a run, from a checked start to a saved end."""

import contextlib
import copy
import dataclasses
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from pixelcnn import checkpoint
from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError, ModelError, ResourceError
from pixelcnn.model import PixelModel
from pixelcnn.training import checkpoints, pictures, toml
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.batches import Batches
from pixelcnn.training.callbacks import Averaging, Bar, Progress
from pixelcnn.training.journal import Journal, Row
from pixelcnn.training.lightning import (
    Steps,
    TrainingModule,
    make_trainer,
    placed,
    resolve_device,
    resolve_precision,
)
from pixelcnn.training.memory import keep_memory
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.plan import Plan, timed
from pixelcnn.training.record import training_record, validation_record
from pixelcnn.training.run import RunFolder
from pixelcnn.training.signals import Interrupted, StopFlag
from pixelcnn.training.validation import Stopped, Validation, validate


@dataclasses.dataclass(frozen=True)
class History:
    """What a training did.

    Attributes:
        rows: one for each row of ``metrics.csv`` that this call added.
        steps: steps taken in all.
        best: the best validation, in nats per image.
        reason: why it stopped: ``"done"`` or ``"patience"``.
        run: the run folder, if there is one.
    """

    rows: tuple[Row, ...]
    steps: int
    best: float
    reason: str
    run: Path | None


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
        resume: continue what ``run`` holds.
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
    options = dataclasses.replace(options or TrainingOptions(), **overrides)
    notes = training_record(train, val, options)
    if run is None:
        if resume:
            raise ConfigError("resume needs a run folder", hint="pass run=...")
        return run_training(model, train, val, options, None, notes, verbose=verbose)
    with RunFolder(run, resume=resume) as folder:
        config = model.config()
        tables = {"data": notes["data"], "network": config["network"], "output": config["output"]}
        check_fit(model, train, val)
        folder.begin(toml.dumps({**tables, "training": options.as_table()}))
        return run_training(model, train, val, options, folder, notes, verbose=verbose)


def run_training(
    model: PixelModel,
    train: ImageSet,
    val: ImageSet,
    options: TrainingOptions,
    folder: RunFolder | None,
    notes: dict[str, Any],
    *,
    replan: bool = False,
    remarks: Sequence[str] = (),
    verbose: bool = True,
) -> History:
    """Trains in a folder that is held already; arguments and errors as :func:`fit`.

    Args:
        notes: the first part of the training record.
        replan: do not keep the number of steps that a resumed run had settled on.
        remarks: what to say before the start.
    """
    val = val.frozen().limit(options.validation_images or None)
    check_fit(model, train, val)
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    placed(options)
    model.record = dict(notes)
    keep_memory()
    with quiet(), preserved(model), StopFlag() as stop, resources(options.batch_size):
        model.to(device if options.devices == options.nodes == 1 else "cpu")
        if precision == "64":
            model.double()
        if options.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        session = Session(model, train, val, options, precision, folder, stop, verbose)
        for remark in remarks:
            session.journal.say(remark)
        return session.run(replan)


class Session:
    """One training: its parts, wired together.

    Args:
        model: on its device.
        train: training images.
        val: validation images, frozen.
        options: how to train.
        precision: resolved.
        folder: held run folder, if any.
        stop: set by a signal.
        verbose: talk on stderr.
    """

    def __init__(
        self,
        model: PixelModel,
        train: ImageSet,
        val: ImageSet,
        options: TrainingOptions,
        precision: str,
        folder: RunFolder | None,
        stop: StopFlag,
        verbose: bool,
    ) -> None:
        self.model, self.val, self.options, self.precision = model, val, options, precision
        self.folder, self.stop, self.verbose = folder, stop, verbose
        labelled = model.network.condition == "label"
        self.batches = Batches(train, options.batch_size, options.seed, labelled=labelled)
        self.journal = Journal(None if folder is None else folder.path, verbose=verbose)
        self.average = WeightAverage(model, options.weight_average)

    def run(self, replan: bool) -> History:
        """Trains, and leaves the best weights in the model."""
        found = None if self.folder is None else checkpoints.latest(self.folder.checkpoints, self.journal.say)
        first = 0 if found is None else int(found[1]["global_step"])
        plan = self._plan(found, first, replan)
        progress = Progress(
            self.options,
            plan,
            len(self.batches.data),
            validate=self.validate,
            average=self.average,
            journal=self.journal,
            folder=self.folder,
            stop=self.stop,
            draw=self.draw,
        )
        module = TrainingModule(self.model, self.batches, self.options, plan.steps, self.precision)
        try:
            if first < plan.steps:
                self._greet(plan, first)
                self._train(module, plan, progress, None if found is None else found[0], first)
            else:
                self.journal.say(f"nothing to do: all {plan.steps} steps are taken")
                progress.load_state_dict(stored_progress(found))
            return self._finish(progress, plan, max(first, module.taken))
        finally:
            self.journal.close()

    def validate(self, precision: str | None = None) -> Validation:
        """Scores the validation set with the model's present weights."""
        return validate(
            self.model,
            self.val,
            batch_size=max(64, min(256, self.options.batch_size)),
            precision=precision or self.precision,
            channels_last=self.options.channels_last,
            stop=lambda: precision is None and self.interrupted,
        )

    @property
    def interrupted(self) -> bool:
        """Whether a signal came while a validation was not yet the last thing to do."""
        return bool(self.stop) and not self.stop.honoured

    def draw(self, epoch: int, seconds: float) -> None:
        """Draws a sample grid, unless it would take more than a tenth of the training so far."""
        if self.folder is None or not self.options.sample_count:
            return
        path = self.folder.samples / f"epoch-{epoch:04d}.png"
        count, budget = self.options.sample_count, pictures.SHARE * seconds
        try:
            with contextlib.suppress(Stopped):
                pictures.draw_grid(
                    self.model, path, count, self.options.seed, budget, lambda: bool(self.stop)
                )
        except pictures.TooSlow as slow:
            self.journal.say_once(
                f"no sample grid: {count} images would take about {slow.seconds:.0f}s, more than a tenth"
                f" of the training so far ({seconds:.0f}s); draw them afterwards with pixelcnn sample",
                "grid",
            )

    def _plan(self, found: Any, first: int, replan: bool) -> Plan:
        """The number of steps: as stored, or from the epochs and the time."""
        per_epoch = self.batches.steps_per_epoch
        if found is not None and not replan:
            return Plan(int(stored_progress(found)["steps"]), per_epoch)
        steps = self.options.epochs * per_epoch
        if math.isfinite(self.options.seconds) and first < steps:
            steps = min(steps, first + self._timed_steps())
        return Plan(max(steps, first), per_epoch)

    def _timed_steps(self) -> int:
        """Steps that fit into ``max_time``, measured on a copy of the model."""
        trial = TrainingModule(copy.deepcopy(self.model), self.batches, self.options, 1, self.precision)
        trial.model.train()
        optimizer = trial.configure_optimizers()

        def step(number: int) -> None:
            optimizer.zero_grad()
            trial.batch_loss(number % self.batches.steps_per_epoch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        def validation() -> float:
            few, size = self.val.limit(min(len(self.val), 256)), max(64, min(256, self.options.batch_size))
            start = time.monotonic()
            validate(trial.model, few, batch_size=size, precision=self.precision)
            return (time.monotonic() - start) * len(self.val) / len(few)

        seconds, every = self.options.seconds, self.options.validate_every
        return timed(seconds, step, validation, self.batches.steps_per_epoch, every)

    def _greet(self, plan: Plan, first: int) -> None:
        device = next(self.model.parameters()).device
        self.journal.say(
            f"{len(self.batches.data)} images of {self.model.shape}, {self.model.levels} levels,"
            f" validation on {len(self.val)}; {self.model.parameters_count:,} parameters;"
            f" {plan.steps} steps of {self.batches.batch_size} images on {device} in"
            f" {'bfloat16' if self.precision == 'bf16' else 'float' + self.precision}"
            + (f"; resuming after step {first}" if first else "")
        )

    def _train(
        self, module: TrainingModule, plan: Plan, progress: Progress, path: Path | None, first: int
    ) -> None:
        callbacks = [Averaging(self.average)] if self.options.weight_average else []
        callbacks = [*callbacks, progress, *([Bar(plan.steps)] if self.verbose and Bar.wanted() else [])]
        root = Path() if self.folder is None else self.folder.path
        trainer = make_trainer(self.options, plan.steps, self.precision, root, callbacks)
        try:
            trainer.fit(module, train_dataloaders=Steps(first), ckpt_path=path, weights_only=True)
        except SystemExit as end:  # Lightning's answer to a second Ctrl-C
            raise self._interrupted("stopped at once; the last checkpoint is whole") from end

    def _finish(self, progress: Progress, plan: Plan, taken: int) -> History:
        """Puts the best weights back, and scores them once more in full precision."""
        if progress.reason == "signal":
            raise self._interrupted(f"stopped at step {taken} of {plan.steps}; everything is saved")
        self._restore_best(progress)
        if self.precision == "bf16":
            found = self.validate("32")
            self.model.record |= validation_record(found, "32")
            self._rewrite_best()
            best = found.mean
        else:
            best = progress.best.loss
        nats, dimensions = best, self.model.shape.dimensions
        self.journal.say(
            f"best at step {progress.best.step}: {nats:.3f} nats an image on {len(self.val)} validation"
            f" images ({nats / dimensions / math.log(2):.4f} bits/dim)"
        )
        rows = tuple(progress.history)
        run = None if self.folder is None else self.folder.path
        return History(rows, taken, best, progress.reason or "done", run)

    def _restore_best(self, progress: Progress) -> None:
        if self.folder is None:
            self.model.load_state_dict(progress.kept["weights"])
            self.model.record = progress.kept["record"]
        else:
            best = checkpoint.load(self.folder.best)
            self.model.load_state_dict(best.state_dict())
            self.model.record = best.record

    def _rewrite_best(self) -> None:
        """Puts the new validation into ``best.safetensors``; its weights stay as they are."""
        if self.folder is None:
            return
        raw = None
        if self.options.weight_average:
            raw = checkpoint.load(self.folder.best, weights="raw").state_dict()
        checkpoint.save(self.model, self.folder.best, raw=raw)

    def _interrupted(self, what: str) -> Interrupted:
        hint = "" if self.folder is None else "continue with --resume"
        return Interrupted(what, signum=self.stop.signum, hint=hint)


def stored_progress(found: Any) -> dict[str, Any]:
    """The part of a checkpoint that :class:`Progress` wrote."""
    state: dict[str, Any] = found[1]["callbacks"][Progress.__qualname__]
    return state


def check_fit(model: PixelModel, train: ImageSet, val: ImageSet) -> None:
    """Compares a model with the data before any training.

    Raises:
        ModelError: another shape, other levels, or no labels for a class-conditional model.
        ConfigError: an empty set, or a kind of condition that image sets do not carry.
    """
    for images in (train, val):
        if not len(images):
            raise ConfigError(f"{images.name}: no image to {'train on' if images is train else 'validate on'}")
        if tuple(images.shape) != tuple(model.shape):
            raise ModelError(f"the model is for {model.shape} images, {images.name} has {images.shape}")
        if images.levels != model.levels:
            raise ModelError(f"the model is for {model.levels} levels, {images.name} has {images.levels}")
        if model.network.condition == "label" and images.labels is None:
            raise ModelError(f"a class-conditional model needs labels, {images.name} has none")
    if model.network.condition not in (None, "label"):
        raise ConfigError(
            f"fit cannot train a model with condition {model.network.condition!r}",
            hint="image sets carry labels only; write a loop over model.log_prob",
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps Lightning's advice to itself: what it warns about is decided here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
        yield


@contextlib.contextmanager
def preserved(model: PixelModel) -> Iterator[None]:
    """Gives back torch's random state, and the model in evaluation mode on the CPU."""
    with torch.random.fork_rng():
        try:
            yield
        finally:
            model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            model.cpu().eval()


@contextlib.contextmanager
def resources(batch_size: int) -> Iterator[None]:
    """Says in one line what ran out."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ResourceError(
            f"out of memory at batch size {batch_size}", hint=f"try --batch-size {max(1, batch_size // 2)}"
        ) from error
    except RuntimeError as error:
        if "allocate" not in str(error) and "out of memory" not in str(error):
            raise
        raise ResourceError(
            f"out of memory at batch size {batch_size}", hint=f"try --batch-size {max(1, batch_size // 2)}"
        ) from error
    except OSError as error:
        raise ResourceError(
            f"cannot write the run: {error.strerror or error}",
            hint="free some space and continue with --resume",
        ) from error
