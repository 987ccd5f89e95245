"""What happens around the steps of a training: averaging, logging, validation, saving, stopping."""

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Callable
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from pixelcnn import checkpoint
from pixelcnn.training import checkpoints
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.journal import Journal, Row, epoch_line
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.plan import Plan
from pixelcnn.training.record import progress_record, validation_record
from pixelcnn.training.run import RunFolder
from pixelcnn.training.schedules import learning_rate
from pixelcnn.training.signals import StopFlag
from pixelcnn.training.validation import Stopped, Validation


class Averaging(Callback):
    """Moves the weight average after every step, and keeps it in the checkpoint."""

    def __init__(self, average: WeightAverage) -> None:
        self.average = average

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.average.to(pl_module.device)

    def on_train_batch_end(self, *_: Any) -> None:
        self.average.update()

    def state_dict(self) -> dict[str, Any]:
        return self.average.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.average.load_state_dict(state_dict)


@dataclasses.dataclass
class Meter:
    """A mean that goes on after a resume exactly where it was."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Takes one more value in; one that is not finite belongs to a skipped step."""
        if math.isfinite(value):
            self.total, self.count = self.total + value, self.count + 1

    def take(self) -> float:
        """The mean so far, and a fresh start; NaN if there was nothing."""
        mean = self.total / self.count if self.count else math.nan
        self.total, self.count = 0.0, 0
        return mean


@dataclasses.dataclass
class Best:
    """The best validation so far.

    Attributes:
        loss: nats per image.
        step: when.
        worse: validations since.
    """

    loss: float = math.inf
    step: int = -1
    worse: int = 0


