"""How many steps a training takes, and where in its schedule each of them lies."""

import dataclasses
import math
import time

from pixelcnn.data.sets import FACTS
from pixelcnn.text import counted
from pixelcnn.training import recipe as recipes
from pixelcnn.training.options import MAX_COUNT, TrainingOptions
from pixelcnn.training.recipe import Recipe

LITTLE = 0.1
"""Of a recipe's own data set, share of the images up to which its epochs are said to be few steps."""

TOLERANCE = 0.01
"""Part of the time by which the expected end may be off before the number of steps is settled anew."""

RESERVE = 0.02
"""Part of the time that is kept for saving and for pictures at the end."""

WARM = 3
"""Steps that are not measured: the first ones allocate and choose kernels."""

TRIAL, MOST = 0.02, 0.2
"""Parts of the time that are measured before the number of steps is settled: normally, and at most."""

VALIDATING, FEWEST = 0.1, 64
"""Part of the time that a validation takes at most, and images that it has all the same."""

FORWARD = 1 / 3
"""Cost of scoring an image beside that of training on it, until a validation has been measured."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Steps of a run, and its schedule: a line from a step to its position, which ends at ``steps``.

    A plan that is settled anew goes on from the share of the schedule that is over, so the learning rate
    makes no jump.

    Attributes:
        steps: in all.
        steps_per_epoch: the last one may have fewer images.
        anchor: the step at which the plan was settled.
        start: the position of that step.

    Example:
        >>> plan = Plan(steps=100, steps_per_epoch=10)
        >>> plan.position(30), plan.epochs
        (30.0, 10)
        >>> shorter = plan.again(step=30, steps=60)
        >>> shorter.position(30) / shorter.steps, shorter.position(60)
        (0.3, 60.0)
    """

    steps: int
    steps_per_epoch: int
    anchor: int = 0
    start: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs, counting an unfinished last one."""
        return math.ceil(self.steps / self.steps_per_epoch)

    def position(self, step: int) -> float:
        """Where in the schedule a step lies, from 0 to ``steps``."""
        if max(step, self.anchor) >= self.steps:
            return float(self.steps)
        slope = (self.steps - self.start) / (self.steps - self.anchor)
        return self.start + (step - self.anchor) * slope

    def again(self, step: int, steps: int, share: float | None = None) -> "Plan":
        """The plan for another number of steps.

        Args:
            step: steps taken.
            steps: in all, no fewer than are taken.
            share: of the schedule that is over; as in this plan if None.
        """
        share = self.position(step) / self.steps if share is None else share
        return Plan(steps, self.steps_per_epoch, step, share * steps)


class Clock:
    """The time that a training has used, and how many steps fit into what is left.

    Args:
        options: ``max_time``, and whether the schedule follows the time itself.
        most: steps that the epochs allow.
        validation_images: scored in a validation.
        precision: of the training; bfloat16 validates its best weights once more in 32 bits, or in 32 bits
            alone where it validates once.
        since: :func:`time.monotonic` when the training was asked for.
    """

    def __init__(
        self,
        options: TrainingOptions,
        most: int,
        validation_images: int,
        precision: str,
        since: float,
    ) -> None:
        self.options, self.most, self.images = options, most, validation_images
        self.full, self.validated = 3.0 if precision == "bf16" else 0.0, False
        self.begun, self.seen, self.step = since, 0.0, 0
        self.first, self.started, self.steps, self.spent = -1, 0.0, 0, 0.0
        self.pace, self.validation, self.paused = 0.0, 0.0, 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of training in all, those of earlier runs included."""
        return time.monotonic() - self.begun

    @property
    def left(self) -> float:
        """Seconds until ``max_time``."""
        return self.options.seconds - self.elapsed

    def go_on(self, elapsed: float) -> None:
        """Counts the seconds of an earlier run, too."""
        self.begun -= elapsed
        self.validated = True

    def pause(self, seconds: float, *, validation: bool = False) -> None:
        """Leaves out seconds that went into other things than steps."""
        self.paused += seconds
        if validation:
            self.validation, self.validated = seconds, True

    def measure(self, step: int) -> float:
        """Seconds a step lately; 0 before there was one."""
        now = self.elapsed
        taken, spent = step - self.step, max(now - self.seen - self.paused, 1e-9)
        if self.first < 0:
            self.first, self.started = step, now
        if taken > 0 and step > self.first:
            self.pace = (self.pace + spent / taken) / 2 if self.pace else spent / taken
            if self.step - self.first < WARM:
                self.pace = spent / taken
            else:
                self.steps, self.spent = self.steps + taken, self.spent + spent
        self.seen, self.step, self.paused = now, step, 0.0
        return self.pace

    @property
    def affordable(self) -> int:
        """Validation images: all that there are, or as many as leave the time to the training."""
        if math.isinf(self.options.seconds):
            return self.images
        pace = self.pace or max(self.elapsed, 1e-9) / max(self.step, 1)
        most = VALIDATING * self.options.seconds * self.options.batch_size / (FORWARD * pace)
        return min(self.images, max(FEWEST, int(most)))

    @property
    def knows(self) -> bool:
        """Whether enough has been measured to settle the number of steps."""
        trial, whole = TRIAL * self.options.seconds, MOST * self.options.seconds
        return (self.steps >= WARM and self.spent >= trial) or (
            self.pace > 0 and self.seen - self.started >= whole
        )

    def foreseen(self, plan: Plan, step: int) -> Plan:
        """The plan, as far as one can tell before the number of steps is settled."""
        if math.isinf(self.options.seconds) or self.knows or not self.pace:
            return plan
        steps = step + max(1, int(self.left / self.pace))
        return dataclasses.replace(plan, steps=min(plan.steps, steps))

    def replan(self, plan: Plan, step: int) -> Plan:
        """The plan of a run that goes on for another length: as much of the schedule is over as of that."""
        most = max(self.most, step)
        share = max(step / most, min(1.0, self.elapsed / self.options.seconds))
        return plan.again(step, min(most, round(step / share)) if step else most, share)

    def settle(self, plan: Plan, step: int) -> Plan:
        """The plan that ends in time: the same one, as long as it does."""
        by_time = self.options.schedule_by == "time"
        known = self.knows or (by_time and self.pace > 0)
        if math.isinf(self.options.seconds) or not known or step >= plan.steps:
            return plan
        check = self.validation or FORWARD * self.pace * self.affordable / self.options.batch_size
        pace = self.pace + check / (plan.steps_per_epoch * self.options.validate_every)
        last = self.full + 1 if self.validated else max(self.full, 1.0)
        left = self.left - RESERVE * self.options.seconds - last * check
        off = abs(left - (plan.steps - step) * pace)
        if not by_time and off <= TOLERANCE * self.options.seconds:
            return plan
        steps = min(self.most, step + max(1, int(left / pace)))
        share = min(1.0, self.elapsed / self.options.seconds) if by_time else None
        return plan if steps == plan.steps and not by_time else plan.again(step, steps, share)


def few_steps(recipe: Recipe, images: int) -> list[str]:
    """A note where a recipe's own epochs, over so few images, are far fewer steps than over its data set.

    Example:
        >>> print(*few_steps(recipes.get("compact-cifar10"), 450))
        20 epochs are 580 steps here and 56,260 on cifar-10: --epochs 2000 sees as many images
        >>> few_steps(recipes.get("compact-cifar10").with_overrides(["training.epochs=3"]), 450)
        []
    """
    if recipe.name not in recipes.names():
        return []
    plain, options = recipes.get(recipe.name), recipe.options
    facts = FACTS.get(plain.data.get("name", ""))
    meant = 0 if facts is None else facts.images[0]
    if images > LITTLE * meant or options.epochs != plain.options.epochs:
        return []
    here, there = (options.epochs * math.ceil(n / options.batch_size) for n in (images, meant))
    enough = math.ceil(options.epochs * meant / images)
    remedy = f": --epochs {enough} sees as many images" if enough <= MAX_COUNT else ""
    return [
        f"{counted(options.epochs, 'epoch')} are {counted(here, 'step')} here and {there:,} on"
        f" {plain.data['name']}{remedy}"
    ]
