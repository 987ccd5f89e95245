"""Networks: from the past of each position to the parameters of its distribution. One file a paper."""

from pixelcnn.networks.base import NETWORKS, Network
from pixelcnn.networks.gated import GatedPixelCNN
from pixelcnn.networks.pixelcnn import PixelCNN

__all__ = ["NETWORKS", "GatedPixelCNN", "Network", "PixelCNN"]
