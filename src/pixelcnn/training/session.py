"""One training, from its first step to its saved end."""

import copy
import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import torch

from pixelcnn.data import ImageSet
from pixelcnn.model import PixelModel
from pixelcnn.scoring import condition_of
from pixelcnn.training import checkpoints, pictures
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.batches import Batches
from pixelcnn.training.callbacks import Averaging, Bar, Progress
from pixelcnn.training.device import resolve_precision
from pixelcnn.training.journal import Journal, Row
from pixelcnn.training.keeper import Keeper
from pixelcnn.training.lightning import Steps, TrainingModule, make_trainer
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.plan import Plan, timed_steps
from pixelcnn.training.run import RunFolder
from pixelcnn.training.signals import Interrupted, StopFlag
from pixelcnn.training.team import SILENCE, Team
from pixelcnn.training.validation import Stopped, Validation, validate, validation_batch


@dataclasses.dataclass(frozen=True)
class History:
    """What a training did.

    Attributes:
        rows: the rows of ``metrics.csv`` that this call added.
        steps: steps taken in all.
        best: the best validation, in nats per image.
        reason: why it stopped, ``"done"`` or ``"patience"``.
        run: the run folder, if there is one.
    """

    rows: tuple[Row, ...]
    steps: int
    best: float
    reason: str
    run: Path | None


