"""What masks switch off."""

from torch import nn

from pixelcnn.layers.causal import CausalConv2d
from pixelcnn.layers.dense import MaskedLinear
from pixelcnn.layers.depthwise import DepthwiseConv2d


def masked_weights(module: nn.Module) -> int:
    """Stored weights in a module that a mask switches off.

    Example:
        >>> from pixelcnn.layers import MaskedConv2d
        >>> masked_weights(MaskedConv2d((0,), (0, 0), (3, 3), sees_itself=False))
        10
    """
    kinds = CausalConv2d | DepthwiseConv2d | MaskedLinear
    masked = (m for m in module.modules() if isinstance(m, kinds))
    return sum(m.weight.numel() - m.live_weights for m in masked)
