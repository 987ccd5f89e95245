"""Shifted convolution: a dense kernel that lies wholly in the past."""

from pixelcnn.layers.causal import CausalConv2d


class ShiftedConv2d(CausalConv2d):
    """Convolution with a kernel of any size that hangs above, or to the left of, its position.

    ``origin`` says which kernel element lies on the position itself; ``(kh, kw // 2)`` puts the kernel on
    the rows above, ``(kh - 1, kw // 2)`` adds the position's own row, ``(0, kw)`` of a one-row kernel is
    the strict left. This is the "shift" of Gated PixelCNN and PixelCNN++ without a shifting operation.

    Args:
        inputs: colours of the input features.
        outputs: colours of the output features.
        kernel: height and width; every element is live, but for the colours at the origin.
        origin: row and column of the element on the position itself.
        sees_itself: whether a colour sees its own colour at its own position.
        bias: add a bias to each output.

    Example:
        >>> import torch
        >>> above = ShiftedConv2d((0,), (-1, -1), (2, 3), (2, 1))
        >>> sorted(above.offsets)
        [(-2, -1), (-2, 0), (-2, 1), (-1, -1), (-1, 0), (-1, 1)]
        >>> above(torch.zeros(1, 1, 5, 7)).shape
        torch.Size([1, 2, 5, 7])
    """
