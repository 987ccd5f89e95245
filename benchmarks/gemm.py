"""The rate of the best large matrix product: what arithmetic can be had on this machine."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch

from benchmarks.timing import Action, Timing, timed
from pixelcnn.training.likelihood import resolve_precision

SIDES = (1024, 2048)
MARK = "GEMM"


def products() -> dict[str, Action]:
    """Square matrix products in torch and numpy by name, as ``GEMM fp32 torch 2048``."""
    actions: dict[str, Action] = {}
    fast = resolve_precision("auto", "cpu") == "bf16"
    for side in SIDES:
        a, b = torch.randn(side, side), torch.randn(side, side)
        actions[f"{MARK} fp32 torch {side}"] = timed(partial(torch.matmul, a, b))
        actions[f"{MARK} fp32 numpy {side}"] = timed(partial(np.matmul, a.numpy(), b.numpy()))
        if side == SIDES[0] or fast:  # without such instructions a large product takes minutes
            actions[f"{MARK} bf16 torch {side}"] = timed(
                partial(torch.matmul, a.bfloat16(), b.bfloat16())
            )
    return actions


def best_rates(timings: Mapping[str, Timing]) -> dict[str, float]:
    """The best median rate of each precision, in floating-point operations a second.

    Example:
        >>> best_rates({"GEMM fp32 torch 1000": Timing((2.0,)), "GEMM fp32 numpy 1000": Timing((1.0,))})
        {'fp32': 2000000000.0}
    """
    rates: dict[str, float] = {}
    for name, timing in timings.items():
        if name.startswith(MARK):
            _, precision, _, side = name.split()
            rates[precision] = max(rates.get(precision, 0.0), 2 * int(side) ** 3 / timing.median)
    return rates