class Progress(Callback):
    """Runs everything that is due at the end of a step, in an order that a crash cannot spoil.

    A row is written before the checkpoint that counts it; the model files before the checkpoint that
    refers to them. After a stop signal the checkpoint comes first.

    Args:
        options: how to train.
        plan: how many steps.
        images: in the training set.
        validate: scores the validation set with the averaged weights; may raise :class:`Stopped`.
        average: of the weights.
        journal: where to write.
        folder: where to save; None keeps the best weights in memory.
        stop: set by a signal.
        draw: draws a sample grid for an epoch, given the seconds it may take.
    """

    def __init__(
        self,
        options: TrainingOptions,
        plan: Plan,
        images: int,
        *,
        validate: Callable[[], Validation],
        average: WeightAverage,
        journal: Journal,
        folder: RunFolder | None,
        stop: StopFlag,
        draw: Callable[[int, float], None],
    ) -> None:
        self.options, self.plan, self.images = options, plan, images
        self.validate, self.average, self.journal, self.draw = validate, average, journal, draw
        self.folder, self.stop = folder, stop
        self.epoch_loss, self.row_loss, self.best = Meter(), Meter(), Best()
        self.kept: dict[str, Any] = {}
        self.reason, self.rows, self.validated, self.saved = "", 0, -1, 0.0
        self.began = self.epoch_began = 0.0
        self.paused, self.first = 0.0, 0
        self.history: list[Row] = []

    # -- Lightning's hooks

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop.install()
        self.journal.begin(self.rows)
        self.first = trainer.global_step
        self.began = self.epoch_began = self.saved = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        step = trainer.global_step
        loss = pl_module.loss
        self.epoch_loss.add(loss)
        self.row_loss.add(loss)
        if step % self.plan.steps_per_epoch == 0:
            self._end_epoch(trainer, pl_module, step)
        elif step % self.options.log_every == 0:
            self._row(step, self.row_loss.take(), None)
        self._look_at_clock(trainer, step)
        if self.stop:
            self.reason = "signal"
        if self.reason:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = trainer.global_step
        if self.reason == "signal":
            self.stop.honoured = True
            self._save_checkpoint(trainer, step)
            self.journal.say(f"stopping at step {step} of {self.plan.steps}: saved; validating once")
        if self.validated != step:
            self._end_epoch(trainer, pl_module, step)
        self._save_model(pl_module.model, "last")

    def state_dict(self) -> dict[str, Any]:
        parts = {"epoch_loss": self.epoch_loss, "row_loss": self.row_loss, "best": self.best}
        state: dict[str, Any] = {name: dataclasses.asdict(part) for name, part in parts.items()}
        return state | {"rows": self.journal.rows, "steps": self.plan.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch_loss = Meter(**state_dict["epoch_loss"])
        self.row_loss = Meter(**state_dict["row_loss"])
        self.best = Best(**state_dict["best"])
        self.rows = state_dict["rows"]

    # -- what they do

    def _end_epoch(self, trainer: Trainer, module: LightningModule, step: int) -> None:
        """The end of an epoch, or of the training inside one."""
        epoch = math.ceil(step / self.plan.steps_per_epoch)
        seconds = time.monotonic() - self.epoch_began - self.paused
        steps = step - max(self.first, (epoch - 1) * self.plan.steps_per_epoch)
        last = step >= self.plan.steps or bool(self.reason)
        found = self._validation() if last or epoch % self.options.validate_every == 0 else None
        loss = self.epoch_loss.take()
        self.row_loss.take()
        self.journal.say(epoch_line(epoch, self.plan.epochs, seconds, steps, loss, found))
        self._row(step, loss, found)
        if found is not None:
            self._judge(module, step, found)
        if self.reason != "signal":
            self._save_checkpoint(trainer, step)
        every = self.options.sample_every
        if (every and epoch % every == 0) or (last and self.reason != "signal"):
            with self.average.applied():
                self.draw(epoch, time.monotonic() - self.began)
        self.epoch_began, self.paused = time.monotonic(), 0.0

    def _validation(self) -> Validation | None:
        """Scores the validation set; a stop signal cuts it short, and the end of training repeats it."""
        with self.average.applied(), contextlib.suppress(Stopped):
            return self.validate()
        self.reason = "signal"
        return None

    def _judge(self, module: LightningModule, step: int, found: Validation) -> None:
        """Keeps the model if it is the best so far, and gives up if it has not been for too long."""
        self.validated = step
        record = progress_record(step, self.plan.steps_per_epoch, self.images)
        module.model.record |= record | validation_record(found, module.precision)
        if found.mean < self.best.loss:
            self.best = Best(found.mean, step)
            self._save_model(module.model, "best")
        else:
            self.best.worse += 1
            if 0 < self.options.patience <= self.best.worse:
                self.reason = "patience"
                self.journal.say(f"stopping at step {step}: no better since step {self.best.step}")

    def _row(self, step: int, loss: float, found: Validation | None) -> None:
        row = Row(
            step,
            math.ceil(step / self.plan.steps_per_epoch),
            loss,
            None if found is None else found.loss,
            None if found is None else found.bits_per_dim,
            learning_rate(self.options, step - 1, self.plan.steps),
        )
        self.history.append(row)
        self.journal.row(row)

    def _save_checkpoint(self, trainer: Trainer, step: int) -> None:
        self.saved = time.monotonic()
        if self.folder is not None:
            trainer.save_checkpoint(self.folder.checkpoints / checkpoints.name(step))
            checkpoints.prune(self.folder.checkpoints)

    def _save_model(self, model: Any, which: str) -> None:
        """Writes the averaged model with the raw weights beside it, or keeps it in memory."""
        raw = {name: value.detach().clone() for name, value in model.state_dict().items()}
        with self.average.applied():
            if self.folder is None:
                if which == "best":
                    kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
                    self.kept = {"weights": kept, "record": dict(model.record)}
            else:
                path = self.folder.best if which == "best" else self.folder.last
                checkpoint.save(model, path, raw=raw if self.average.decay else None)

    def _look_at_clock(self, trainer: Trainer, step: int) -> None:
        now = time.monotonic()
        if now - self.saved > self.options.checkpoint_seconds:
            self._save_checkpoint(trainer, step)
            self.paused += time.monotonic() - now


class Bar(Callback):
    """A progress bar on stderr."""

    def __init__(self, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        self.bar = Progress(
            BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True),
            transient=True,
        )  # fmt: skip
        self.task = self.bar.add_task("training", total=steps)

    @staticmethod
    def wanted() -> bool:
        """Whether somebody looks at stderr."""
        return sys.stderr.isatty()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.bar.update(self.task, completed=trainer.global_step)

    def teardown(self, *_: Any) -> None:
        self.bar.stop()
