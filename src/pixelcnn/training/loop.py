"""The loop of a training: from a batch to a saved model.

A step takes a batch, which is a function of its number, and moves the weights and their average. What is
due after it follows in an order that a crash cannot spoil: rows and model files come before the checkpoint
that counts on them. After a stop signal the checkpoint comes first; what is written after it, the resumed
run takes back and does itself.

The device is asked for its losses once a second or so, never in a step, unless ``on_nan = "skip"`` needs
to know. Several processes go through all of it together: what depends on the clock or on a signal, they
agree on in the same moment.
"""

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from pixelcnn.errors import TrainingError
from pixelcnn.training import checkpoints, divergence
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.batches import Batches, seed_dropout
from pixelcnn.training.callbacks import TrainingState, call
from pixelcnn.training.likelihood import Loss, Stopped, Validation
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.plan import Clock, Plan
from pixelcnn.training.processes import Processes
from pixelcnn.training.record import progress_record, validation_record
from pixelcnn.training.recorder import Recorder
from pixelcnn.training.run import RunFolder
from pixelcnn.training.saver import Saver
from pixelcnn.training.schedules import learning_rate, optimiser
from pixelcnn.training.signals import StopFlag

LOOK = 1.0
"""Seconds between two looks at the losses, the signals and the clock."""


