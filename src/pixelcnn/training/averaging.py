"""A moving average of the weights: what is evaluated and exported."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a model's parameters.

    The decay warms up as ``min(decay, (1 + t) / (10 + t))``: early on the average forgets its random
    start, so a run of a hundred steps is not spoilt by a decay meant for a hundred thousand.

    Args:
        model: whose parameters are averaged; the average starts as a copy.
        decay: of the average, a step; with 0 there is none, and nothing is held.

    Example:
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> average = WeightAverage(layer, 0.5)
        >>> _ = nn.init.constant_(layer.weight, 7.0)
        >>> average.update()
        >>> average.updates
        1
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay, self.updates = model, decay, 0
        averaged = list(model.parameters()) if decay else []
        self.values = [parameter.detach().clone() for parameter in averaged]

    def update(self) -> None:
        """Moves the average towards the model's present weights."""
        if not self.decay:
            return
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            torch._foreach_lerp_(self.values, self._parameters(), weight)
        self.updates += 1

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the average into the model for a while; the raw weights come back on leaving."""
        if not self.decay:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, object]:
        """For a checkpoint."""
        return {"updates": self.updates, "values": self.values}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """From a checkpoint.

        Raises:
            TypeError, ValueError, RuntimeError: it is that of no such average.
        """
        updates, values = state["updates"], state["values"]
        if not isinstance(updates, int) or not isinstance(values, list):
            raise TypeError("it holds no average of weights")
        self.updates = updates
        held = values if self.decay else []  # older checkpoints hold one all the same
        for own, stored in zip(self.values, held, strict=True):
            own.copy_(stored)

    def _parameters(self) -> list[Tensor]:
        return [parameter.detach() for parameter in self.model.parameters()]

    def _swap(self) -> None:
        for parameter, value in zip(self._parameters(), self.values, strict=True):
            kept = parameter.clone()
            parameter.copy_(value)
            value.copy_(kept)
