"""Networks and outputs that break one promise each, in ways that people have broken them.

Each entry of the galleries names the promise that the checks must find broken, and words that the reason
must contain. The checks are only worth something while they reject all of these.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelcnn.layers import (
    DiagonalRecurrence,
    DownConv2d,
    Gate,
    MaskedConv2d,
    RasterAttention,
    ShiftedConv2d,
    UpConv2d,
)
from pixelcnn.masks import PAST, compose, interleaved, offsets, past_within, raster_mask
from pixelcnn.networks import Network
from pixelcnn.outputs import LogisticMixture, Output
from pixelcnn.program import Program

NEAREST = frozenset({(0, -1), (-1, -1), (-1, 0), (-1, 1)})
"""What a 3x3 kernel with mask A sees."""


def all_of_the_past(network: Network, height: int, width: int) -> Tensor:
    """The claim of a network that says itself that it sees everything."""
    return Network.claimed_past(network, height, width)


class Stack(Network):
    """A correct network, to be broken below: mask A, mask B and a 1x1 head."""

    width = 6
    reach = compose(NEAREST, NEAREST | {(0, 0)})

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, "channel", None, 0)
        features = interleaved(self.width, channels)
        self.first = MaskedConv2d(self.image_features, features, (3, 3), sees_itself=False)
        self.second = MaskedConv2d(features, features, (3, 3), sees_itself=True)
        self.head = MaskedConv2d(features, self.out_features, (1, 1), sees_itself=True)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))))

    def claimed_past(self, height: int, width: int) -> Tensor:
        return past_within(self.reach, self.channels, height, width, by_channel=True)


class FixedMaskConv2d(nn.Conv2d):
    """A convolution with any mask over space."""

    def __init__(self, inputs: int, outputs: int, mask: Tensor) -> None:
        super().__init__(
            inputs, outputs, tuple(mask.shape), padding=tuple(s // 2 for s in mask.shape)
        )
        self.register_buffer(
            "mask", mask.float().expand(self.weight.shape).clone(), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class MaskOffByOne(Stack):
    """``mask[y, x + 2:] = 0`` where ``x + 1`` was meant."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        mask = torch.tensor([[1, 1, 1], [1, 1, 1], [0, 0, 0]])
        self.second = FixedMaskConv2d(self.width, self.width, mask)


class PrintedMask(Stack):
    """The grey mask as a well-known tutorial prints it, used in the first layer: the centre is left in."""

    reach = compose(offsets(raster_mask((7, 7), sees_itself=False), (3, 3)), NEAREST | {(0, 0)})

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        mask = torch.ones(7, 7)
        y_center, x_center = 7 // 2, 7 // 2
        mask[y_center + 1 :, :] = 0.0
        mask[y_center:, x_center + 1 :] = 0.0
        self.first = FixedMaskConv2d(channels, self.width, mask)


class OneActivation(PrintedMask):
    """The same, with one activation for the image and for features of a coarser grid."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.activation = nn.LeakyReLU()

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = self.second(self.activation(self.first(self.activation(x))))
        again = torch.zeros_like(h)
        again[..., ::2, ::2] = self.activation(h[..., ::2, ::2])
        return self.head(h + again)


class ColourSwap(Stack):
    """The head reads features grouped R R G G B B as if they were R G B R G B."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        swapped = tuple(reversed(interleaved(self.width, channels)))
        self.head = MaskedConv2d(swapped, self.out_features, (1, 1), sees_itself=True)


