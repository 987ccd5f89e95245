"""What masks switch off."""

from torch import nn

from pixelcnn.layers.causal import CausalConv2d
from pixelcnn.layers.dense import MaskedLinear


def masked_weights(module: nn.Module) -> int:
    """Stored weights in a module that a mask switches off.

    Example:
        >>> from pixelcnn.layers import MaskedConv2d
        >>> masked_weights(MaskedConv2d((0,), (0, 0), (3, 3), sees_itself=False))
        10
    """
    masked = (m for m in module.modules() if isinstance(m, CausalConv2d | MaskedLinear))
    return sum(m.weight.numel() - m.live_weights for m in masked)
