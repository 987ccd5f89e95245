"""The order of features in memory."""

import torch
from torch import Tensor


def features_last(x: Tensor) -> Tensor:
    """The same values with the features of a position side by side in memory, as convolutions like them.

    ``x.contiguous(memory_format=torch.channels_last)`` leaves images of one channel as they are, since
    their values lie in the same order either way; but layers go by the strides, take them for the other
    layout, and so do all layers after them.

    Shapes: ``(n, c, h, w)`` to the same.

    Example:
        >>> x = torch.zeros(2, 1, 5, 7)
        >>> x.contiguous(memory_format=torch.channels_last).stride()
        (35, 35, 7, 1)
        >>> features_last(x).stride()
        (35, 1, 7, 1)
    """
    # A copy in this order, and not by its name, is one that torch.func.vmap can take.
    return x.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)
