"""Networks: from the past of each position to the parameters of its distribution. One file a paper."""

from pixelcnn.networks.base import NETWORKS, Network, parameters_of
from pixelcnn.networks.compact import Compact
from pixelcnn.networks.gated import GatedPixelCNN
from pixelcnn.networks.made import MADE
from pixelcnn.networks.pixelcnn import PixelCNN
from pixelcnn.networks.pixelcnnpp import PixelCNNpp
from pixelcnn.networks.pixelrnn import DiagonalBiLSTM, RowLSTM
from pixelcnn.networks.snail import PixelSNAIL

__all__ = [
    "MADE",
    "NETWORKS",
    "Compact",
    "DiagonalBiLSTM",
    "GatedPixelCNN",
    "Network",
    "PixelCNN",
    "PixelCNNpp",
    "PixelSNAIL",
    "RowLSTM",
    "parameters_of",
]