class Loop:
    """One training: its parts, and the order of everything that happens in it.

    Args:
        loss: the model with its loss, on its device and in training mode.
        batches: of every step.
        options: how to train.
        clock: of the whole training.
        accelerator: spreads the steps over processes.
        processes: of this training.
        folder: held run folder, if any.
        stop: set by a signal.
        recorder: of its numbers.
        callbacks: the user's.
        validate: scores the validation set with the model's present weights; may raise :class:`Stopped`.
        draw: draws a sample grid with the weights of the state's model, given the seconds since the last.

    Attributes:
        reason: why training stops early: ``"signal"``, ``"patience"``, a callback's, or nothing.
    """

    def __init__(
        self,
        loss: Loss,
        batches: Batches,
        options: TrainingOptions,
        clock: Clock,
        accelerator: Accelerator,
        processes: Processes,
        folder: RunFolder | None,
        stop: StopFlag,
        recorder: Recorder,
        callbacks: Sequence[Any],
        validate: Callable[[], Validation],
        draw: Callable[[TrainingState, float], None],
    ) -> None:
        self.model, self.batches, self.options, self.clock = loss.model, batches, options, clock
        self.accelerator, self.processes, self.folder = accelerator, processes, folder
        self.stop, self.recorder, self.callbacks = stop, recorder, callbacks
        self.validate, self.draw, self.precision = validate, draw, loss.precision
        module = torch.compile(loss) if options.compile else loss
        self.loss, self.optimizer = accelerator.prepare(module, optimiser(self.model, options))
        self.average = WeightAverage(self.model, options.weight_average)
        self.saver = Saver(self.model, self.average, folder, processes)
        self.per_epoch = batches.steps_per_epoch
        self.plan = Plan(options.epochs * self.per_epoch, self.per_epoch)
        self.state = TrainingState(
            self.model, self.plan.steps, self.plan.epochs, batches.batch_size,
            folder.path if folder else None, processes.is_main,
        )  # fmt: skip
        self.pending: list[Tensor] = []
        self.ended = self.skipped = self.rewound = self.next_look = self.first = 0
        self.began = self.saved = self.drawn = self.idle = 0.0
        self.reason, self.snapshot = "", dict[str, Any]()

    # The way of a batch.

    def run(self) -> None:
        """Takes the steps that are left, and does what is due after each."""
        state, self.first = self.state, self.state.step
        self.recorder.begin()
        self.began = self.saved = self.drawn = time.monotonic()
        if self.options.on_nan == "rewind" and not state.step:
            self._save_checkpoint()
        self._look()
        if state.step % self.per_epoch == 0:
            self._end_epoch()  # if a signal came before its validation was over
        while state.step < self.plan.steps and not self.reason:
            self._take_step()
            call(self.callbacks, "on_step", state)
            self._do_what_is_due()
            self.recorder.talk.progress(state)
        if self.reason == "signal":
            self._stop_early()

    def _take_step(self) -> None:
        """One batch, forward and backward, and the weights moved by it."""
        state, options = self.state, self.options
        seed_dropout(self.model, options.seed, state.step, self.processes.rank)
        batch = self.batches[state.step]
        loss = self.loss(batch.levels, batch.condition, batch.weight)
        self.accelerator.backward(loss)
        if options.gradient_clip:
            self.accelerator.clip_grad_norm_(self.model.parameters(), options.gradient_clip)
        state.learning_rate = self._rate(state.step)
        for group in self.optimizer.param_groups:
            group["lr"] = state.learning_rate
        if options.on_nan != "skip" or self._is_usable(loss):
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update()
        state.last_loss = loss.detach()
        self.pending.append(state.last_loss)
        state.step += 1
        state.epoch = math.ceil(state.step / self.per_epoch)

    def _rate(self, step: int) -> float:
        """The learning rate of a step."""
        rate = learning_rate(self.options, self.plan.position(step), self.plan.steps)
        return rate / 2**self.rewound

    def _do_what_is_due(self) -> None:
        """After a step: look up, write, validate, save."""
        state, options = self.state, self.options
        rows = state.step % options.log_every == 0 or state.step % self.per_epoch == 0
        urgent = self.processes.size == 1 and (self.stop or state.reason)
        if not (rows or urgent or state.step >= min(self.next_look, self.plan.steps)):
            return
        late = self._look()
        at_end = state.step >= self.plan.steps or self.reason not in ("", "signal")
        if at_end or state.step % self.per_epoch == 0:
            self._end_epoch()
        else:
            if state.step % options.log_every == 0:
                self.recorder.write(state)
            if late and not self.reason:
                self._save_checkpoint()

    def _look(self) -> bool:
        """Reads the losses since the last look, agrees on what to do; returns if a checkpoint is due."""
        state, pace = self.state, self.clock.measure(self.state.step)
        if self.pending:
            losses = self.processes.sum(torch.stack(self.pending).double().cpu().numpy())
            self._take_in((losses / self.processes.size).tolist())
        waited = time.monotonic() - self.saved > self.options.checkpoint_seconds
        self.stop.agreed, late, wish, microseconds = self.processes.maximum(
            self.stop.signal(self.processes), waited, bool(state.reason), round(pace * 1e6)
        )
        self.reason = self.reason or (wish and state.reason) or ("callback" if wish else "")
        self.reason = "signal" if self.stop.agreed else self.reason
        state.seconds_per_step, state.mean_loss = microseconds / 1e6, self.recorder.window.value
        often, pace = min(LOOK, self.options.checkpoint_seconds), state.seconds_per_step
        self.next_look = state.step + (max(1, int(often / pace)) if pace else 1)
        if self.options.max_time is not None:
            self.plan = self.processes.on_main(lambda: self.clock.settle(self.plan, state.step))
            state.steps, state.epochs = self.plan.steps, self.plan.epochs
        return bool(late)

    def _take_in(self, losses: list[float]) -> None:
        """Adds losses to the means; one that is not finite ends or rewinds the training."""
        first, self.pending = self.state.step - len(self.pending), []
        for step, loss in enumerate(losses, first):
            if not math.isfinite(loss) and self.options.on_nan != "skip":
                self._diverged(divergence.of_loss(loss, step, self.batches))
                return
            self.recorder.add(loss)

    # The end of an epoch, and of the training.

    def _end_epoch(self) -> None:
        """Validates if it is time to, writes the epoch down, keeps the best, saves, draws."""
        state, pause = self.state, time.monotonic()
        over = state.step >= self.plan.steps
        final = over or bool(self.reason)
        if state.step == self.ended:
            return
        found = None
        if final or state.epoch % self.options.validate_every == 0:
            try:
                with self.average.applied():
                    found = self.validate()
            except Stopped:
                self.reason = "signal"
                return  # nothing has been counted yet: a resumed run comes here again
            self.clock.pause(time.monotonic() - pause, validation=True)
            if not math.isfinite(found.mean):
                self._diverged(divergence.of_validation(found.mean, state.step))
                return
        self.ended = state.step
        steps = state.step - max(self.first, (state.epoch - 1) * self.per_epoch)
        self.recorder.write_epoch(state, pause - self.began - self.idle, steps, found)
        if found is not None:
            self._judge(found)
        if over or self.reason not in ("", "signal"):
            self.saver.keep_last()  # a training with this checkpoint is over
        if over or self.reason != "signal":
            self._save_checkpoint()
        call(self.callbacks, "on_epoch", state)
        every = self.options.sample_every
        if every and state.epoch % every == 0 and not final:
            start = time.monotonic()
            self._draw()
            self.clock.pause(time.monotonic() - start)
        self.began, self.idle = time.monotonic(), 0.0

    def _judge(self, found: Validation) -> None:
        """Keeps the model if it is the best, and stops for want of progress."""
        state, best = self.state, self.saver
        progress = progress_record(state.step, self.per_epoch, len(self.batches.data))
        self.model.record |= progress | validation_record(found, self.precision)
        best.judge(state.step, found)
        state.validation, state.best = found, best.best.nats
        if self.ended <= self.per_epoch:
            divergence.warn(found, self.model.levels, self.recorder.talk)
        with self.average.applied():
            call(self.callbacks, "on_validation", state)
        if self.options.patience and best.best.worse >= self.options.patience:
            state.stop("patience")
            self.recorder.talk.say(f"stopping: nothing better since step {best.best.step}")
        (wish,) = self.processes.maximum(bool(state.reason))
        self.reason = self.reason or (state.reason or "callback" if wish else "")

    def _stop_early(self) -> None:
        """After a signal: the checkpoint first, whatever the validation takes; then the rest."""
        step = self.state.step
        if step < self.plan.steps:
            self._save_checkpoint()
            self.saver.set_aside()
            self.saver.keep_last()
        self.stop.honoured = True
        if self.ended != step:
            self.recorder.talk.say(
                f"stopping at step {step} of {self.plan.steps}: saved, validating once"
            )
            self._end_epoch()
        self.saver.keep_last()

    def _draw(self) -> None:
        """A sample grid of a copy of the model, so that no engine remembers other weights."""
        with self.average.applied():
            model = copy.deepcopy(self.model)
        self.draw(dataclasses.replace(self.state, model=model), time.monotonic() - self.drawn)
        self.drawn = time.monotonic()

    # What is not finite.

    def _is_usable(self, loss: Tensor) -> bool:
        """Whether a step's loss is finite; one that is not is left out, up to a few."""
        found = self.processes.sum(loss.detach().double().cpu().numpy()[None])[0].item()
        if math.isfinite(found):
            return True
        self.skipped += 1
        error = divergence.of_loss(found, self.state.step, self.batches)
        if self.skipped > divergence.MAX_SKIPPED:
            raise error
        self.recorder.talk.say(f"warning: {error}; skipped")
        return False

    def _diverged(self, error: TrainingError) -> None:
        """Ends the training, or goes back to the last checkpoint at half the rate."""
        if self.options.on_nan != "rewind" or self.rewound >= divergence.MAX_REWOUND:
            raise error
        rewound, content = self.rewound + 1, self.snapshot
        if self.folder is not None:
            folder = self.folder.checkpoints
            found = self.processes.on_main(
                lambda: checkpoints.latest(folder, self.recorder.talk.say)
            )
            content = content if found is None else found[1]
        self.load_state_dict(copy.deepcopy(content))
        self.rewound, self.pending = rewound, []
        self.recorder.begin()
        self.recorder.talk.say(
            f"warning: {error}; back to step {self.state.step}, at 1/{2**rewound} of the learning rate"
        )
        self._save_checkpoint()

    # Checkpoints.

    def _save_checkpoint(self) -> None:
        start = time.monotonic()
        if self.folder is None:
            if self.options.on_nan == "rewind":
                self.snapshot = copy.deepcopy(self.state_dict())
        elif self.processes.is_main:
            self.recorder.metrics.sync()
            folder = self.folder.checkpoints
            checkpoints.write(folder / checkpoints.name(self.state.step), self.state_dict())
            checkpoints.prune(folder)
        self.saved = time.monotonic()
        self.idle += self.saved - start
        self.clock.pause(self.saved - start)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how the training goes on."""
        return {
            "step": self.state.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "best": dataclasses.asdict(self.saver.best),
            "recorder": self.recorder.state_dict(),
            "ended": self.ended,
            "rewound": self.rewound,
            "plan": dataclasses.asdict(self.plan),
            "elapsed": self.clock.elapsed,
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Goes on from there."""
        state = self.state
        state.step = content["step"]
        state.epoch = max(1, math.ceil(state.step / self.per_epoch))
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.average.load_state_dict(content["average"])
        self.saver.restore(content["best"])
        state.best = self.saver.best.nats if self.saver.best.step >= 0 else None
        self.recorder.load_state_dict(content["recorder"], state.step)
        self.ended, self.rewound = content["ended"], content["rewound"]
        self.plan = Plan(**content["plan"])
        state.steps, state.epochs = self.plan.steps, self.plan.epochs
        state.learning_rate = self._rate(state.step - 1)
