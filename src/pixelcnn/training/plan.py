"""How many steps a training takes.

That is settled before the first one, so that the learning rate is a function of the step.
"""

import dataclasses
import math
import time

from pixelcnn.data import ImageSet
from pixelcnn.model import PixelModel
from pixelcnn.training.lightning import TrainingModule
from pixelcnn.training.options import TrainingOptions
from pixelcnn.training.validation import validate, validation_batch

WARM = 3
"""Steps that are not timed: the first ones allocate and choose kernels."""

TRIAL, MOST = 0.02, 0.2
"""Parts of the time that trial steps take, normally and at most."""

SAFETY = 0.97
"""Part of the time that is planned for."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Steps of a run.

    Attributes:
        steps: in all.
        steps_per_epoch: the last one may have fewer images.
    """

    steps: int
    steps_per_epoch: int

    @property
    def epochs(self) -> int:
        """Epochs, counting an unfinished last one.

        Example:
            >>> Plan(steps=25, steps_per_epoch=10).epochs
            3
        """
        return math.ceil(self.steps / self.steps_per_epoch)


def timed_steps(
    trial: TrainingModule, val: ImageSet, options: TrainingOptions, precision: str
) -> int:
    """Steps that fit into ``max_time``, judged by trial steps.

    A machine that slows down later takes longer: the number of steps stands, since the learning rate
    depends on it.

    Args:
        trial: with a copy of the model, which is spoilt.
        val: validation images.
        options: how to train.
        precision: of the training.

    Returns:
        At least 1.
    """
    trial.model.train()
    optimizer, start = trial.configure_optimizers(), time.monotonic()

    def step(number: int) -> float:
        optimizer.zero_grad()
        trial.batch_loss(number % trial.batches.steps_per_epoch).backward()
        optimizer.step()
        return time.monotonic()

    warm = [step(number) for number in range(WARM)][-1]
    now, taken = warm, 0
    while taken < WARM or now - warm < TRIAL * options.seconds:
        now, taken = step(WARM + taken), taken + 1
        if now - start > MOST * options.seconds:
            break
    pace = (now - warm) / taken + _meeting_seconds(trial)
    check = validation_seconds(trial.model, val, options, precision) / trial.team.size
    last = 0.0
    if precision == "bf16":
        last = validation_seconds(trial.model, val, options, "32") / trial.team.size
    between = trial.batches.steps_per_epoch * options.validate_every
    left = SAFETY * options.seconds - (time.monotonic() - start) - check - last
    return max(1, int(left / (pace + check / between)))


def _meeting_seconds(trial: TrainingModule) -> float:
    """How long several processes take to sum their gradients after a step, if nothing overlaps."""
    device = next(trial.model.parameters()).device
    return trial.team.summing_seconds(trial.model.parameters_count, device)


def validation_seconds(
    model: PixelModel, val: ImageSet, options: TrainingOptions, precision: str
) -> float:
    """How long a validation is going to take, judged by a part of it."""
    size, start = validation_batch(options), time.monotonic()
    few = val.limit(2 * size)
    validate(model, few, batch_size=size, precision=precision)
    return (time.monotonic() - start) * len(val) / len(few)