class MaskATwice(Stack):
    """Mask A in the second layer too: legal, and blind to the nearest past."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        features = interleaved(self.width, channels)
        self.second = MaskedConv2d(features, features, (3, 3), sees_itself=False)


class MaskATwiceUnsaid(MaskATwice):
    """The same in a network that does not say what it sees."""

    claimed_past = Network.claimed_past


class LowersTooFew(MaskedConv2d):
    """Its ``lower`` forgets the row above."""

    def lower(self, program: Program, x: int) -> int:
        node = program.nodes[super().lower(program, x)]
        return program.taps(x, [tap for tap in node.taps if tap.down == 0], node.bias)


class LowersTooMany(MaskedConv2d):
    """Its ``lower`` reads one row more."""

    def lower(self, program: Program, x: int) -> int:
        node = program.nodes[super().lower(program, x)]
        more = [tap._replace(down=tap.down - 1) for tap in node.taps if tap.down < 0]
        return program.taps(x, [*node.taps, *more], node.bias)


class ProgramSeesLess(Stack):
    """The program of a layer reads fewer rows than its ``forward``; the network says nothing itself."""

    kind = LowersTooFew
    claimed_past = Network.claimed_past

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        features = interleaved(self.width, channels)
        self.second = self.kind(features, features, (3, 3), sees_itself=True)


class ProgramSeesMore(ProgramSeesLess):
    """The program reads more rows."""

    kind = LowersTooMany


class ProgramContradictsItsClaim(ProgramSeesLess):
    """The network says what ``forward`` sees, the program does not read it."""

    claimed_past = Stack.claimed_past


class BatchNorm(Stack):
    """Batch normalisation between the layers."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.norm = nn.BatchNorm2d(self.width)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.head(torch.relu(self.second(self.norm(self.first(x)))))


class GroupNorm(BatchNorm):
    """Group normalisation, whose statistics run over space."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.norm = nn.GroupNorm(1, self.width)


class GlobalPooling(Stack):
    """Squeeze and excitation: features weighted by their mean over the image."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = torch.relu(self.first(x))
        return self.head(torch.relu(self.second(h * torch.sigmoid(h.mean((2, 3), keepdim=True)))))


class OpenFunction(Stack):
    """The first kernel is called as a function, with its centre open."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        weight = self.first.weight * raster_mask((3, 3), sees_itself=True).to(x)
        h = functional.conv2d(x, weight, self.first.bias, padding=1)
        return self.head(torch.relu(self.second(torch.relu(h))))


class Rolled(Stack):
    """Features are rolled by one column, so that the last one comes first."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = torch.relu(self.first(x)).roll(1, -1)
        return self.head(torch.relu(self.second(h)))


class ResidualAroundFirst(Stack):
    """A residual connection around the first layer hands the image on."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = self.first(x) + x[:, torch.arange(self.width) % self.channels]
        return self.head(torch.relu(self.second(torch.relu(h))))


class UnshiftedLink(Stack):
    """The vertical stack sees its own row, and joins the horizontal stack without a shift."""

    reach = NEAREST

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        past, features = (PAST,) * (2 * self.width), interleaved(self.width, channels)
        self.vertical = ShiftedConv2d(self.image_features, past, (2, 3), (1, 1))
        self.link = MaskedConv2d(past, features * 2, (1, 1), sees_itself=True)
        self.left = ShiftedConv2d(
            self.image_features, features * 2, (1, 2), (0, 1), sees_itself=False
        )
        self.gate = Gate()
        del self.first, self.second

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.head(self.gate(self.left(x) + self.link(self.vertical(x))))


class UnshiftedDown(Stack):
    """An ordinary convolution with stride 2: a coarse position has seen all four that it stands for."""

    down_shape, up_shape = ((2, 2), (0, 0)), ((2, 2), (0, 0))

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        features = interleaved(self.width, channels)
        self.down = DownConv2d(features, features, *self.down_shape)
        self.up = UpConv2d(features, features, *self.up_shape)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = torch.relu(self.second(torch.relu(self.first(x))))
        return self.head(h + self.up(self.down(h), h))


class UnshiftedUp(UnshiftedDown):
    """A centred transposed convolution: what a coarse position has seen is also written up and left of it."""

    down_shape, up_shape = ((2, 2), (1, 1)), ((3, 3), (1, 1))


class SelfishAttention(RasterAttention):
    """Attention with a start token and the usual causal mask, which leaves each position itself in."""

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (part.flatten(2).mT for part in x.split(self.widths, 1))
        key, value = (
            torch.cat([start.expand(len(x), 1, -1), part], 1)
            for start, part in ((self.start_key, key), (self.start_value, value))
        )
        seen = torch.ones(query.shape[1], key.shape[1], dtype=torch.bool).tril(1)
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return found.mT.unflatten(2, x.shape[2:])


class AttendsToItself(Stack):
    """Attention includes each position itself, where the image has not been shifted."""

    claimed_past = all_of_the_past

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        image, features = self.image_features, interleaved(self.width, channels)
        self.query = MaskedConv2d(features, (0,) * 2, (1, 1), sees_itself=True)
        self.memory = MaskedConv2d(image + features, (channels - 1,) * 4, (1, 1), sees_itself=True)
        self.attend = SelfishAttention(heads=1, key_width=2, value_width=2)
        self.link = MaskedConv2d((PAST,) * 2, features, (1, 1), sees_itself=True)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = torch.relu(self.second(torch.relu(self.first(x))))
        memory = self.memory(torch.cat([x, h], 1))
        return self.head(h + self.link(self.attend(torch.cat([self.query(h), memory], 1))))


class SkewedTooFar(DiagonalRecurrence):
    """Skewed one place too far, and put back by as much as was meant."""

    def states(self, x: Tensor) -> Tensor:
        return super().states(functional.pad(x, (0, 1)))[..., 1:]


class UnshiftedBackward(DiagonalRecurrence):
    """The backward half is added to the forward one as it is, where each position sees its row's right."""

    def forward(self, x: Tensor) -> Tensor:
        return self.states(x.flip(3)).flip(3)


