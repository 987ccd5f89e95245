"""What happens around the steps of a training: averaging, logging, validation, saving, stopping."""

import dataclasses
import math
import sys
import time
from collections.abc import Callable
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from pixelcnn.training import checkpoints
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.journal import Journal, Meter, Row, epoch_line
from pixelcnn.training.keeper import Keeper
from pixelcnn.training.lightning import TrainingModule
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.plan import Plan
from pixelcnn.training.run import RunFolder
from pixelcnn.training.schedules import learning_rate
from pixelcnn.training.signals import StopFlag
from pixelcnn.training.team import Team
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


class Progress(Callback):
    """Runs everything that is due at the end of a step, in an order that a crash cannot spoil.

    Model files and rows come before the checkpoint that counts on them. After a stop signal the checkpoint
    comes first; what is written after it, the resumed run takes back and does itself. Several processes go
    through all of it together: what depends on the clock or on a signal, they agree on first.

    Args:
        options: how to train.
        plan: how many steps.
        validate: scores the validation set with the model's present weights; may raise :class:`Stopped`.
        keeper: keeps the best model.
        journal: where to write.
        folder: where checkpoints go, if anywhere.
        stop: set by a signal.
        team: the processes of this training.
        draw: draws a sample grid for an epoch, given the seconds since the last.

    Attributes:
        reason: why training stops early: ``"signal"``, ``"patience"`` or nothing.
        history: the rows so far.
    """

    def __init__(
        self,
        options: TrainingOptions,
        plan: Plan,
        *,
        validate: Callable[[], Validation],
        keeper: Keeper,
        journal: Journal,
        folder: RunFolder | None,
        stop: StopFlag,
        team: Team,
        draw: Callable[[int, float], None],
    ) -> None:
        self.options, self.plan, self.validate, self.draw = options, plan, validate, draw
        self.keeper, self.journal, self.folder = keeper, journal, folder
        self.stop, self.team = stop, team
        self.epoch_loss, self.row_loss = Meter(), Meter()
        self.reason, self.ended, self.rows, self.first = "", 0, 0, 0
        self.began = self.drawn = self.saved = self.paused = 0.0
        self.history: list[Row] = []

    # What Lightning calls.

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop.install()
        self.journal.begin(self.rows)
        self.first = trainer.global_step
        self.began = self.drawn = self.saved = time.monotonic()
        if self.first % self.plan.steps_per_epoch == 0 and self.first != self.ended:
            self._end_epoch(trainer, self.first)  # a signal came before its validation was over
            self._heed(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        step, loss = trainer.global_step, pl_module.loss
        self.epoch_loss.add(loss)
        self.row_loss.add(loss)
        if step % self.plan.steps_per_epoch == 0 or step >= self.plan.steps:
            self._end_epoch(trainer, step)
        elif step % self.options.log_every == 0:
            self._row(step, self.row_loss.take(), None)
        waited = time.monotonic() - self.saved
        (late,) = self.team.highest(waited > self.options.checkpoint_seconds)
        if late and step < self.plan.steps:  # the last one is saved together with its validation
            self._save_checkpoint(trainer, step)
        self._heed(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = trainer.global_step
        if self.reason == "signal":
            if step < self.plan.steps:
                self._save_checkpoint(trainer, step)
                self.keeper.set_aside()
            self.stop.honoured = True
            if self.ended != step:
                self.journal.say(f"stopping at step {step} of {self.plan.steps}: validating once")
                self._end_epoch(trainer, step)
            self.keeper.keep_last()

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch_loss": dataclasses.asdict(self.epoch_loss),
            "row_loss": dataclasses.asdict(self.row_loss),
            "best": dataclasses.asdict(self.keeper.best),
            "ended": self.ended,
            "rows": self.journal.rows,
            "steps": self.plan.steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch_loss = Meter(**state_dict["epoch_loss"])
        self.row_loss = Meter(**state_dict["row_loss"])
        self.keeper.restore(state_dict["best"])
        self.ended, self.rows = state_dict["ended"], state_dict["rows"]

    # What they do.

    def _heed(self, trainer: Trainer) -> None:
        """Lets the trainer stop if there is a reason to."""
        if self.stop.agree(self.team):
            self.reason = "signal"
        trainer.should_stop = bool(self.reason)

    def _end_epoch(self, trainer: Trainer, step: int) -> None:
        """The end of an epoch, or of the training inside one."""
        pause = time.monotonic()
        epoch = math.ceil(step / self.plan.steps_per_epoch)
        final = step >= self.plan.steps or self.reason == "signal"
        found = None
        if final or epoch % self.options.validate_every == 0:
            try:
                with self.keeper.average.applied():
                    found = self.validate()
            except Stopped:
                return  # nothing has been counted yet: on_train_end, or a resumed run, comes here again
        self.ended = step
        self._write(step, epoch, pause, found)
        if found is not None and self.keeper.judge(step, found):
            self.reason = self.reason or "patience"
            self.journal.say(f"stopping: nothing better since step {self.keeper.best.step}")
        if step >= self.plan.steps or self.reason == "patience":
            self.keeper.keep_last()  # a training with this checkpoint is over
        if self.reason != "signal" or step >= self.plan.steps:
            self._save_checkpoint(trainer, step)
        if self.options.sample_every and epoch % self.options.sample_every == 0 and not final:
            with self.keeper.average.applied():
                self.draw(epoch, time.monotonic() - self.drawn)
            self.drawn = time.monotonic()
        self.began, self.paused = time.monotonic(), 0.0

    def _write(self, step: int, epoch: int, pause: float, found: Validation | None) -> None:
        """The line and the row of an epoch; its seconds are those of its steps in this process."""
        seconds = pause - self.began - self.paused
        steps = step - max(self.first, (epoch - 1) * self.plan.steps_per_epoch)
        loss = self.epoch_loss.take()
        self.row_loss.take()
        self.journal.say(epoch_line(epoch, self.plan.epochs, seconds, steps, loss, found))
        self._row(step, loss, found)

    def _row(self, step: int, loss: float, found: Validation | None) -> None:
        row = Row(
            step=step,
            epoch=math.ceil(step / self.plan.steps_per_epoch),
            loss=loss,
            val_loss=None if found is None else found.loss,
            bits_per_dim=None if found is None else found.bits_per_dim,
            learning_rate=learning_rate(self.options, step - 1, self.plan.steps),
        )
        self.history.append(row)
        self.journal.row(row)

    def _save_checkpoint(self, trainer: Trainer, step: int) -> None:
        start = time.monotonic()
        if self.folder is not None:
            self.journal.sync()
            trainer.save_checkpoint(self.folder.checkpoints / checkpoints.name(step))
            if self.team.leads:
                checkpoints.prune(self.folder.checkpoints)
        self.saved = time.monotonic()
        self.paused += self.saved - start


class Bar(Callback):
    """A progress bar on stderr."""

    def __init__(self, steps: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task("training", total=steps)

    @staticmethod
    def wanted() -> bool:
        """Whether somebody looks at stderr."""
        return sys.stderr.isatty()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self.bar.update(self.task, completed=trainer.global_step)

    def on_exception(self, *_: Any) -> None:
        self.bar.stop()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.bar.stop()
