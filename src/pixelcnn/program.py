"""The lowered form of a network: a flat, printable list of primitives.

A value is a vector of features at every position of a grid: the image's, or a coarser one of every k-th
row and column. Primitives read values at offsets (*taps*, *attend*) or at the position itself (everything
else). When a value can be computed is derived from that, not written: see :mod:`pixelcnn.engines.timing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from torch import Tensor

from pixelcnn.errors import ConfigError

UNARY = ("relu", "elu", "silu", "tanh", "sigmoid", "prelu", "scale", "shift")
BINARY = ("add", "sub", "mul")

ROW_START = -1
"""Stage of a feature that depends on finished rows only: computed for a whole row before its first pixel."""


class Unlowerable(ConfigError):
    """A network does something that no program can say; the message names it."""


class Tap(NamedTuple):
    """A linear map from the features at an offset.

    Attributes:
        down: rows of the source's grid, at most 0.
        right: columns of the source's grid.
        weight: ``(out, in)``, masked; of a depthwise tap ``(features,)``.
        live: which weights the mask leaves, bool, of the same shape.
        phase: of an upsampling tap: the row and column within a source's cell that it writes.
    """

    down: int
    right: int
    weight: Tensor
    live: Tensor
    phase: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return f"({self.down},{self.right})" + (f"@{self.phase}" if any(self.phase) else "")


@dataclass(frozen=True)
class Node:
    """One primitive.

    Attributes:
        op: ``input``, ``lookup``, ``condition``, ``taps``, ``depthwise``, ``norm``, ``slice``, ``cat``,
            ``past``, ``attend``, or an elementwise function.
        sources: numbers of the nodes it reads.
        width: features of its value.
        taps: of ``taps`` and ``depthwise``.
        parameter: bias of ``taps`` and ``depthwise``, weight of ``condition``, gain of ``norm``, slope of
            ``prelu``, constant of ``scale`` and ``shift``, start token of ``attend``, table of ``lookup``.
        kind: of ``condition``: label, vector or map.
        start: first feature of ``slice``.
        groups: of ``norm``: the group of each feature.
        epsilon: of ``norm``.
        heads: of ``attend``.
        clock: rows, and columns, of the image from one position of its grid to the next.
    """

    op: str
    sources: tuple[int, ...]
    width: int
    taps: tuple[Tap, ...] = ()
    parameter: Tensor | None = None
    kind: str = ""
    start: int = 0
    groups: tuple[int, ...] = ()
    epsilon: float = 0.0
    heads: int = 1
    clock: int = 1

    def __str__(self) -> str:
        read = ", ".join(f"%{source}" for source in self.sources)
        notes = {
            "taps": " ".join(map(str, self.taps)),
            "depthwise": " ".join(map(str, self.taps)),
            "slice": f"[{self.start}:{self.start + self.width}]",
            "condition": self.kind,
            "attend": f"{self.heads} heads" if self.heads > 1 else "",
        }.get(self.op, "")
        grid = f"/{self.clock}" if self.clock > 1 else ""
        return f"{self.op}({read}) -> {self.width}{grid}" + (f"  {notes}" if notes else "")


@dataclass(eq=False)
class Program:
    """A list of nodes; the last one is the output.

    Each reads earlier ones at its own position or before it; a ``past`` node stands for what a later one
    was at earlier positions. Layers build it: every method appends a node and returns its number.

    Example:
        >>> program = Program()
        >>> x = program.input(1)
        >>> y = program.elementwise("relu", x)
        >>> print(program)
        %0 = input() -> 1
        %1 = relu(%0) -> 1
    """

    nodes: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(f"%{number} = {node}" for number, node in enumerate(self.nodes))

    def _append(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def width(self, number: int) -> int:
        """Features of a node's value."""
        return self.nodes[number].width

    def input(self, channels: int) -> int:
        """The scaled levels, or the levels themselves where the network embeds them."""
        return self._append(Node("input", (), channels))

    def lookup(self, source: int, table: Tensor) -> int:
        """The features that a table has for the level of each channel, channel-major.

        Args:
            source: the input, unscaled.
            table: ``(channels, levels, features)``.
        """
        if self.nodes[source].op != "input":
            raise Unlowerable("only the levels of the input can be looked up")
        channels, _, size = table.shape
        assert channels == self.width(source)
        return self._append(Node("lookup", (source,), channels * size, parameter=table))

    def condition(self, kind: str, weight: Tensor, clock: int = 1) -> int:
        """A linear function of the condition: of a label's one-hot code, a vector, or a map's position.

        Args:
            kind: label, vector or map.
            weight: ``(size, width)``.
            clock: of the grid that a map is read on.
        """
        node = Node("condition", (), weight.shape[1], parameter=weight, kind=kind)
        return self._append(replace(node, clock=clock if kind == "map" else 1))

    def condition_values(self, number: int, condition: Tensor) -> Tensor:
        """What a condition node gives: ``(n, width)``, or ``(n, h, w, width)`` for a map."""
        node = self.nodes[number]
        assert node.op == "condition" and node.parameter is not None
        if node.kind == "label":
            return node.parameter[condition]
        values = condition if node.kind == "vector" else condition.movedim(1, -1)
        return values.to(node.parameter.dtype) @ node.parameter

    def taps(
        self,
        source: int,
        taps: Sequence[Tap],
        bias: Tensor | None,
        *,
        stride: int = 1,
        up: int = 1,
    ) -> int:
        """A sum of linear maps of the features at offsets; positions outside the image count as zero.

        Args:
            source: the node that is read.
            taps: what is read of it; position (y, x) reads ``(stride y + down, stride x + right)``.
            bias: added to every position.
            stride: the result lives on a grid so much coarser.
            up: the result lives on a grid so much finer; position (y, x) reads ``(y // up + down,
                x // up + right)``, by the taps of phase ``(y % up, x % up)`` alone.
        """
        clock = self.nodes[source].clock * stride
        if clock % up or (stride > 1 and up > 1):
            raise Unlowerable(f"a grid of every {clock} positions cannot be made {up} times finer")
        width = taps[0].weight.shape[0]
        return self._append(
            Node("taps", (source,), width, taps=tuple(taps), parameter=bias, clock=clock // up)
        )

    def depthwise(self, source: int, taps: Sequence[Tap], bias: Tensor | None) -> int:
        """A weighted sum of each feature's own values at offsets, in the source's order of features."""
        return self._like(source, "depthwise", taps=tuple(taps), parameter=bias)

    def past(self, width: int, like: int) -> int:
        """What a node yet to come was at earlier positions; read by taps, never at its own position.

        Args:
            width: its features.
            like: a node on the same grid.
        """
        return self._append(Node("past", (), width, clock=self.nodes[like].clock))

    def bind(self, past: int, number: int) -> None:
        """Says which node a past is of."""
        assert self.nodes[past].op == "past" and self.width(past) == self.width(number)
        self.nodes[past] = replace(self.nodes[past], sources=(number,))

    def attend(self, query: int, key: int, value: int, heads: int, start: Tensor) -> int:
        """Attention of each position to all before it in raster order, and to a start token.

        Args:
            query: ``heads * d`` features, the heads one after the other.
            key: as the query.
            value: ``heads * e`` features.
            heads: how many.
            start: key and value of the start token, ``(heads * d + heads * e,)``.
        """
        if len({self.nodes[number].clock for number in (query, key, value)}) > 1:
            raise Unlowerable("attention between grids of different size")
        width, clock = self.width(value), self.nodes[query].clock
        node = Node("attend", (query, key, value), width, parameter=start, heads=heads, clock=clock)
        return self._append(node)

    def elementwise(self, op: str, *sources: int, parameter: Tensor | None = None) -> int:
        """An elementwise function of one or two values of the same width."""
        expected = 1 if op in UNARY else 2
        assert op in UNARY + BINARY and len(sources) == expected, op
        widths = {self.width(source) for source in sources}
        if len(widths) != 1:
            raise Unlowerable(f"{op} of values with {sorted(widths)} features")
        clock = self._clock(op, sources)
        return self._append(Node(op, sources, widths.pop(), parameter=parameter, clock=clock))

    def slice(self, source: int, start: int, stop: int) -> int:
        """Some of the features of a value."""
        clock = self.nodes[source].clock
        return self._append(Node("slice", (source,), stop - start, start=start, clock=clock))

    def cat(self, *sources: int) -> int:
        """The features of several values, one after the other."""
        clock = self._clock("cat", sources)
        return self._append(Node("cat", sources, sum(map(self.width, sources)), clock=clock))

    def norm(self, source: int, gain: Tensor, groups: Sequence[int], epsilon: float) -> int:
        """Features divided by the root mean square of their group at the position, times a gain."""
        return self._like(source, "norm", parameter=gain, groups=tuple(groups), epsilon=epsilon)

    def _like(self, source: int, op: str, **fields: Any) -> int:
        """A node on the grid, and of the width, of what it reads."""
        node = self.nodes[source]
        return self._append(Node(op, (source,), node.width, clock=node.clock, **fields))

    def _clock(self, op: str, sources: Sequence[int]) -> int:
        """The grid of several sources; the same label or vector holds at every position of any grid."""
        nodes = [self.nodes[source] for source in sources]
        clocks = {node.clock for node in nodes if node.kind not in ("label", "vector")}
        if len(clocks) > 1:
            raise Unlowerable(f"{op} of values on grids of every {sorted(clocks)} positions")
        return clocks.pop() if clocks else 1
