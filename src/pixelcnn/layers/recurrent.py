"""LSTM states that travel over the image line by line: over rows, or over diagonals.

A state at a position p reads the states at a few strictly past offsets::

    [o, f, i, g](p) = gates(p) + sum over taps t of weight[t] @ h(p + t)
    c(p) = sigmoid(f(p)) * c(p + cell) + sigmoid(i(p)) * tanh(g(p))
    h(p) = sigmoid(o(p)) * tanh(c(p))

States outside the image are zero. The input has been added up in ``gates`` before, for the whole image at
once; what is left to do in order is one product a line.
"""

import abc

import torch
from torch import Tensor, nn
from torch.nn import functional

from pixelcnn.config import check_integer
from pixelcnn.layers.causal import MaskedConv2d
from pixelcnn.layers.condition import ConditionBias
from pixelcnn.layers.layout import features_last
from pixelcnn.masks import Features
from pixelcnn.program import Program, Tap

Offset = tuple[int, int]
"""Rows down and columns right."""


class LSTMGates(nn.Module):
    """The input-to-state part of an LSTM: all that its gates take from the layer below.

    The bias of the forget gate starts at one, so that cells remember at first (Gers et al., 2000).

    Args:
        inputs: colours of the input.
        states: colours of the states; the gates o, f, i and g have the same.
        kernel: width of the kernel, whose right half is masked.
        bias: of the condition, for all four gates.

    Shapes: ``(n, inputs, h, w)`` to gates ``(n, 4 states, h, w)``.

    Example:
        >>> LSTMGates((0, 0), (0, 0, 0), kernel=3, bias=None)(torch.zeros(1, 2, 5, 7), None).shape
        torch.Size([1, 12, 5, 7])
    """

    def __init__(
        self, inputs: Features, states: Features, kernel: int, bias: ConditionBias | None
    ) -> None:
        super().__init__()
        self.convolve = MaskedConv2d(inputs, states * 4, (1, kernel), sees_itself=True)
        self.bias = bias
        assert self.convolve.bias is not None
        with torch.no_grad():
            self.convolve.bias[len(states) : 2 * len(states)] = 1

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        gates: Tensor = self.convolve(x)
        return gates if self.bias is None else gates + self.bias(condition)


class Recurrence(nn.Module, abc.ABC):
    """The states of all positions from their gates.

    Reference: van den Oord et al., Pixel Recurrent Neural Networks, 2016, eq. 3.

    Args:
        width: features of the state (h).
        kernel: states of the line before that a state reads.

    Shapes: gates ``(n, 4 width, h, w)`` in the order o, f, i, g to states ``(n, width, h, w)``.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        check_integer("width", width, 1, 16_384)
        self.width, self.kernel = width, kernel
        self.weight = nn.Parameter(torch.empty(4 * width, width, kernel))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform weights of variance 1 / (states read) (LeCun et al., 1998)."""
        nn.init.uniform_(self.weight, -1, 1)
        with torch.no_grad():
            self.weight.mul_((3 / self.weight[0].numel()) ** 0.5)

    @property
    @abc.abstractmethod
    def taps(self) -> tuple[Offset, ...]:
        """Offset of the state that each element of the kernel reads."""

    @property
    @abc.abstractmethod
    def cell(self) -> Offset:
        """Offset of the cell that a cell goes on from."""

    def scan(self, lines: Tensor, before: int) -> Tensor:
        """States of lines that follow each other, each reading the line before at neighbouring places.

        Args:
            lines: gates ``(lines, n, places, 4 width)``.
            before: how many places ahead of its own the kernel begins.

        Returns:
            States ``(lines, n, places, width)``.
        """
        dtype, places = lines.dtype, lines.shape[2]
        if dtype in (torch.bfloat16, torch.float16):
            lines = lines.float()  # cells are sums over many lines
        kernel = self.weight.permute(2, 1, 0).flatten(0, 1).to(lines.dtype)
        padding = (0, 0, before, self.kernel - 1 - before)
        states: list[Tensor] = []
        c: Tensor | None = None
        for gates in lines.unbind():
            if states:
                h = functional.pad(states[-1], padding)
                near = torch.cat([h[:, k : k + places] for k in range(self.kernel)], -1)
                gates = gates + near @ kernel
            o, f, i = gates[..., : 3 * self.width].sigmoid().chunk(3, -1)
            new = i * gates[..., 3 * self.width :].tanh()
            c = new if c is None else f * c + new
            states.append(o * c.tanh())
        return torch.stack(states).to(dtype)

    def lower(self, program: Program, x: int) -> int:
        """The formula above, word for word; ``x`` are the gates."""
        past_h, past_c = program.past(self.width, like=x), program.past(self.width, like=x)
        weight = self.weight.detach()
        live = torch.ones_like(weight[..., 0], dtype=torch.bool)
        taps = [Tap(*at, weight[..., k], live) for k, at in enumerate(self.taps)]
        gates = program.elementwise("add", x, program.taps(past_h, taps, bias=None))
        o, f, i, g = (
            program.elementwise(
                function, program.slice(gates, k * self.width, (k + 1) * self.width)
            )
            for k, function in enumerate(("sigmoid", "sigmoid", "sigmoid", "tanh"))
        )
        kept = program.elementwise(
            "mul", f, program.depthwise(past_c, [self._copy(*self.cell)], None)
        )
        c = program.elementwise("add", kept, program.elementwise("mul", i, g))
        h = program.elementwise("mul", o, program.elementwise("tanh", c))
        program.bind(past_h, h)
        program.bind(past_c, c)
        return h

    def _copy(self, down: int, right: int) -> Tap:
        """A depthwise tap that takes a state as it is."""
        ones = torch.ones(self.width, dtype=self.weight.dtype, device=self.weight.device)
        return Tap(down, right, ones, ones.bool())

    def extra_repr(self) -> str:
        return f"{self.width}, kernel={self.kernel}"


