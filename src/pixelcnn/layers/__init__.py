"""Building blocks that keep the coding order, whatever is built from them."""

from pixelcnn.layers.activation import ACTIVATIONS, activation
from pixelcnn.layers.causal import CausalConv2d
from pixelcnn.layers.condition import CONDITIONS, ConditionBias
from pixelcnn.layers.gated import Gate
from pixelcnn.layers.masked import MaskedConv2d
from pixelcnn.layers.norms import PositionNorm
from pixelcnn.layers.shifted import ShiftedConv2d

__all__ = [
    "ACTIVATIONS",
    "CONDITIONS",
    "CausalConv2d",
    "ConditionBias",
    "Gate",
    "MaskedConv2d",
    "PositionNorm",
    "ShiftedConv2d",
    "activation",
]
