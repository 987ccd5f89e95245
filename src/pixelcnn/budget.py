"""How much a piece of code may allocate: more than that is refused before it is allocated."""

import math
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

TENSORS, NUMBERS = 8, 4
"""Allocations for each tensor, and numbers for each of its own, that building a network takes at most.

Beside a weight lie its mask, and numbers that both are made from.
"""
FEW_TENSORS, FEW_NUMBERS = 32, 2**16
"""What is granted in any case: it is built in milliseconds."""

SIZED = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.arange}
)
"""Functions that allocate as much as their arguments say. All else works on what these have given."""


class OverBudget(Exception):
    """Code in a budget asks for more than it is granted."""


class Budget(TorchFunctionMode):
    """Limits how many tensors this thread allocates, and of what size in all, in a ``with`` block.

    For code that builds what a stranger describes. A layer that creates its parameters first and derives all
    else from them costs no more than a small multiple of the budget, whatever its arguments are.

    Args:
        tensors: that are to be built.
        numbers: in all of them.

    Attributes:
        most: numbers that are granted.

    Raises:
        OverBudget: in the block, before the allocation that is too much.

    Example:
        >>> with Budget(tensors=2, numbers=15):
        ...     layer = torch.nn.Linear(2, 5)
        >>> with Budget(tensors=2, numbers=15):
        ...     layer = torch.nn.Linear(2**20, 2**20)
        Traceback (most recent call last):
        pixelcnn.budget.OverBudget: 1,099,511,627,776 numbers more than the 15 of a budget
    """

    def __init__(self, tensors: int, numbers: int) -> None:
        super().__init__()
        self.tensors, self.numbers = tensors, numbers
        self.most = NUMBERS * numbers + FEW_NUMBERS
        self._tensors, self._numbers = TENSORS * tensors + FEW_TENSORS, self.most

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if func in SIZED:
            wanted = asked_for(func, args, named)
            if wanted > self._numbers:
                raise OverBudget(f"{wanted:,} numbers more than the {self.numbers:,} of a budget")
            if not self._tensors:
                raise OverBudget(f"more tensors than the {self.tensors:,} of a budget")
            self._numbers -= wanted
            self._tensors -= 1
        return func(*args, **named)


def asked_for(func: Any, args: tuple, named: dict[str, Any]) -> int:
    """How many numbers a call of one of :data:`SIZED` allocates, at most.

    Example:
        >>> asked_for(torch.zeros, (2, 3), {}), asked_for(torch.full, ((2, 3), 0.5), {})
        (6, 6)
        >>> asked_for(torch.arange, (1, 8), {})
        8
    """
    given = args or (named.get("size", named.get("end", 0)),)
    if isinstance(given[0], tuple | list):
        given = tuple(given[0])
    sizes = [abs(int(each)) for each in given if isinstance(each, int | float)]
    return max(sizes, default=0) if func is torch.arange else math.prod(sizes)
