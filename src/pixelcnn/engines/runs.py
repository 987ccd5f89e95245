"""Features that are read and written together."""

from torch import Tensor


def runs_of(mask: Tensor) -> list[slice]:
    """The features that a mask names, as evenly spaced runs, so that each is a view of a value.

    Example:
        >>> import torch
        >>> runs_of(torch.tensor([True, False, True, False, True, True]))
        [slice(0, 5, 2), slice(5, 6, 1)]
    """
    numbers = mask.nonzero()[:, 0].tolist()
    runs: list[slice] = []
    while numbers:
        step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
        count = 1
        while count < len(numbers) and numbers[count] == numbers[0] + count * step:
            count += 1
        if count == 2 and step > 1:  # two of them are a chance, not a pattern
            count = step = 1
        runs.append(slice(numbers[0], numbers[count - 1] + 1, step))
        numbers = numbers[count:]
    return runs
