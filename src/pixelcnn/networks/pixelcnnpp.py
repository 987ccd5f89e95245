"""PixelCNN++: two streams of shifted convolutions at several scales, with short-cuts between them."""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from pixelcnn.annotations import Range
from pixelcnn.layers import CausalConv2d, MaskedConv2d, PositionNorm
from pixelcnn.layers.residual import FirstPair, PairDown, PairUp, ResidualPair
from pixelcnn.masks import Features
from pixelcnn.networks import options
from pixelcnn.networks.base import NETWORKS, Network, grouped


@NETWORKS.register("pixelcnnpp")
class PixelCNNpp(Network):
    """Gated residual blocks in two streams, down to coarser scales and up again, with short-cuts.

    The stream above sees the rows above a position, the left one those and the row's left. On the way down
    each value is kept; on the way up it is read again by the block that mirrors it. Any image size: an odd
    side counts as one longer on the way down, and is cropped on the way up.

    Reference: Salimans et al., PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
    Likelihood and Other Modifications, 2017, sections 2.2 to 2.5 and fig. 2, and its published code.

    With 3 channels and 10 mixture components the default has 53,618,660 weights and biases, the published
    53.6 million; ``norm="weight"`` adds the 40,420 gains of the published code, ``"position"`` 20,640.
    Deviations: levels are scaled to [0, 1], not [-1, 1]; the features before each block's convolutions are
    normalised at each position (Zhang and Sennrich, 2019) where the paper's weight norm starts from the
    statistics of a batch, or ``norm="weight"`` starts from the layer's fan-in; colour masks with
    ``order="channel"``.

    Args:
        channels, out, condition_size, embedding, codes: see :class:`Network`.
        width: feature maps per stream.
        blocks: blocks of each stream at a scale on the way down, and one more on the way up but at the
            coarsest scale.
        scales: sizes of the streams, each half the one before.
        dropout: probability of zeroing a feature inside a block in training.
        norm: ``"position"``, ``"weight"`` (Salimans and Kingma, 2016) or ``"none"``.
        order: as of any network; ``"pixel"`` is the paper's.
        condition: as of any network; coarser scales read a map at their positions.

    Example:
        >>> PixelCNNpp(channels=1, out=2, width=8, blocks=1)(torch.zeros(1, 1, 5, 7)).shape
        torch.Size([1, 2, 5, 7])
    """

    def __init__(
        self,
        channels: options.Channels,
        out: options.Out,
        width: options.Width = 160,
        blocks: options.Depth = 5,
        scales: Annotated[int, Range(1, 16)] = 3,
        dropout: options.Probability = 0.0,
        norm: Literal["position", "weight", "none"] = "position",
        order: options.Order = "pixel",
        condition: options.Condition | None = None,
        condition_size: options.Count = 0,
        embedding: options.Embedding = 0,
        codes: options.Count = 0,
    ) -> None:
        super().__init__(channels, out, order, condition, condition_size, embedding, codes)
        features = grouped("width", width, self.colours, "interleaved")
        self.width, self.blocks, self.scales = width, blocks, scales
        self.dropout, self.norm = dropout, norm
        self.first = FirstPair((*self.image_features, 0), features)
        self.inward = nn.ModuleList(self._inward(features))
        self.outward = nn.ModuleList(self._outward(features))
        self.head_norm = PositionNorm(features) if norm == "position" else None
        self.head_activation = nn.ELU()
        self.head = MaskedConv2d(features, self.out_features, (1, 1), sees_itself=True)
        if norm == "weight":
            for layer in [m for m in self.modules() if isinstance(m, CausalConv2d)]:
                weight_norm(layer)

    def _inward(self, features: Features) -> Iterator[nn.Module]:
        """From the image's size to the coarsest scale."""
        for scale in range(self.scales):
            if scale:
                yield PairDown(features)
            for _ in range(self.blocks):
                yield self._pair(features, scale, skips=False)

    def _outward(self, features: Features) -> Iterator[nn.Module]:
        """From the coarsest scale to the image's size."""
        for scale in reversed(range(self.scales)):
            coarsest = scale == self.scales - 1
            if not coarsest:
                yield PairUp(features)
            for _ in range(self.blocks + (not coarsest)):
                yield self._pair(features, scale, skips=True)

    def _pair(self, features: Features, scale: int, *, skips: bool) -> ResidualPair:
        width, stride = 2 * len(features), 2**scale
        biases = self.condition_bias(width, stride), self.condition_bias(width, stride)
        return ResidualPair(features, skips, self.norm == "position", self.dropout, biases)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        # A channel of ones tells a black pixel from what lies outside the image.
        image = self.features_of(x)
        ones = image.split(1, 1)[0] * 0.0 + 1.0
        streams = self.first(torch.cat([image, ones], 1))
        kept = [streams]  # which the way up reads again, or takes its size from
        for step in self.inward:
            streams = step(streams, streams, condition)
            kept.append(streams)
        streams = kept.pop()
        for step in self.outward:
            earlier = kept[-1] if isinstance(step, PairUp) else kept.pop()
            streams = step(streams, earlier, condition)
        _, left = streams
        if self.head_norm is not None:
            left = self.head_norm(left)
        return self.head(self.head_activation(left))