class SkewOffByOne(Stack):
    """Diagonal LSTM whose diagonals are put back one place too far to the left."""

    claimed_past = all_of_the_past

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        features, past = interleaved(self.width, channels), (channels - 1,) * self.width
        self.second = MaskedConv2d(features, features * 4, (1, 1), sees_itself=True)
        self.states = self.recurrence()
        self.backward_gates = MaskedConv2d(
            self.image_features + features, past * 4, (1, 1), sees_itself=True
        )
        self.backward_states = self.backward_recurrence()

    def recurrence(self) -> DiagonalRecurrence:
        return SkewedTooFar(self.width)

    def backward_recurrence(self) -> DiagonalRecurrence:
        return DiagonalRecurrence(self.width, backward=True)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = self.first(x)
        above = self.backward_states(self.backward_gates(torch.cat([x, h], 1)))
        return self.head(self.states(self.second(h)) + above)


class BackwardSeesItsRow(SkewOffByOne):
    """The backward half of Diagonal BiLSTM is not shifted down by a row."""

    def recurrence(self) -> DiagonalRecurrence:
        return DiagonalRecurrence(self.width)

    def backward_recurrence(self) -> DiagonalRecurrence:
        return UnshiftedBackward(self.width, backward=True)


class UnmaskedLater(Stack):
    """An ordinary convolution after the first layer, as is sometimes said to be right."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.second = nn.Conv2d(self.width, self.width, 3, padding=1)


class FarBelow(Stack):
    """A dilated convolution without a mask, which reads further than a small image reaches."""

    reach, kernel, padding = NEAREST, (3, 1), (9, 0)

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.second = nn.Conv2d(
            self.width, self.width, self.kernel, padding=self.padding, dilation=9
        )


class FarToTheRight(FarBelow):
    """The same along the row."""

    kernel, padding = (1, 3), (0, 9)


class IntegerLookUp(Stack):
    """A look-up table of the level to the right: nothing that a gradient would show."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.table = nn.Parameter(torch.randn(256, self.width))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        right = functional.pad(x[:, :1, :, 1:], (0, 1))
        levels = (right * 255).round().long()[:, 0]
        h = self.first(x) + self.table[levels].movedim(-1, 1)
        return self.head(torch.relu(self.second(torch.relu(h))))


class BatchMean(Stack):
    """Half the mean of the batch is taken off each image."""

    share = 0.5

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = torch.relu(self.second(torch.relu(self.first(x))))
        return self.head(h - self.share * h.mean(0, keepdim=True))


class Squeezed(Stack):
    """Of one image ``squeeze`` takes the batch's axis: the mean over features is one over rows."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = torch.relu(self.second(torch.relu(self.first(x))))
        return self.head(h - 0.5 * h.squeeze(0).mean(1, keepdim=True))


class OverwrittenMask(Stack):
    """The mask is written into the stored weight, as many ports do."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            self.second.weight.mul_(self.second.mask)
        return super().forward(x)


