"""How many steps a training takes: settled before the first one, so the learning rate is a function of the
step."""

import dataclasses
import math
import time
from collections.abc import Callable

WARM = 2
"""Steps that are not timed: the first ones allocate and choose kernels."""

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


def timed(
    seconds: float, step: Callable[[int], None], validate: Callable[[], float], per_epoch: int, every: int
) -> int:
    """Steps that fit into some time, judged by trial steps; a machine that slows down later takes longer.

    Args:
        seconds: for the training, its validations and these trials.
        step: takes a trial step, given its number.
        validate: seconds that a validation is expected to take.
        per_epoch: steps an epoch.
        every: epochs between validations.

    Returns:
        At least 1.
    """
    start = time.monotonic()
    for number in range(WARM):
        step(number)
    warm, taken = time.monotonic(), 0
    while taken < 3 or time.monotonic() - warm < 0.02 * seconds:
        step(WARM + taken)
        taken += 1
        if time.monotonic() - start > 0.2 * seconds:
            break
    pace = (time.monotonic() - warm) / max(1, taken)
    check = validate()
    left = SAFETY * seconds - (time.monotonic() - start) - check
    return max(1, int(left / (pace + check / (per_epoch * every))))