class Session:
    """One training: its parts, wired together.

    Args:
        model: on its device.
        train: training images.
        val: validation images, frozen.
        options: how to train.
        device: where, resolved.
        folder: held run folder, if any.
        stop: set by a signal.
        team: the processes of this training; its leader alone writes and talks.
        verbose: talk on stderr.
    """

    def __init__(
        self,
        model: PixelModel,
        train: ImageSet,
        val: ImageSet,
        options: TrainingOptions,
        device: str,
        folder: RunFolder | None,
        stop: StopFlag,
        team: Team,
        verbose: bool,
    ) -> None:
        self.model, self.val, self.options, self.device = model, val, options, device
        self.folder, self.stop, self.team = folder, stop, team
        self.verbose = verbose and team.leads
        self.precision = team.first(lambda: resolve_precision(options.precision, device))
        self.batches = Batches(
            train,
            options.batch_size,
            options.seed,
            condition=condition_of(model, train),
            rank=team.rank,
            processes=team.size,
        )
        place = folder.path if folder is not None and team.leads else None
        self.journal = Journal(place, verbose=self.verbose)

    def run(self, place: tuple[str, Any], replan: bool) -> History:
        """Trains, and leaves the best weights in the model."""
        self._lay_out()
        path, first, state = self.team.first(self._latest)
        plan = self._plan(state, first, replan)
        average = WeightAverage(self.model, self.options.weight_average)
        keeper = Keeper(
            self.model, average, plan, len(self.batches.data),
            self.precision, self.options.patience, self.folder, self.team,
        )  # fmt: skip
        progress = Progress(
            self.options,
            plan,
            validate=self.validate,
            keeper=keeper,
            journal=self.journal,
            folder=self.folder,
            stop=self.stop,
            team=self.team,
            draw=self.draw,
        )
        try:
            if state is not None and self._is_over(state, first, plan, replan):
                self.journal.say(f"nothing to do: this training is over, at step {first}")
                progress.load_state_dict(state)
                return self._finish(progress, keeper, first)
            self._greet(plan, first)
            module = TrainingModule(
                self.model, self.batches, self.options, plan.steps, self.precision, self.team
            )
            self._train(module, plan, progress, place, path, first)
            return self._finish(progress, keeper, module.taken)
        finally:
            self.journal.close()

    def validate(self, precision: str | None = None) -> Validation:
        """Scores the validation set with the model's present weights; a signal stops it, unless honoured."""
        return validate(
            self.model,
            self.val,
            batch_size=validation_batch(self.options),
            precision=precision or self.precision,
            channels_last=self.options.channels_last,
            team=self.team,
            stop=lambda: self.stop.agree(self.team) and not self.stop.honoured,
        )

    def draw(self, epoch: int, seconds: float) -> None:
        """Draws a sample grid, unless it would take more than a tenth of some seconds of training."""
        if self.folder is None or not self.options.sample_count or not self.team.leads:
            return
        path = self.folder.samples / f"epoch-{epoch:04d}.png"
        count = self.options.sample_count
        budget = max(pictures.LEAST, pictures.SHARE * seconds)
        if self.team.size > 1:
            budget = min(budget, SILENCE.total_seconds() / 2)  # the others wait
        try:
            pictures.draw_grid(
                self.model, path, count, self.options.seed, budget, lambda: bool(self.stop),
                given=condition_of(self.model, self.val),
            )  # fmt: skip
        except pictures.TooSlow as slow:
            self.journal.say_once(
                f"no sample grid: {count} images would take about {slow.seconds:.0f}s, more than a tenth"
                f" of the {seconds:.0f}s of training; draw them afterwards with pixelcnn sample",
                "grid",
            )
        except Stopped:
            return

    def _latest(self) -> tuple[Path | None, int, dict[str, Any] | None]:
        """The checkpoint to go on from, its step, and what :class:`Progress` had stored in it."""
        folder = None if self.folder is None else self.folder.checkpoints
        found = None if folder is None else checkpoints.latest(folder, self.journal.say)
        if found is None:
            return None, 0, None
        path, content = found
        return path, int(content["global_step"]), content["callbacks"][Progress.__qualname__]

    def _lay_out(self) -> None:
        """Puts the weights into the type and order in memory that the training uses."""
        if self.precision == "64":
            self.model.double()
        if self.options.channels_last:
            for parameter in self.model.parameters():
                if parameter.ndim == 4:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def _plan(self, state: dict[str, Any] | None, first: int, replan: bool) -> Plan:
        """The number of steps: as stored, or from the epochs and the time."""
        per_epoch = self.batches.steps_per_epoch
        if state is not None and not replan:
            return Plan(int(state["steps"]), per_epoch)
        steps = self.options.epochs * per_epoch
        if math.isfinite(self.options.seconds) and first < steps:
            steps = min(steps, first + self._steps_in_time())
        return Plan(max(steps, first), per_epoch)

    def _steps_in_time(self) -> int:
        """Steps that fit into ``max_time``."""
        model = copy.deepcopy(self.model)
        trial = TrainingModule(model, self.batches, self.options, 1, self.precision, self.team)
        steps = timed_steps(trial, self.val, self.options, self.precision)
        return self.team.first(lambda: steps)

    def _greet(self, plan: Plan, first: int) -> None:
        kind = "bfloat16" if self.precision == "bf16" else f"float{self.precision}"
        self.journal.say(
            f"{len(self.batches.data)} images of {self.model.shape} with {self.model.levels} levels,"
            f" {len(self.val)} validate; {self.model.parameters_count:,} parameters; {plan.steps} steps"
            f" of {self.batches.batch_size} images on {self.device} in {kind}"
            + (f" by {self.team.size} processes" if self.team.size > 1 else "")
            + (f"; going on after step {first}" if first else "")
        )

    def _train(
        self,
        module: TrainingModule,
        plan: Plan,
        progress: Progress,
        place: tuple[str, Any],
        path: Path | None,
        first: int,
    ) -> None:
        averaging = [Averaging(progress.keeper.average)] if self.options.weight_average else []
        bar = [Bar(plan.steps)] if self.verbose and Bar.wanted() else []
        root = Path() if self.folder is None else self.folder.path
        callbacks = [*averaging, progress, *bar]
        trainer = make_trainer(
            self.options, plan.steps, self.precision, place, root, callbacks, self.team
        )
        try:
            trainer.fit(module, Steps(first), ckpt_path=path, weights_only=True)
        except SystemExit as end:  # how Lightning ends after a second Ctrl-C
            raise self._interrupted("stopped at once; the last checkpoint is whole") from end

    def _finish(self, progress: Progress, keeper: Keeper, taken: int) -> History:
        """Puts the best weights back, scores them in full precision, and draws what they can do."""
        if progress.reason == "signal":
            raise self._interrupted(
                f"stopped after step {taken} of {progress.plan.steps}; all is saved"
            )
        keeper.recall_best()
        self._lay_out()
        best = keeper.best.nats
        if self.model.record["validation"]["precision"] == "bf16":
            try:
                found = self.validate("32")
            except Stopped as stopped:
                raise self._interrupted("stopped after the last step; all is saved") from stopped
            keeper.annotate_best(found, "32")
            best = found.mean
        bits = best / self.model.shape.dimensions / math.log(2)
        self.journal.say(
            f"best at step {keeper.best.step}: {best:.3f} nats an image, {bits:.4f} bits/dim,"
            f" on {len(self.val)} validation images"
        )
        if progress.history:
            self.draw(progress.history[-1].epoch, time.monotonic() - progress.drawn)
        run = None if self.folder is None else self.folder.path
        return History(tuple(progress.history), taken, best, progress.reason or "done", run)

    def _is_over(self, state: dict[str, Any], first: int, plan: Plan, replan: bool) -> bool:
        """Whether a resumed training has taken all its steps, or had stopped for want of progress."""
        patience = 0 < self.options.patience <= state["best"]["worse"]
        return first >= plan.steps or (patience and not replan)

    def _interrupted(self, what: str) -> Interrupted:
        hint = "" if self.folder is None else "continue with --resume"
        return Interrupted(what, signum=self.stop.agreed or self.stop.signum, hint=hint)