class Overclaims(Stack):
    """Claims all of the past, and sees a part."""

    claimed_past = all_of_the_past


class ClaimsByDefault(Stack):
    """Has no program, and does not say that it sees a part of the past alone."""

    claimed_past = Network.claimed_past

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.head.register_forward_hook(lambda layer, given, result: result)


class Underclaims(Stack):
    """Claims the first layer's reach only."""

    reach = NEAREST


class ClaimsTheFuture(Stack):
    """Claims what comes after it."""

    def claimed_past(self, height: int, width: int) -> Tensor:
        return torch.ones_like(super().claimed_past(height, width))


class DeadParameter(Stack):
    """A layer that nothing reads."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.forgotten = nn.Linear(2, 2)


class NoisyEvaluation(Stack):
    """Dropout that stays on."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = functional.dropout(torch.relu(self.first(x)), 0.1, training=True)
        return self.head(torch.relu(self.second(h)))


class ForgetsArgument(Stack):
    """An argument that is not stored."""

    def __init__(self, channels: int, out: int, extra: int = 1) -> None:
        super().__init__(channels, out)


class SwappedAxes(Stack):
    """Crops the height where the width was meant: right on square images."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        y = super().forward(functional.pad(x, (0, 3, 0, 3)))
        return y[:, :, : x.shape[3], : x.shape[2]]


class DeafToCondition(Stack):
    """Takes a label and ignores it."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.condition, self.condition_size = "label", 4


FUTURE = "no output sees its future"
TRAINING = "no output sees its future, in training mode"
CLAIM = "every output sees the past it claims"
STATISTIC = "no statistic over space or batch"
BATCH = "images of a batch do not interact"
REBUILDS = "its arguments rebuild it"
SHAPE = "one set of parameters for each position"
ARRIVE = "gradients reach every parameter"
DETERMINISM = "evaluation is deterministic"


class Broken(NamedTuple):
    """A broken thing, the promise that it breaks, words of the reason, and promises that fall with it."""

    kind: type
    promise: str
    words: tuple[str, ...]
    also: tuple[str, ...] = ()
    channels: tuple[int, ...] = (1, 3)


