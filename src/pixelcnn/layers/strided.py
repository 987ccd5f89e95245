"""Causal convolutions between an image and one of half its size.

Position ``(y, x)`` of the small image stands for ``(2 y, 2 x)`` of the large one: it may see what that
position may see. An odd side counts as one longer, so ``h`` rows become ``ceil(h / 2)``.
"""

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.errors import ConfigError
from pixelcnn.layers.causal import CausalConv2d
from pixelcnn.masks import Features
from pixelcnn.program import Program, Tap


class DownConv2d(CausalConv2d):
    """Shifted convolution at every second row and column.

    ``out[y, x] = bias + sum over (dy, dx) of weight[dy, dx] · in[2 y + dy, 2 x + dx]``, where ``(dy, dx)``
    runs over the kernel relative to its origin, and what lies outside the image counts as zero.

    Reference: Salimans et al., PixelCNN++, 2017, section 2.3; its shift is the origin here.

    Args:
        inputs: colours of the input features.
        outputs: colours of the output features.
        kernel: height and width.
        origin: row and column of the element on the position ``(2 y, 2 x)`` itself, as
            :class:`ShiftedConv2d`; ``(kh - 1, kw - 1)`` is the last one.
        sees_itself: whether a colour sees its own colour at the origin.
        bias: add a bias to each output.

    Shapes: ``(n, inputs, h, w)`` to ``(n, outputs, ceil(h / 2), ceil(w / 2))``.

    Example:
        >>> DownConv2d((0,), (0, 0), (2, 2), (1, 1))(torch.zeros(1, 1, 5, 8)).shape
        torch.Size([1, 2, 3, 4])
    """

    stride = 2


class UpConv2d(CausalConv2d):
    """Transposed convolution to twice the rows and columns.

    ``out[y, x] = bias + sum over (dy, dx) of weight[y % 2, x % 2, dy, dx] · in[y // 2 + dy, x // 2 + dx]``.
    The kernel is stored as the paper has it, by where it writes: the element at row ``r`` and column ``c``
    carries ``in[i, j]`` to ``out[2 i + r - origin row, 2 j + c - origin column]``. So the kernel 2x2 with
    origin (0, 0) has ``dy = dx = 0`` throughout, and 2x3 with origin (0, 1) reads ``dx = 0`` at even
    columns (element ``c = 1``) and ``dx = 0`` (``c = 2``) and ``dx = 1`` (``c = 0``) at odd ones.

    Reference: Salimans et al., PixelCNN++, 2017, section 2.3; its cropping is the origin here.

    Args:
        inputs: colours of the input features.
        outputs: colours of the output features.
        kernel: height and width, 2 or 3; each output reads a quarter of it on the average.
        origin: row and column of the element that writes to ``(2 i, 2 j)``; those before it write up or
            to the left, and so must have seen no more than what is allowed there.
        sees_itself: whether a colour sees its own colour at the origin.
        bias: add a bias to each output.

    Shapes: ``(n, inputs, h, w)`` to ``(n, outputs, 2 h, 2 w)``, or one row or column less.

    Raises:
        ConfigError: some outputs would read nothing.

    Example:
        >>> up = UpConv2d((0,), (0, 0), (2, 3), (0, 1))
        >>> up(torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 5, 8)).shape
        torch.Size([1, 2, 5, 8])
    """

    up = 2

    def __init__(
        self,
        inputs: Features,
        outputs: Features,
        kernel: tuple[int, int],
        origin: tuple[int, int],
        *,
        sees_itself: bool = True,
        bias: bool = True,
    ) -> None:
        if any(side - first < 2 for side, first in zip(kernel, origin, strict=True)):
            raise ConfigError(
                f"a kernel {kernel[0]}x{kernel[1]} with origin {origin} leaves some positions unwritten",
                hint="it needs two rows and columns from its origin on",
            )
        super().__init__(inputs, outputs, kernel, origin, sees_itself=sees_itself, bias=bias)

    def reset_parameters(self) -> None:
        """Uniform weights of variance 1 / (live inputs of each output), of which there is a quarter."""
        super().reset_parameters()
        with torch.no_grad():
            self.weight.mul_(2)

    def forward(self, x: Tensor, like: Tensor | None = None) -> Tensor:
        """The result has the rows and columns of ``like``, twice those of ``x`` if None."""
        return cropped(super().forward(x), like)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The transposed convolution with any kernel ``(f, g, kh, kw)``."""
        height, width = 2 * x.shape[2], 2 * x.shape[3]
        top, left = self.origin
        y = functional.conv_transpose2d(x, weight.transpose(0, 1), bias, stride=2)
        return y[:, :, top : top + height, left : left + width]

    def lower(self, program: Program, x: int, like: int | None = None) -> int:
        return super().lower(program, x)

    @staticmethod
    def tap(down: int, right: int, weight: Tensor, live: Tensor) -> Tap:
        """In the phase of the positions that the kernel element writes."""
        return Tap(-(down // 2), -(right // 2), weight, live, (down % 2, right % 2))


def cropped(x: Tensor, like: Tensor | None) -> Tensor:
    """The first rows and columns, as many as ``like`` has."""
    return x if like is None else x[:, :, : like.shape[2], : like.shape[3]]
