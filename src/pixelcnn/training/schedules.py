"""Optimisers, and the learning rate as a function of the step."""

import math

import torch
from torch import nn

from pixelcnn.training.options import TrainingOptions

START = 1 / 25
"""Where the one-cycle schedule starts, as a fraction of the peak."""

RISE = 0.2
"""Part of a one-cycle run in which the learning rate rises, unless ``warmup_steps`` says otherwise."""


def learning_rate(options: TrainingOptions, step: float, steps: int) -> float:
    """The learning rate of a step: a pure function, so that a resumed run continues the same curve.

    Args:
        options: peak, schedule, warm-up.
        step: the step about to be taken, from 0; between two of them where the number of steps was
            settled anew, see :class:`pixelcnn.training.plan.Plan`.
        steps: steps of the whole run.

    Reference (one-cycle): Smith and Topin, Super-Convergence, 2018; the cosine form, without its cycle
    of the momentum.

    Example:
        >>> options = TrainingOptions(learning_rate=1.0, schedule="exponential", learning_rate_decay=0.5)
        >>> [learning_rate(options, step, 4) for step in range(3)]
        [1.0, 0.5, 0.25]
    """
    peak, warmup = options.learning_rate, options.warmup_steps
    if options.schedule == "one-cycle":
        warmup = warmup or max(1, round(RISE * steps))
        if step < warmup:
            return peak * _cosine(step / warmup, START, 1.0)
    elif step < warmup:
        return peak * (step + 1) / (warmup + 1)
    if options.schedule == "exponential":
        return peak * options.learning_rate_decay**step
    if options.schedule == "constant":
        return peak
    done = (step - warmup) / max(1, steps - warmup)
    return peak * _cosine(min(done, 1.0), 1.0, options.final_learning_rate)


def _cosine(part: float, first: float, last: float) -> float:
    """Half a cosine wave from ``first`` to ``last``."""
    return last + (first - last) * (1 + math.cos(math.pi * part)) / 2


def optimiser(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """The optimiser of a model's parameters; kernels and matrices decay, vectors do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate, eps, betas = options.learning_rate, options.eps, options.betas
    if options.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            groups, rate, alpha=betas[1], eps=eps, momentum=options.momentum, foreach=True
        )
    if options.optimizer == "nadam":
        return torch.optim.NAdam(
            groups, rate, betas, eps, decoupled_weight_decay=True, foreach=True
        )
    fused = parameters[0].device.type in ("cpu", "cuda")
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.optimizer]
    return kind(groups, rate, betas, eps, fused=fused)
