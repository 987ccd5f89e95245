"""Depthwise causal convolution: each feature sums its own past, so large kernels are cheap."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from pixelcnn.config import check_choice, check_integer
from pixelcnn.layers import masked
from pixelcnn.masks import PAST, Features, Offsets, raster_mask
from pixelcnn.program import Program, Tap
from pixelcnn.surroundings import transformed


class DepthwiseConv2d(nn.Module):
    """Convolution of each feature with a kernel of its own, which ends at the row of the position.

    How far a kernel sees in that row depends on the feature's colour. A feature that serves a channel has
    seen its own pixel's left: it sees its row up to itself. A feature of colour ``PAST`` has seen finished
    rows only, and so have those to its right: it sees its whole row, as the vertical stack of Gated PixelCNN
    does. So one kernel serves both stacks, and a network that mixes its features afterwards has no blind
    spot.

    Reference: Liu et al., A ConvNet for the 2020s, 2022, for the large depthwise kernel; van den Oord et al.,
    Conditional Image Generation with PixelCNN Decoders, 2016, for the two stacks.

    Args:
        features: colours of the input and output features.
        kernel: rows, the position's own included, and columns, an odd number, the position's in the middle.
        bias: add a bias to each feature.

    Shapes: ``(n, features, h, w)`` to the same.

    Raises:
        ConfigError: an even number of columns has no middle.

    Example:
        >>> from pixelcnn.masks import PAST
        >>> layer = DepthwiseConv2d((PAST, 0), (2, 3))
        >>> layer.mask[:, 0].int().tolist()
        [[[1, 1, 1], [1, 1, 1]], [[1, 1, 1], [1, 1, 0]]]
        >>> layer(torch.zeros(1, 2, 5, 7)).shape, layer.live_weights
        (torch.Size([1, 2, 5, 7]), 11)
    """

    mask: Tensor

    def __init__(self, features: Features, kernel: tuple[int, int], *, bias: bool = True) -> None:
        super().__init__()
        rows, columns = kernel
        check_integer("kernel rows", rows, 1, 63)
        check_choice("kernel columns", columns, tuple(range(1, 64, 2)))
        self.features, self.kernel, self.origin = features, kernel, (rows - 1, columns // 2)
        weight = torch.empty(len(features), 1, rows, columns)
        upper = raster_mask((2 * rows - 1, columns), sees_itself=True)[:rows]
        whole = features.count(PAST)
        self.live_weights = whole * rows * columns + (len(features) - whole) * int(upper.sum())
        above = torch.tensor([colour == PAST for colour in features])[:, None, None, None]
        mask = above | upper.to(above.device)
        self.register_buffer("mask", mask.to(weight.dtype), persistent=False)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.empty(len(features))) if bias else None
        self.reset_parameters()

    @property
    def offsets(self) -> Offsets:
        """Positions that some feature reads, relative to the one it writes."""
        places = self.mask.amax((0, 1)).nonzero().tolist()
        return frozenset((row - self.origin[0], column - self.origin[1]) for row, column in places)

    def reset_parameters(self) -> None:
        """Weights and bias as :func:`pixelcnn.layers.masked.draw` makes them."""
        masked.draw(self.weight, self.mask, self.bias)

    def effective_weight(self) -> Tensor:
        """The kernels as they act: masked, ``(features, 1, rows, columns)``."""
        return self.weight * self.mask.to(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolve(x, self.effective_weight())
        return y if self.bias is None else y + self.bias[:, None, None]

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer's convolution with any kernels ``(f, 1, rows, columns)``."""
        place = x.device.type
        if place != "meta" and torch.is_autocast_enabled(place):
            kind = torch.get_autocast_dtype(place)
            x, weight = x.to(kind), weight.to(kind)
        up, side = self.origin
        if up or side:
            x = functional.pad(x, (side, side, up, 0))
        if transformed():
            return functional.conv2d(x, weight, groups=len(weight))
        return _Depthwise.apply(x, weight)

    def lower(self, program: Program, x: int) -> int:
        """One tap for each kernel element that is live for some feature."""
        weight, live = self.effective_weight().detach()[:, 0], self.mask[:, 0].bool()
        taps = []
        for down, right in sorted(self.offsets):
            at = (slice(None), self.origin[0] + down, self.origin[1] + right)
            taps.append(Tap(down, right, weight[at], live[at]))
        return program.depthwise(x, taps, None if self.bias is None else self.bias.detach())

    def extra_repr(self) -> str:
        return f"{len(self.features)}, kernel={self.kernel[0]}x{self.kernel[1]}"


class _Depthwise(Function):
    """A depthwise convolution with a faster gradient of its kernels on CPU.

    PyTorch's gradient of a kernel of up to ``STRIP`` columns takes about as long as the convolution; that of
    a wider one takes 10 to 30 times as long (in bfloat16). So it is computed a strip of columns at a time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.conv2d(x, weight, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        reads, learns = ctx.needs_input_grad
        of_x = _gradients(grad, x, weight, (True, False, False))[0] if reads else None
        if not learns:
            return of_x, None
        strips: list[Tensor] = []
        width = grad.shape[3]
        for strip in weight.split(STRIP if x.device.type == "cpu" else weight.shape[3], 3):
            first = sum(done.shape[3] for done in strips)
            part = x[..., first : first + width + strip.shape[3] - 1]
            strips.append(_gradients(grad, part, strip, (False, True, False))[1])
        return of_x, torch.cat(strips, 3)


STRIP = 3
"""Columns of a kernel whose gradient is fast."""


def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Those of a depthwise convolution's input, kernels and bias that are wanted."""
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], len(weight), wanted
    )