NETWORKS = (
    Broken(
        MaskOffByOne,
        FUTURE,
        ("a later convolution sees the future", "`second`", "off by one"),
        (TRAINING, CLAIM),
    ),
    Broken(
        PrintedMask, FUTURE, ("the first layer `first`", "its own position", "mask A"), (TRAINING,)
    ),
    Broken(
        OneActivation, FUTURE, ("the first layer", "its own position", "mask A"), (TRAINING,), (1,)
    ),
    Broken(ColourSwap, FUTURE, ("the colours of a layer are mixed up",), (TRAINING, CLAIM), (3,)),
    Broken(MaskATwice, CLAIM, ("does not see", "mask A belongs in the first layer only")),
    Broken(MaskATwiceUnsaid, CLAIM, ("does not see", "mask A belongs in the first layer only")),
    Broken(ProgramSeesLess, CLAIM, ("by its program", "does not depend on", "by measurement")),
    Broken(ProgramSeesMore, CLAIM, ("by its program", " depends on", "by measurement")),
    Broken(ProgramContradictsItsClaim, CLAIM, ("by its program", "does not depend on")),
    Broken(BatchNorm, STATISTIC, ("`norm` (BatchNorm2d)",), (TRAINING, BATCH)),
    Broken(
        BatchNorm, TRAINING, ("`norm` (BatchNorm2d)", "statistic over space"), (STATISTIC, BATCH)
    ),
    Broken(BatchNorm, BATCH, ("in training mode", "batch statistics"), (STATISTIC, TRAINING)),
    Broken(
        GroupNorm,
        FUTURE,
        ("`norm` (GroupNorm)", "statistic over space"),
        (STATISTIC, TRAINING, CLAIM),
    ),
    Broken(GlobalPooling, FUTURE, ("outside the layers", "global pooling"), (TRAINING, CLAIM)),
    Broken(
        OpenFunction,
        FUTURE,
        ("outside the layers sees its own position", "called as a function"),
        (TRAINING, CLAIM, ARRIVE),
    ),
    Broken(Rolled, FUTURE, ("outside the layers sees the future", "a roll"), (TRAINING, CLAIM)),
    Broken(ResidualAroundFirst, FUTURE, ("bypasses the first layer", "residual"), (TRAINING,)),
    Broken(UnshiftedLink, FUTURE, ("`vertical`", "to the right", "not shifted down"), (TRAINING,)),
    Broken(
        UnshiftedDown,
        FUTURE,
        ("a later convolution sees the future", "`down` (DownConv2d) reads 1 row below"),
        (TRAINING, CLAIM),
    ),
    Broken(
        UnshiftedUp,
        FUTURE,
        ("a later convolution sees the future", "`up` (UpConv2d) reads 1 row below"),
        (TRAINING, CLAIM),
    ),
    Broken(
        AttendsToItself,
        FUTURE,
        ("`attend` (SelfishAttention)", "its own position", "earlier positions only"),
        (TRAINING,),
    ),
    Broken(
        SkewOffByOne,
        FUTURE,
        ("`states` (SkewedTooFar) reads 1 column to the right",),
        (TRAINING,),
    ),
    Broken(
        BackwardSeesItsRow,
        FUTURE,
        ("`backward_states` (UnshiftedBackward)", "to the right", "not shifted down"),
        (TRAINING,),
    ),
    Broken(
        UnmaskedLater,
        FUTURE,
        ("a later convolution sees the future", "`second`", "below"),
        (TRAINING, CLAIM),
    ),
    Broken(FarBelow, FUTURE, ("w 35), which does not come before it",), channels=(1,)),
    Broken(FarToTheRight, FUTURE, ("w 35), which does not come before it",), channels=(1,)),
    Broken(IntegerLookUp, FUTURE, ("without gradient", "to its right"), (TRAINING, CLAIM)),
    Broken(BatchMean, BATCH, ("in evaluation mode", "other images of its batch")),
    Broken(Squeezed, BATCH, ("in evaluation mode", "a lone image"), (FUTURE, CLAIM), (1,)),
    Broken(OverwrittenMask, DETERMINISM, ("`second.weight`", "do not overwrite")),
    Broken(Overclaims, CLAIM, ("does not see", "which it claims to see")),
    Broken(ClaimsByDefault, CLAIM, ("does not see", "states its claimed_past")),
    Broken(Underclaims, CLAIM, ("which it does not claim",)),
    Broken(ClaimsTheFuture, CLAIM, ("claims to see", "which comes later")),
    Broken(DeadParameter, ARRIVE, ("forgotten.weight",)),
    Broken(NoisyEvaluation, DETERMINISM, ("two passes",), (BATCH,)),
    Broken(ForgetsArgument, REBUILDS, ("'extra'",)),
    Broken(
        SwappedAxes,
        SHAPE,
        ("7, 5), not", "5, 7)"),
        (FUTURE, TRAINING, CLAIM, ARRIVE, REBUILDS, BATCH, DETERMINISM),
    ),
    Broken(
        DeafToCondition, "the condition reaches every output", ("does not change with the label",)
    ),
)
"""Each breaks a promise of networks."""


@dataclass(frozen=True)
class Softmax(Output):
    """A correct output, to be broken below."""

    levels: int = 3
    couples_channels: ClassVar[bool] = False

    def parameters_per_pixel(self, channels: int) -> int:
        return channels * self.levels

    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        n, _, height, width = parameters.shape
        logits = parameters.reshape(n, -1, self.levels, height, width)
        return logits.log_softmax(2).gather(2, levels[:, :, None])[:, :, 0]

    def pmf(self, parameters: Tensor, before: Tensor) -> Tensor:
        start = before.shape[-1] * self.levels
        return parameters[..., start : start + self.levels].double().softmax(-1)


