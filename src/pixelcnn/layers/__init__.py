"""Building blocks that keep the coding order, whatever is built from them."""

from pixelcnn.layers.activation import ACTIVATIONS, Activation, ConcatELU, activation
from pixelcnn.layers.attention import Coordinates, RasterAttention
from pixelcnn.layers.causal import CausalConv2d, MaskedConv2d, ShiftedConv2d
from pixelcnn.layers.condition import CONDITIONS, Condition, ConditionBias
from pixelcnn.layers.dense import MaskedLinear
from pixelcnn.layers.depthwise import DepthwiseConv2d
from pixelcnn.layers.dropout import Dropout, set_dropout_generator
from pixelcnn.layers.embedding import CodeEmbedding
from pixelcnn.layers.fused import gated_residual
from pixelcnn.layers.gated import Gate, LinearGate
from pixelcnn.layers.layout import features_last
from pixelcnn.layers.masked import masked_weights
from pixelcnn.layers.norms import PositionNorm
from pixelcnn.layers.position import PositionEmbedding
from pixelcnn.layers.recurrent import DiagonalRecurrence, LSTMGates, RowRecurrence
from pixelcnn.layers.residual import ResidualBlock
from pixelcnn.layers.strided import DownConv2d, UpConv2d

__all__ = [
    "ACTIVATIONS",
    "CONDITIONS",
    "Activation",
    "CausalConv2d",
    "CodeEmbedding",
    "ConcatELU",
    "Condition",
    "ConditionBias",
    "Coordinates",
    "DepthwiseConv2d",
    "DiagonalRecurrence",
    "DownConv2d",
    "Dropout",
    "Gate",
    "LSTMGates",
    "LinearGate",
    "MaskedConv2d",
    "MaskedLinear",
    "PositionEmbedding",
    "PositionNorm",
    "RasterAttention",
    "ResidualBlock",
    "RowRecurrence",
    "ShiftedConv2d",
    "UpConv2d",
    "activation",
    "features_last",
    "gated_residual",
    "masked_weights",
    "set_dropout_generator",
]