class RowRecurrence(Recurrence):
    """Row LSTM: a state reads the row above, around its column.

    ``taps`` are ``(-1, -k // 2) ... (-1, k // 2)``, ``cell`` is ``(-1, 0)``. Rows are computed whole.

    Reference: van den Oord et al., 2016a, section 3.1.

    Args:
        width: features of the state.
        kernel: odd number of states of the row above.

    Example:
        >>> layer = RowRecurrence(width=2, kernel=3)
        >>> layer(torch.zeros(1, 8, 5, 7)).shape, layer.taps
        (torch.Size([1, 2, 5, 7]), ((-1, -1), (-1, 0), (-1, 1)))
    """

    @property
    def taps(self) -> tuple[Offset, ...]:
        return tuple((-1, k - self.kernel // 2) for k in range(self.kernel))

    @property
    def cell(self) -> Offset:
        return (-1, 0)

    def forward(self, x: Tensor) -> Tensor:
        lines = x.permute(2, 0, 3, 1).contiguous()
        return features_last(self.scan(lines, before=self.kernel // 2).permute(1, 3, 0, 2))


class DiagonalRecurrence(Recurrence):
    """One half of Diagonal BiLSTM: a state reads its left neighbour and the one above.

    ``taps`` are ``(-1, 0) (0, -1)``, ``cell`` is ``(0, -1)``. Diagonals are computed whole: they are the
    columns of the image after each row is moved right by its number.

    The backward half is the mirror image, from the right border to the left: ``taps`` are ``(-1, 0)
    (0, 1)``, ``cell`` is ``(0, 1)``. Its states see the right of their own row, so they are handed to the
    row below: the output at ``(r, x)`` is the state at ``(r - 1, x)``, zero in the first row.

    Reference: van den Oord et al., 2016a, section 3.2 and fig. 3.

    Args:
        width: features of the state.
        backward: from right to left, for the row below.

    Example:
        >>> layer = DiagonalRecurrence(width=2, backward=True)
        >>> layer(torch.ones(1, 8, 5, 7))[0, :, 0].any(), layer.taps
        (tensor(False), ((-1, 0), (0, 1)))
    """

    def __init__(self, width: int, *, backward: bool = False) -> None:
        super().__init__(width, kernel=2)
        self.backward = backward

    @property
    def taps(self) -> tuple[Offset, ...]:
        """Of the states; the output of the backward half lies one row further down."""
        return ((-1, 0), self.cell)

    @property
    def cell(self) -> Offset:
        """Of the states, as :attr:`taps`."""
        return (0, 1) if self.backward else (0, -1)

    def forward(self, x: Tensor) -> Tensor:
        if not self.backward:
            return features_last(self.states(x))
        states = self.states(x.flip(3)).flip(3)
        return features_last(functional.pad(states, (0, 0, 1, 0))[:, :, :-1])

    def states(self, x: Tensor) -> Tensor:
        """The states of the half that runs to the right."""
        # Left of the image gates and states are zero; what is right of it, nothing in the image reads.
        diagonals = skew(x).permute(3, 0, 2, 1).contiguous()
        states = self.scan(diagonals, before=1)
        return unskew(states.permute(1, 3, 2, 0), x.shape[3])

    def lower(self, program: Program, x: int) -> int:
        """The states; those of the backward half are read from the row above."""
        states = super().lower(program, x)
        return program.depthwise(states, [self._copy(-1, 0)], None) if self.backward else states

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, backward={self.backward}"


def skew(x: Tensor) -> Tensor:
    """Moves row r of ``(n, f, h, w)`` right by r places, zeros around it: ``(n, f, h, w + h - 1)``.

    Example:
        >>> skew(torch.tensor([[1, 2], [3, 4]])[None, None])[0, 0].tolist()
        [[1, 2, 0], [0, 3, 4]]
    """
    height, width = x.shape[2:]
    # Rows that are one place shorter begin one place earlier each.
    flat = functional.pad(x, (0, height)).flatten(2)
    return flat[..., : height * (width + height - 1)].unflatten(2, (height, width + height - 1))


def unskew(x: Tensor, width: int) -> Tensor:
    """What :func:`skew` was given, ``width`` columns of it.

    Example:
        >>> unskew(torch.tensor([[1, 2, 0], [0, 3, 4]])[None, None], 2)[0, 0].tolist()
        [[1, 2], [3, 4]]
    """
    height = x.shape[2]
    flat = functional.pad(x.flatten(2), (0, height))
    return flat.unflatten(2, (height, width + height))[..., :width]
