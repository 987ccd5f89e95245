"""Masked convolution: a centred kernel that sees the raster past."""

from pixelcnn.errors import ConfigError
from pixelcnn.layers.causal import CausalConv2d
from pixelcnn.masks import Features, raster_mask


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
        >>> import torch
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
