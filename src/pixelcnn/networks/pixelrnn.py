"""PixelRNN: LSTMs that travel over the image in rows or in diagonals."""

import abc

import torch
from torch import Tensor, nn

from pixelcnn.errors import ConfigError
from pixelcnn.layers import (
    ConditionBias,
    DiagonalRecurrence,
    Dropout,
    LSTMGates,
    MaskedConv2d,
    RowRecurrence,
)
from pixelcnn.masks import Features
from pixelcnn.networks import options
from pixelcnn.networks.base import NETWORKS, Network, grouped, pointwise_layers


class PixelRNN(Network):
    """A mask-A convolution, residual LSTM layers, and a 1x1 head; a subclass says how states travel.

    Reference: van den Oord et al., Pixel Recurrent Neural Networks, 2016, table 1 and fig. 5.

    Args:
        channels, out, order, condition_size, embedding, codes: see :class:`Network`.
        width: feature maps (2h).
        depth: LSTM layers.
        hidden: features of a state (h); half the width if None.
        first_kernel: odd side of the first kernel.
        head_width: feature maps of the two 1x1 layers before the output; the width if None.
        layout: how feature maps are grouped by colour, ``"interleaved"`` or ``"contiguous"``.
        condition: as of any network; a bias of the gates.
        dropout: probability of zeroing a state's feature on its way out of the layer.
    """

    def __init__(
        self,
        channels: options.Channels,
        out: options.Out,
        width: options.Width = 32,
        depth: options.Depth = 7,
        hidden: options.Width | None = None,
        first_kernel: options.Side = 7,
        head_width: options.Width | None = None,
        layout: options.Layout = "interleaved",
        order: options.Order = "channel",
        condition: options.Condition | None = None,
        condition_size: options.Count = 0,
        dropout: options.Probability = 0.0,
        embedding: options.Embedding = 0,
        codes: options.Count = 0,
    ) -> None:
        super().__init__(channels, out, order, condition, condition_size, embedding, codes)
        self.width, self.depth, self.hidden = width, depth, hidden
        self.first_kernel, self.head_width = first_kernel, head_width
        self.layout, self.dropout = layout, dropout
        features = grouped("width", width, self.colours, layout)
        half = max(width // 2, self.colours) if hidden is None else hidden
        states = grouped("hidden", half, self.colours, layout)
        self.input = MaskedConv2d(
            self.image_features, features, (first_kernel, first_kernel), sees_itself=False
        )
        self.layers = nn.ModuleList(self._layer(features, states) for _ in range(depth))
        top = grouped("head_width", head_width or width, self.colours, layout)
        head = pointwise_layers("relu", features, top, top, self.out_features)
        self.head = nn.Sequential(*head)

    @abc.abstractmethod
    def _layer(self, features: Features, states: Features) -> nn.Module:
        """A residual layer, which maps features, image and condition to features, by their colours."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        image = self.features_of(x)
        y = self.input(image)
        for layer in self.layers:
            y = layer(y, image, condition)
        return self.head(y)


class RowLayer(nn.Module):
    """States that travel down, a row at a time (2016a, section 3.1).

    Args:
        features: colours of the input and output.
        states: colours of the states.
        kernel: odd width of the input-to-state and the state-to-state kernel.
        bias: of the condition.
        dropout: probability of zeroing a state's feature.
    """

    def __init__(
        self,
        features: Features,
        states: Features,
        kernel: int,
        bias: ConditionBias | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.gates = LSTMGates(features, states, kernel, bias)
        self.states = RowRecurrence(len(states), kernel)
        self.dropout = Dropout(dropout)
        self.expand = MaskedConv2d(states, features, (1, 1), sees_itself=True)

    def forward(self, y: Tensor, image: Tensor, condition: Tensor | None) -> Tensor:
        return y + self.expand(self.dropout(self.states(self.gates(y, condition))))


@NETWORKS.register("row-lstm")
class RowLSTM(PixelRNN):
    """PixelRNN with Row LSTM layers: each state sees a triangle above it.

    Reference: van den Oord et al., Pixel Recurrent Neural Networks, 2016, section 3.1 and table 1.
    Deviations: the forget gate's bias starts at one; optional dropout.

    Args: see :class:`PixelRNN`; ``kernel`` is odd, no wider than the first one, and the width of the
        input-to-state kernel as well.

    Example:
        >>> import torch
        >>> RowLSTM(channels=1, out=2, width=8, depth=2)(torch.zeros(1, 1, 4, 5)).shape
        torch.Size([1, 2, 4, 5])
    """

    def __init__(
        self,
        channels: options.Channels,
        out: options.Out,
        width: options.Width = 32,
        depth: options.Depth = 7,
        hidden: options.Width | None = None,
        kernel: options.Side = 3,
        first_kernel: options.Side = 7,
        head_width: options.Width | None = None,
        layout: options.Layout = "interleaved",
        order: options.Order = "channel",
        condition: options.Condition | None = None,
        condition_size: options.Count = 0,
        dropout: options.Probability = 0.0,
        embedding: options.Embedding = 0,
        codes: options.Count = 0,
    ) -> None:
        if kernel > first_kernel:
            raise ConfigError(
                f"kernel = {kernel} is wider than first_kernel = {first_kernel}",
                hint="a layer would reach pixels whose last channel the first one has not seen",
            )
        self.kernel = kernel  # of which the layers are made
        super().__init__(
            channels, out, width, depth, hidden, first_kernel, head_width, layout, order,
            condition, condition_size, dropout, embedding, codes,
        )  # fmt: skip

    def _layer(self, features: Features, states: Features) -> RowLayer:
        bias = self.condition_bias(4 * len(states))
        return RowLayer(features, states, self.kernel, bias, self.dropout)


class DiagonalLayer(nn.Module):
    """States that travel from both upper corners, a diagonal at a time (2016a, section 3.2).

    Its backward half reads finished rows only, so it may see all colours of its own position, the image's
    too. Without the image nothing would see the last pixel of the row above but what the first kernel
    reaches: the features there have seen what comes before it, and no position lies to its right.

    Args:
        features: colours of the input and output.
        states: colours of the states.
        image: colours of the image.
        biases: of the condition, one for each half.
        dropout: probability of zeroing a state's feature.
    """

    def __init__(
        self,
        features: Features,
        states: Features,
        image: Features,
        biases: tuple[ConditionBias | None, ConditionBias | None],
        dropout: float,
    ) -> None:
        super().__init__()
        last = (max(features),) * len(states)
        self.gates = LSTMGates(features, states, 1, biases[0])
        self.states = DiagonalRecurrence(len(states))
        self.backward_gates = LSTMGates(features + image, last, 1, biases[1])
        self.backward_states = DiagonalRecurrence(len(states), backward=True)
        self.dropout = Dropout(dropout)
        self.expand = MaskedConv2d(states, features, (1, 1), sees_itself=True)

    def forward(self, y: Tensor, image: Tensor, condition: Tensor | None) -> Tensor:
        everything = torch.cat([y, image], 1)
        above = self.backward_states(self.backward_gates(everything, condition))
        states = self.states(self.gates(y, condition)) + above
        return y + self.expand(self.dropout(states))


@NETWORKS.register("diagonal-bilstm")
class DiagonalBiLSTM(PixelRNN):
    """PixelRNN with Diagonal BiLSTM layers: each sees all of the raster past.

    Reference: van den Oord et al., Pixel Recurrent Neural Networks, 2016, section 3.2 and table 1.
    Deviations: the backward half also reads the image, with all colours of its position, which closes a
    blind spot at the right border (see :class:`DiagonalLayer`); the forget gate's bias starts at one;
    optional dropout.

    Args: see :class:`PixelRNN`.

    Example:
        >>> import torch
        >>> DiagonalBiLSTM(channels=1, out=2, width=8, depth=2)(torch.zeros(1, 1, 4, 5)).shape
        torch.Size([1, 2, 4, 5])
    """

    def _layer(self, features: Features, states: Features) -> DiagonalLayer:
        gates = 4 * len(states)
        biases = self.condition_bias(gates), self.condition_bias(gates)
        return DiagonalLayer(features, states, self.image_features, biases, self.dropout)
