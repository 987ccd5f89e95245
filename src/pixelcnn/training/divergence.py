"""A training that diverges: what to say of it."""

import math

from pixelcnn.errors import TrainingError
from pixelcnn.text import printable
from pixelcnn.training.batches import Batches
from pixelcnn.training.likelihood import Validation
from pixelcnn.training.progress import ProgressLines

MAX_SKIPPED, MAX_REWOUND = 3, 5
"""Steps that may be left out, and times that a training may go back."""

WORSE = 1.1
"""How many times the first loss a validation is that warns: one batch tells it to a few hundredths."""

NAMED = 16
"""Images of a bad step that are named."""

HINT = (
    "start again with a lower training.learning_rate or training.gradient_clip = 1.0;"
    " what was saved before is untouched"
)


def of_loss(loss: float, step: int, batches: Batches) -> TrainingError:
    """The error of a step whose loss is not finite: names its images, and what held the NaN.

    Args:
        loss: over all processes.
        step: from 0.
        batches: of the training.
    """
    indices, names = batches.indices(step), batches.data.names
    shown = [printable(names[i]) if names else str(i) for i in indices[:NAMED].tolist()]
    more = ", ..." if len(indices) > NAMED else ""
    cause = "the data are finite, so the weights are not or were about to be"
    if batches.condition is not None and not batches.condition[indices].isfinite().all():
        cause = "their condition holds values that are not finite"
    return TrainingError(
        f"the loss of step {step + 1} is {loss}; its images: {', '.join(shown)}{more}; {cause}",
        hint=HINT,
    )


def of_validation(nats: float, step: int) -> TrainingError:
    """The error of a validation that is not finite."""
    return TrainingError(
        f"the validation after step {step} is {nats}: the weights have diverged", hint=HINT
    )


def of_weights(step: int) -> TrainingError:
    """The error of weights that are not finite, found where they were to be kept."""
    return TrainingError(f"the weights after step {step} are not finite", hint=HINT)


def warn(found: Validation, first: float, levels: int, talk: ProgressLines) -> None:
    """Says so if a model knows less than nothing at all, and clearly less than at first.

    A new mixture's guess is worse than a uniform one for its first steps.

    Args:
        found: after the first epoch.
        first: the loss of the first step of this call.
        levels: of the model.
        talk: what says it.
    """
    most = math.log2(levels)
    if found.bits_per_dim > most and found.loss > WORSE * first:
        talk.say(
            f"warning: {found.bits_per_dim:.3f} bits/dim is worse than {most:.3f}, a guess among"
            f" {levels} levels: the training may be diverging; try a lower training.learning_rate"
        )
