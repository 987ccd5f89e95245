"""The parts of a training, and its state: what a checkpoint holds, and what is done when it diverges."""

import copy
import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from pixelcnn.data import ImageSet
from pixelcnn.errors import ModelError, TrainingError
from pixelcnn.model import PixelModel
from pixelcnn.training import checkpoints, divergence
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.batches import Batches
from pixelcnn.training.callbacks import TrainingState, call
from pixelcnn.training.likelihood import Loss
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.plan import Clock, Plan
from pixelcnn.training.processes import Processes
from pixelcnn.training.recorder import Recorder
from pixelcnn.training.run import RunFolder
from pixelcnn.training.saver import Saver
from pixelcnn.training.schedules import optimiser, share_of_peak
from pixelcnn.training.signals import StopFlag


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A training that is ready to begin.

    Attributes:
        model: trained in place.
        train: training images.
        val: validation images, of which those count that the options ask for.
        options: how to train.
        notes: the first part of the training record.
        processes: that train together.
        folder: held and laid out; None writes nothing.
        replan: do not keep the number of steps that a resumed run had settled on.
        remarks: what to say before the start.
        verbose: talk on stderr.
        callbacks: the user's.
        trackers: names or objects.
        since: :func:`time.monotonic` when the training was asked for.
    """

    model: PixelModel
    train: ImageSet
    val: ImageSet
    options: TrainingOptions
    notes: dict[str, Any]
    processes: Processes
    folder: RunFolder | None
    replan: bool
    remarks: Sequence[str] = ()
    verbose: bool
    callbacks: Sequence[Any]
    trackers: Sequence[Any]
    since: float


class Trainer:
    """Everything that a training consists of; :mod:`pixelcnn.training.loop` says in which order it is used.

    Args:
        job: what is trained, on what, and how.
        batches: of every step.
        precision: ``32``, ``bf16`` or ``64``.
        accelerator: spreads the steps over processes.
        stop: set by a signal.
        recorder: of its numbers.

    Attributes:
        state: where the training is.
        plan: how many steps there are.
        val: the validation images in use, whose levels do not change between epochs.
        ended: the last step after which an epoch was ended.
        reason: why training stops early: ``"signal"``, ``"patience"``, a callback's, or nothing.
    """

    def __init__(
        self,
        job: Job,
        batches: Batches,
        precision: str,
        accelerator: Accelerator,
        stop: StopFlag,
        recorder: Recorder,
    ) -> None:
        self.job, self.model, self.options, self.folder = job, job.model, job.options, job.folder
        self.batches, self.precision, self.accelerator = batches, precision, accelerator
        self.processes, self.stop, self.recorder = job.processes, stop, recorder
        options, self.per_epoch = self.options, batches.steps_per_epoch
        loss = Loss(self.model, precision, channels_last=options.channels_last)
        module = torch.compile(loss) if options.compile else loss
        self.loss, self.optimizer = accelerator.prepare(module, optimiser(self.model, options))
        self.average = WeightAverage(self.model, options.weight_average)
        self.saver = Saver(self.model, self.average, job.folder, job.processes)
        self.val = job.val.frozen().limit(options.validation_images or None)
        self.plan = plan = Plan(options.epochs * self.per_epoch, self.per_epoch)
        taken = dataclasses.replace(options, batch_size=batches.batch_size)
        self.clock = Clock(taken, plan.steps, len(self.val), precision, job.since)
        self.state = TrainingState(
            self.model, plan.steps, plan.epochs, batches.batch_size,
            job.folder.path if job.folder else None, job.processes.is_main, math.isfinite(options.seconds),
        )  # fmt: skip
        self.pending: list[Tensor] = []
        self.first = self.ended = self.skipped = self.rewound = self.next_look = 0
        self.validating = 0  # images, once that is settled
        self.began = self.saved = self.drawn = time.monotonic()
        self.idle, self.reason, self.snapshot = 0.0, "", dict[str, Any]()

    def share_of_peak(self, step: int) -> float:
        """The learning rates of a step, as a share of their peaks."""
        share = share_of_peak(self.options, self.plan.position(step), self.plan.steps)
        return share / 2**self.rewound

    def tell(self, event: str) -> None:
        """Tells the callbacks what has happened."""
        call(self.job.callbacks, event, self.state)

    @property
    def where_it_ended(self) -> str:
        """The step in words, and the time limit if that came before the last epoch."""
        step, limit = self.state.step, self.options.max_time
        timed = limit is not None and step < self.options.epochs * self.per_epoch
        return f"at step {step}" + (f", as its time is: {limit}" if timed else "")

    def follow(self, plan: Plan) -> None:
        """Goes by a plan from now on."""
        self.plan, foreseen = plan, self.clock.foreseen(plan, self.state.step)
        self.state.steps, self.state.epochs = foreseen.steps, foreseen.epochs

    def settle_validation(self, images: int) -> None:
        """Validates on no more images than these from now on, always the same ones."""
        if images < len(self.val):
            self.val = self.val.limit(images)
            self.recorder.talk.say(
                f"{images:,} images validate: more would take too much of the time"
            )
        self.validating = self.clock.images = len(self.val)

    # What is not finite.

    def take_in(self) -> None:
        """Reads the losses since the last time; one that is not finite ends or rewinds the training."""
        if not self.pending:
            return
        losses = self.processes.sum(torch.stack(self.pending).cpu().double().numpy())
        first, self.pending = self.state.step - len(self.pending), []
        for step, loss in enumerate((losses / self.processes.size).tolist(), first):
            if not math.isfinite(loss) and self.options.on_nan != "skip":
                self.go_back(divergence.of_loss(loss, step, self.batches))
                return
            self.recorder.add(loss)

    def is_usable(self, loss: Tensor) -> bool:
        """Whether a step's loss is finite, or nobody wants to know yet; a few others are left out."""
        if self.options.on_nan != "skip":
            return True
        found = self.processes.sum(loss.detach().cpu().double().numpy()[None])[0].item()
        if math.isfinite(found):
            return True
        self.skipped += 1
        error = divergence.of_loss(found, self.state.step, self.batches)
        if self.skipped > divergence.MAX_SKIPPED:
            raise error
        self.recorder.talk.say(f"warning: {error}; skipped")
        return False

    @property
    def is_finite(self) -> bool:
        """Whether all weights are finite numbers."""
        return all(bool(weight.isfinite().all()) for weight in self.model.parameters())

    def go_back(self, error: TrainingError) -> None:
        """Goes back to the last checkpoint at half the rate, if that is wanted and still allowed.

        Raises:
            TrainingError: it is not, or a callback ends the training before there is a best model.
        """
        over = self.reason not in ("", "signal") and self.saver.best.step < 0
        if self.options.on_nan != "rewind" or over or self.rewound >= divergence.MAX_REWOUND:
            raise error
        rewound, content, say = self.rewound + 1, self.snapshot, self.recorder.talk.say
        if self.folder is not None:
            folder = self.folder.checkpoints
            found = self.processes.on_main(lambda: checkpoints.latest(folder, say))
            content = content if found is None else found
        self.load_state_dict(copy.deepcopy(content))
        self.rewound, self.pending = rewound, []
        self.recorder.begin()
        say(
            f"warning: {error}; back to step {self.state.step}, at 1/{2**rewound} of the learning rate"
        )
        self.save_checkpoint()

    # Checkpoints.

    def save_checkpoint(self) -> None:
        """Writes the state, after the rows that it counts on."""
        start = time.monotonic()
        if self.folder is None:
            if self.options.on_nan == "rewind":
                self.snapshot = copy.deepcopy(self.state_dict())
        elif self.processes.is_main:
            self.recorder.sync()
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
            "condition": self.model.config().get("condition"),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "best": dataclasses.asdict(self.saver.best),
            "recorder": self.recorder.state_dict(),
            "ended": self.ended,
            "rewound": self.rewound,
            "plan": dataclasses.asdict(self.plan),
            "length": self.options.length,
            "elapsed": self.clock.elapsed,
            "validating": self.validating,
            "parent": self.model.record.get("parent", {}),
        }

    def load_state_dict(self, content: dict[str, Any], *, resumed: bool = False) -> None:
        """Goes on from there.

        Args:
            content: what :meth:`state_dict` gave.
            resumed: the time that it had taken counts as well.

        Raises:
            ModelError: it is not the state of such a training.
        """
        try:
            self._load(content)
            if resumed:
                self.clock.go_on(content["elapsed"])
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise ModelError(
                f"the checkpoint is not of this training: {reason}",
                hint="start anew in another folder with --run",
            ) from error

    def _moments(self, content: dict[str, Any]) -> dict[str, Any]:
        """What the optimiser has gathered; its settings are those of the recipe, whatever a file says."""
        own, moments = self.optimizer.state_dict(), content["state"]
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        for number, moment in moments.items():
            for value in moment.values():
                if value.shape not in (weights[number].shape, torch.Size()):
                    raise ValueError(f"moments of the shape {tuple(value.shape)}")
        return own | {"state": moments}

    def _check_types(self, weights: dict[str, torch.Tensor]) -> None:
        """What was computed in other numbers goes on nowhere near as it would have."""
        for name, own in self.model.state_dict().items():
            if name in weights and weights[name].dtype != own.dtype:
                raise ValueError(f"{name} is {weights[name].dtype} there, {own.dtype} here")

    def _load(self, content: dict[str, Any]) -> None:
        state = self.state
        state.step = content["step"]
        state.epoch = max(1, math.ceil(state.step / self.per_epoch))
        self._check_types(content["model"])
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(self._moments(content["optimizer"]))
        self.average.load_state_dict(content["average"])
        if lost := self.saver.restore(content["best"]):
            self.recorder.talk.say(f"{lost}; the next validation makes a new one")
        state.best = self.saver.best.nats if self.saver.best.step >= 0 else None
        self.recorder.load_state_dict(content["recorder"], state.step)
        self.ended, self.rewound = content["ended"], content["rewound"]
        self.follow(Plan(**content["plan"]))
        if content.get("validating"):
            self.settle_validation(content["validating"])
        if "parent" in content:  # of the start: a model in memory may come from this training
            own = {key: value for key, value in self.model.record.items() if key != "parent"}
            parent = {"parent": dict(content["parent"])} if content["parent"] else {}
            self.model.record = own | parent
        state.learning_rate = self.options.learning_rate * self.share_of_peak(state.step - 1)
