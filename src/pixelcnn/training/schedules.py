"""Optimisers, and their learning rates as a function of the step."""

import math
from typing import Any

import torch
from torch import nn

from pixelcnn.training.muon import Muon, inner_matrices
from pixelcnn.training.options import TrainingOptions

START = 1 / 25
"""Where the one-cycle schedule starts, as a fraction of the peak."""

RISES = {"one-cycle": 0.2, "linear": 0.1}
"""Part of a run in which the learning rate rises, unless ``warmup_steps`` says otherwise."""


def share_of_peak(options: TrainingOptions, step: float, steps: int) -> float:
    """The learning rate of a step as a share of its peak; a resumed run continues the same curve.

    Args:
        options: schedule, warm-up.
        step: the step about to be taken, from 0; between two of them where the number of steps was
            settled anew, see :class:`pixelcnn.training.plan.Plan`.
        steps: steps of the whole run.

    Reference (one-cycle): Smith and Topin, Super-Convergence, 2018; the cosine form, without its cycle
    of the momentum. (linear): Defazio et al., Optimal Linear Decay Learning Rate Schedules and Further
    Refinements, 2023.

    Example:
        >>> options = TrainingOptions(schedule="exponential", learning_rate_decay=0.5)
        >>> [share_of_peak(options, step, 4) for step in range(3)]
        [1.0, 0.5, 0.25]
    """
    schedule, last = options.schedule, options.final_learning_rate
    warmup = options.warmup_steps
    if schedule in RISES and not warmup:
        warmup = max(1, round(RISES[schedule] * steps))
    if step < warmup:
        one_cycle = schedule == "one-cycle"
        return _cosine(step / warmup, START, 1.0) if one_cycle else (step + 1) / (warmup + 1)
    if schedule == "exponential":
        return options.learning_rate_decay**step
    if schedule == "constant":
        return 1.0
    done = min((step - warmup) / max(1, steps - warmup), 1.0)
    return 1 - done * (1 - last) if schedule == "linear" else _cosine(done, 1.0, last)


def _cosine(part: float, first: float, last: float) -> float:
    """Half a cosine wave from ``first`` to ``last``."""
    return last + (first - last) * (1 + math.cos(math.pi * part)) / 2


def optimiser(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """The optimiser of a model's parameters; kernels and matrices decay, vectors do not.

    Every group has its ``peak``, of which a step takes :func:`share_of_peak`.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = inner_matrices(model) if options.optimizer == "muon" else []
    taken = {id(matrix) for matrix in matrices}
    rest = [parameter for parameter in parameters if id(parameter) not in taken]
    rate, eps, betas = options.learning_rate, options.eps, options.betas
    decay, matrix_rate = options.weight_decay, options.matrix_learning_rate
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": decay, "peak": rate},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0, "peak": rate},
        {"params": matrices, "weight_decay": decay, "peak": matrix_rate, "matrices": True},
    ]
    groups = [group | {"lr": group["peak"]} for group in groups if group["params"]]
    if options.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            groups, rate, alpha=betas[1], eps=eps, momentum=options.momentum, foreach=True
        )
    if options.optimizer == "nadam":
        return torch.optim.NAdam(
            groups, rate, betas, eps, decoupled_weight_decay=True, foreach=True
        )
    fused = parameters[0].device.type in ("cpu", "cuda")
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}
    return kinds[options.optimizer](groups, rate, betas, eps, fused=fused)