class DoesNotSum(Softmax):
    """Every level gets a little more than its share, as a density used as a probability does."""

    def pmf(self, parameters: Tensor, before: Tensor) -> Tensor:
        return super().pmf(parameters, before) + 1e-9

    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return (super().log_prob(parameters, levels).exp() + 1e-9).log()


class Disagrees(Softmax):
    """Samples from a smoother distribution than it scores."""

    def pmf(self, parameters: Tensor, before: Tensor) -> Tensor:
        return super().pmf(0.9 * parameters, before)


class BoundsOneSide(Softmax):
    """Bounds the parameters that it scores with, and not those that it samples from."""

    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return super().log_prob(parameters.clamp(max=20), levels)


class MirrorsRows(Softmax):
    """Scores every pixel of a row with the parameters of its mirror image, of no use where a row has one."""

    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return super().log_prob(parameters.flip(3), levels)


class ReadsLogits(Softmax):
    """Hands out numbers that are no probabilities."""

    def pmf(self, parameters: Tensor, before: Tensor) -> Tensor:
        start = before.shape[-1] * self.levels
        return parameters[..., start : start + self.levels].double()


class SinglePrecision(Softmax):
    """A pmf in float32."""

    def pmf(self, parameters: Tensor, before: Tensor) -> Tensor:
        return super().pmf(parameters, before).float()


class LooksAtLaterChannel(Softmax):
    """The score of a channel changes with the next channel's level."""

    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        later = functional.pad(levels, (0, 0, 0, 0, 0, 1))[:, 1:]
        return super().log_prob(parameters, levels) - 0.1 * later


class Overflows(Softmax):
    """A softmax that is not shifted by its maximum."""

    def log_prob(self, parameters: Tensor, levels: Tensor) -> Tensor:
        n, _, height, width = parameters.shape
        weights = parameters.reshape(n, -1, self.levels, height, width).exp()
        share = weights / weights.sum(2, keepdim=True)
        return share.gather(2, levels[:, :, None])[:, :, 0].log()


class OverflowsLater(Softmax):
    """A pmf that for all channels but the first is not shifted by its maximum."""

    def pmf(self, parameters: Tensor, before: Tensor) -> Tensor:
        start = before.shape[-1] * self.levels
        weights = parameters[..., start : start + self.levels].exp().double()
        return weights / weights.sum(-1, keepdim=True) if start else super().pmf(parameters, before)


class PriorWeights(LogisticMixture):
    """Samples a channel with the components' own weights, however badly they explain the earlier channels."""

    def log_weights(self, table: Tensor, before: Tensor) -> Tensor:
        return super().log_weights(table, before[..., :0])


class EightBitTails(LogisticMixture):
    """Opens the tails beyond the ends of 8 bits, as the first implementation does, at any level count."""

    def log_piece(self, table: Tensor, levels: Tensor, channel: int) -> Tensor:
        eight_bits = LogisticMixture(levels=256, components=self.components)
        return eight_bits.log_piece(table, levels, channel)


SUM, AGREE = "probabilities sum to one", "pmf and log-probability agree"
LOCAL = "a sub-pixel is decided by its own pixel and earlier channels"

OUTPUTS = (
    Broken(DoesNotSum, SUM, ("sum to one up to", "only")),
    Broken(Disagrees, AGREE, ("differs from exp(log_prob)",)),
    Broken(BoundsOneSide, AGREE, ("differs from exp(log_prob)",)),
    Broken(MirrorsRows, AGREE, ("differs from exp(log_prob)",), (LOCAL,)),
    Broken(ReadsLogits, SUM, ("negative",), (AGREE,)),
    Broken(SinglePrecision, SUM, ("float32",), (AGREE,)),
    Broken(LooksAtLaterChannel, LOCAL, ("which comes later",), (AGREE,), (3,)),
    Broken(PriorWeights, AGREE, ("pmf of channel 1 differs", "re-weight"), (), (3,)),
    Broken(EightBitTails, AGREE, ("with 2 levels", "differs from exp(log_prob)")),
    Broken(Overflows, "large parameters stay finite", ("is not a number",)),
    Broken(OverflowsLater, "large parameters stay finite", ("pmf is not a number",), (), (3,)),
)
"""Each breaks a promise of outputs."""
