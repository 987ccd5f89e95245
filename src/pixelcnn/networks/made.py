"""MADE: a dense network over the flattened image, whose masks keep the order."""

from typing import Annotated

import torch
from torch import Tensor, nn

from pixelcnn import layers
from pixelcnn.annotations import Range
from pixelcnn.layers import Dropout, MaskedLinear
from pixelcnn.layers.dense import Flatten, Unflatten, UnitBias
from pixelcnn.networks import options
from pixelcnn.networks.base import NETWORKS, Network
from pixelcnn.shapes import MAX_SIDE


@NETWORKS.register("made")
class MADE(Network):
    """Dense layers over the flattened image, whose units see a first part of it each.

    A hidden unit has a bound: how many sub-pixels (pixels, where the order is by pixel) from the top left
    it may have seen. Bounds are spread evenly, so all of the raster past is seen where ``width`` is at
    least their number; with fewer units, and without direct links, the nearest past is missing. A unit is
    computed as soon as what it sees is known, so a sampled image costs about one pass.

    Reference: Germain et al., MADE: Masked Autoencoder for Distribution Estimation, 2015, section 4.
    Deviations: the natural (raster) order only, and one set of masks: no ensemble over orders or masks;
    bounds are spread evenly, not drawn; conditions, for which some units see no pixel at all. Images may
    be smaller than the network's size: they are those whose lower and right part is zero.

    Args:
        channels, out, order, condition, condition_size, embedding, codes: see :class:`Network`.
        rows: height of the image.
        columns: width of the image.
        width: units of a hidden layer.
        depth: hidden layers.
        direct: link the image to the output directly as well, as the paper does.
        activation: ``relu``, ``prelu``, ``elu`` or ``silu``.
        dropout: probability of zeroing a hidden unit in training.

    Example:
        >>> MADE(channels=1, out=2, rows=5, columns=7, width=40)(torch.zeros(1, 1, 5, 7)).shape
        torch.Size([1, 2, 5, 7])
    """

    def __init__(
        self,
        channels: options.Channels,
        out: options.Out,
        rows: Annotated[int, Range(1, MAX_SIDE)] = 28,
        columns: Annotated[int, Range(1, MAX_SIDE)] = 28,
        width: options.Width = 500,
        depth: options.Depth = 1,
        direct: bool = True,
        activation: options.Activation = "relu",
        order: options.Order = "channel",
        condition: options.Condition | None = None,
        condition_size: options.Count = 0,
        dropout: options.Probability = 0.0,
        embedding: options.Embedding = 0,
        codes: options.Count = 0,
    ) -> None:
        super().__init__(channels, out, order, condition, condition_size, embedding, codes)
        self.rows, self.columns, self.width, self.depth = rows, columns, width, depth
        self.direct, self.activation, self.dropout = direct, activation, dropout
        self.largest = (rows, columns)
        self.bounds = self._hidden_bounds()
        image = self._steps(len(self.image_features)) + 1
        parameters = self._steps(out)
        self.flatten, self.unflatten = Flatten(rows, columns), Unflatten(rows, columns)
        reads = [image] + [self.bounds] * (depth - 1)
        self.hidden = nn.ModuleList(MaskedLinear(each, self.bounds) for each in reads)
        self.biases = self.condition_biases(depth, width)
        self.activations = nn.ModuleList(layers.activation(activation, width) for _ in range(depth))
        self.drop = Dropout(dropout)
        self.head = MaskedLinear(self.bounds, parameters)
        self.link = MaskedLinear(image, parameters, bias=False) if direct else None

    def _steps(self, features: int) -> Tensor:
        """The step of each of some features of every position, flattened: ``(rows * columns * features,)``.

        Those of a position are grouped by colour, equally many of each. With order ``"channel"`` a pixel has
        a step for each channel, else one.
        """
        every = torch.arange(self.rows * self.columns * features)
        return every // (features // self.colours)

    def _hidden_bounds(self) -> Tensor:
        """Bounds of the units of a hidden layer, sorted, int64 ``(width,)``.

        A unit that has seen nothing is a constant, but for a condition. One that has seen all serves nobody.
        """
        steps = self.rows * self.columns * self.colours
        least = 0 if self.condition is not None or steps == 1 else 1
        return least + torch.arange(self.width) * (steps - least) // self.width

    def condition_bias(self, width: int, stride: int = 1) -> UnitBias | None:
        """A bias of units; None without a condition."""
        if self.condition is None:
            return None
        return UnitBias(self.condition, self.condition_size, width, self.rows, self.columns)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        image = y = self.flatten(self.features_of(x))
        for i, layer in enumerate(self.hidden):
            y = layer(y)
            if len(self.biases):
                y = y + self.biases[i](condition)
            y = self.drop(self.activations[i](y))
        y = self.head(y)
        return self.unflatten(y if self.link is None else y + self.link(image), x)
