"""Causal convolutions: a kernel, its origin, and the mask on its weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelcnn.errors import ConfigError
from pixelcnn.layers import masked
from pixelcnn.masks import Features, Offsets, kernel_mask, live_links, offsets, raster_mask
from pixelcnn.program import Program, Tap


class CausalConv2d(nn.Module):
    """A convolution whose kernel element ``origin`` lies on the position itself.

    The stored kernel is whole; ``forward`` multiplies it with the mask, never the stored data, so masked
    weights get no gradient and stay at their initial zero. Only the rows and columns of the kernel that
    have a live weight are computed.

    Args:
        inputs: colours of the input features.
        outputs: colours of the output features.
        kernel: height and width.
        origin: row and column of the kernel element on the position itself; outside the kernel if none.
        sees_itself: whether a colour sees its own colour at the origin.
        bias: add a bias to each output.
        past: positions of the kernel that may be seen, bool ``(kh, kw)``; all of them if None.

    Attributes:
        offsets: positions that it reads, relative to the one it writes.
        live_weights: how many its mask leaves alive.

    Shapes: ``(n, inputs, h, w)`` to ``(n, outputs, h, w)``.
    """

    mask: Tensor
    stride: int = 1
    up: int = 1

    def __init__(
        self,
        inputs: Features,
        outputs: Features,
        kernel: tuple[int, int],
        origin: tuple[int, int],
        *,
        sees_itself: bool = True,
        bias: bool = True,
        past: Tensor | None = None,
    ) -> None:
        super().__init__()
        if past is None:
            past = torch.ones(kernel, dtype=torch.bool, device="cpu")
        self.inputs, self.outputs = inputs, outputs
        self.origin, self.sees_itself = origin, sees_itself
        # First, so that whoever limits what may be allocated is asked before work of this size is done.
        weight = torch.empty(len(outputs), len(inputs), *kernel)
        links = live_links(outputs, inputs, sees_itself=sees_itself)
        everything = len(outputs) * len(inputs)
        itself = frozenset({(0, 0)})
        reach = offsets(past, origin)
        self.offsets = reach if links else reach - itself
        self._crop, self._padding, self._kept = live_box(self.offsets, origin)
        self.live_weights = everything * len(reach - itself) + links * len(reach & itself)
        self._masked = self.live_weights < everything * weight[0, 0][self._crop].numel()
        mask = kernel_mask(outputs, inputs, past, origin, sees_itself=sees_itself)
        self.register_buffer("mask", mask.to(weight.dtype), persistent=False)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.empty(len(outputs))) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights and bias as :func:`pixelcnn.layers.masked.draw` makes them."""
        masked.draw(self.weight, self.mask, self.bias)

    def draw_bias(self) -> None:
        """Biases from -1 to 1, for a first layer whose features are normalised later.

        Where nothing has been seen, or nothing but black, zero biases would leave zeros, and the gradient
        of their norm has no bound: a thousand times larger with each layer.
        """
        assert self.bias is not None
        nn.init.uniform_(self.bias, -1, 1)

    def effective_weight(self) -> Tensor:
        """The kernel as it acts: masked, ``(outputs, inputs, kh, kw)``."""
        return self.weight * self.mask.to(self.weight) if self._masked else self.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(x, self.effective_weight(), self.bias)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The layer's convolution with any kernel ``(f, g, kh, kw)``, of which the live box acts."""
        rows, columns = self._crop
        if any(self._padding):
            x = functional.pad(x, self._padding)[self._kept]
        return functional.conv2d(x, weight[:, :, rows, columns], bias, self.stride)

    def lower(self, program: Program, x: int) -> int:
        """One tap for each live kernel element."""
        weight, live, (row, column) = (
            self.effective_weight().detach(),
            self.mask.bool(),
            self.origin,
        )
        taps = [
            self.tap(*at, *(part[..., row + at[0], column + at[1]] for part in (weight, live)))
            for at in sorted(self.offsets)
        ]
        bias = None if self.bias is None else self.bias.detach()
        return program.taps(x, taps, bias, stride=self.stride, up=self.up)

    @staticmethod
    def tap(down: int, right: int, weight: Tensor, live: Tensor) -> Tap:
        """The tap of the kernel element at an offset from the origin."""
        return Tap(down, right, weight, live)

    def extra_repr(self) -> str:
        kernel = "x".join(map(str, self.weight.shape[2:]))
        return f"{len(self.inputs)}, {len(self.outputs)}, kernel={kernel}, sees_itself={self.sees_itself}"


class MaskedConv2d(CausalConv2d):
    """Convolution over the part of a centred kernel that comes earlier in coding order.

    Reference: van den Oord et al., Pixel Recurrent Neural Networks, 2016, section 3.4.
    ``sees_itself=False`` is mask A (the first layer), ``True`` mask B (all later ones).

    Args:
        inputs: colours of the input features.
        outputs: colours of the output features.
        kernel: odd height and width.
        sees_itself: whether a colour sees its own colour at its own position.
        bias: add a bias to each output.

    Raises:
        ConfigError: an even kernel has no centre.

    Example:
        >>> layer = MaskedConv2d((0,), (0, 0), (3, 3), sees_itself=False)
        >>> layer(torch.zeros(1, 1, 5, 7)).shape, layer.live_weights
        (torch.Size([1, 2, 5, 7]), 8)
    """

    def __init__(
        self,
        inputs: Features,
        outputs: Features,
        kernel: tuple[int, int],
        *,
        sees_itself: bool,
        bias: bool = True,
    ) -> None:
        if any(side % 2 == 0 for side in kernel):
            raise ConfigError(f"a masked kernel needs odd sides, got {kernel[0]}x{kernel[1]}")
        # With several colours the centre is open in space even in mask A: later colours see earlier ones.
        past = raster_mask(kernel, sees_itself=True)
        origin = (kernel[0] // 2, kernel[1] // 2)
        super().__init__(
            inputs, outputs, kernel, origin, sees_itself=sees_itself, bias=bias, past=past
        )


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
        >>> above = ShiftedConv2d((0,), (-1, -1), (2, 3), (2, 1))
        >>> sorted(above.offsets)
        [(-2, -1), (-2, 0), (-2, 1), (-1, -1), (-1, 0), (-1, 1)]
        >>> above(torch.zeros(1, 1, 5, 7)).shape
        torch.Size([1, 2, 5, 7])
    """


Slices = tuple[slice, slice]


def live_box(
    seen: Offsets, origin: tuple[int, int]
) -> tuple[Slices, tuple[int, ...], tuple[Any, ...]]:
    """The box of a kernel that holds its live weights, and how an image is padded for it.

    Returns:
        The box's rows and columns; padding left, right, top and bottom; what to keep of the padded image,
        ``(..., rows, columns)``: a box that ends before the origin reads none of the last ones.

    Example:
        >>> crop, padding, kept = live_box(frozenset({(-1, 0), (0, -1)}), (1, 1))
        >>> crop, padding
        ((slice(0, 2, None), slice(0, 2, None)), (1, 0, 1, 0))
    """
    downs = [down for down, _ in seen] or [0]
    rights = [right for _, right in seen] or [0]
    top, bottom, left, right = min(downs), max(downs), min(rights), max(rights)
    crop = (
        slice(origin[0] + top, origin[0] + bottom + 1),
        slice(origin[1] + left, origin[1] + right + 1),
    )
    kept = (..., slice(min(bottom, 0) or None), slice(min(right, 0) or None))
    return crop, (-left, max(right, 0), -top, max(bottom, 0)), kept
