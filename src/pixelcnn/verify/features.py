"""What a network reads of images: numbers, which have gradients, in place of codes, which have none."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pixelcnn.networks import Network


class _Given(nn.Module):
    """Gives some features, whatever they are of; a copy, since a network may overwrite them."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, codes: Tensor) -> Tensor:
        return self.features.clone()


@contextmanager
def as_features(network: Network, images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """What a network is given as images, and the features that it reads, of which there are gradients.

    Codes have none. Where a network embeds them, the features are what it embeds; those that it looks up in a
    table of its own have none either.
    """
    with torch.no_grad():
        features = network.features_of(images).clone()
    features = features if features.is_floating_point() else features.double()
    features.requires_grad_()
    embed = network.embed
    network.embed = embed and _Given(features)  # type: ignore[assignment]  # `self.embed(x)` calls it
    try:
        with torch.enable_grad():
            yield images if network.embedding else features, features
    finally:
        network.embed = embed
