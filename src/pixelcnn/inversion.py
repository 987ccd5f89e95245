"""Levels from probabilities and uniform numbers."""

import torch
from torch import Tensor
from torch.nn import functional


def temper(pmf: Tensor, temperature: float) -> Tensor:
    """Probabilities proportional to ``p ** (1 / temperature)``; temperature 0 leaves the likeliest level.

    Example:
        >>> temper(torch.tensor([0.2, 0.8]), 0.5)
        tensor([0.0588, 0.9412])
    """
    if temperature == 1:
        return pmf
    if temperature == 0:
        return torch.zeros_like(pmf).scatter(-1, pmf.argmax(-1, keepdim=True), 1.0)
    logs = pmf.log()  # of which the largest becomes 0, so that no temperature is too low
    return torch.softmax((logs - logs.amax(-1, keepdim=True)) / temperature, -1)


def invert(pmf: Tensor, u: Tensor) -> Tensor:
    """The level that a uniform number selects: how many k have ``cdf_k <= u``, the last cdf counting as 1.

    Args:
        pmf: float64 ``(..., levels)``.
        u: float64 ``(...)``.

    Returns:
        int64 ``(...)``.

    Example:
        >>> invert(torch.tensor([[0.25, 0.5, 0.25]] * 3), torch.tensor([0.2, 0.25, 0.9]))
        tensor([0, 1, 2])
    """
    if pmf.shape[-1] == 2:  # with a single boundary there is nothing to add up
        return (pmf[..., 0] <= u).long()
    # PyTorch refuses its own sums on a GPU where all is to be deterministic.
    refused = pmf.is_cuda and torch.are_deterministic_algorithms_enabled()
    cdf = (sums(pmf) if refused else pmf.cumsum(-1))[..., :-1]
    return (cdf <= u[..., None]).sum(-1)


def sums(values: Tensor) -> Tensor:
    """Of all values up to each, along the last axis, by additions of whole tensors.

    Example:
        >>> sums(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
        tensor([ 1.,  3.,  6., 10., 15.])
    """
    for power in range((values.shape[-1] - 1).bit_length()):
        values = values + functional.pad(values[..., : -(2**power)], (2**power, 0))
    return values
