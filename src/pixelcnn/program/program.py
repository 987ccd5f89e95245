"""The list of primitives that a network is, and how layers write it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pixelcnn.program.beginnings import Condition, Input, Lookup, Past, Position
from pixelcnn.program.elementwise import ELEMENTWISE
from pixelcnn.program.features import Attend, Cat, Norm, Slice
from pixelcnn.program.node import UNITS, Node, Unlowerable
from pixelcnn.program.sums import Depthwise, Tap, Taps
from pixelcnn.program.units import Dense, FlatCondition, Flatten, Unflatten


@dataclass(eq=False)
class Program:
    """A list of nodes; the last one is the output.

    Each reads earlier ones at its own position or before it; a ``past`` node stands for what a later one
    was at earlier positions. Layers build it: every method appends a node and returns its number.

    Args:
        nodes: none at first.
        like: a tensor of the type, and on the device, of what is computed.
        largest: height and width of the largest image that the network takes; None for any.

    Example:
        >>> program = Program()
        >>> x = program.input(1)
        >>> y = program.elementwise("elu", x, constants=(0.5,))
        >>> print(program)
        %0 = input() -> 1
        %1 = elu(%0) -> 1  alpha=0.5
    """

    nodes: list[Node] = field(default_factory=list)
    like: Tensor = field(default_factory=lambda: torch.zeros(()))
    largest: tuple[int, int] | None = None

    def __str__(self) -> str:
        return "\n".join(f"%{number} = {node}" for number, node in enumerate(self.nodes))

    def add(self, node: Node) -> int:
        """Appends a node; returns its number."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def width(self, number: int) -> int:
        """Features of a node's value."""
        return self.nodes[number].width

    def input(self, channels: int) -> int:
        """The scaled levels, or the levels themselves where the network embeds them."""
        return self.add(Input(width=channels))

    def lookup(self, source: int, table: Tensor) -> int:
        """The features that a table has for the level of each channel, channel-major.

        Args:
            source: the input, unscaled.
            table: ``(channels, levels, features)``.
        """
        if not isinstance(self.nodes[source], Input):
            raise Unlowerable("only the levels of the input can be looked up")
        channels, _, size = table.shape
        assert channels == self.width(source)
        return self.add(Lookup(sources=(source,), width=channels * size, table=table))

    def condition(self, kind: str, weight: Tensor, clock: int = 1) -> int:
        """A linear function of the condition: of a label's one-hot code, a vector, or a map's position.

        Args:
            kind: label, vector or map.
            weight: ``(size, width)``.
            clock: of the grid that a map is read on.
        """
        clock = clock if kind == "map" else 1
        return self.add(Condition(width=weight.shape[1], clock=clock, kind=kind, weight=weight))

    def position(self, rows: Tensor, columns: Tensor, like: int) -> int:
        """``rows[y] + columns[x]`` at position (y, x).

        Args:
            rows: ``(rows, features)``, of all sizes the network takes.
            columns: ``(columns, features)``.
            like: a node on the same grid.
        """
        clock = self._grid("position", like)
        if rows.shape[1] != columns.shape[1]:
            raise Unlowerable(f"rows of {rows.shape[1]} features, columns of {columns.shape[1]}")
        return self.add(Position(width=rows.shape[1], clock=clock, rows=rows, columns=columns))

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
            taps: what is read of it, see :class:`~pixelcnn.program.sums.Sum`.
            bias: added to every position.
            stride: the result lives on a grid so much coarser.
            up: the result lives on a grid so much finer.
        """
        clock = self._grid("taps", source) * stride
        if clock % up or (stride > 1 and up > 1):
            raise Unlowerable(f"a grid of every {clock} positions cannot be made {up} times finer")
        for tap in taps:
            _check_weight(tap, (taps[0].weight.shape[0], self.width(source)))
        node = Taps(
            sources=(source,),
            width=taps[0].weight.shape[0],
            clock=clock // up,
            taps=tuple(taps),
            bias=bias,
            stride=stride,
            up=up,
        )
        return self.add(node)

    def depthwise(self, source: int, taps: Sequence[Tap], bias: Tensor | None) -> int:
        """A weighted sum of each feature's own values at offsets, in the source's order of features."""
        clock, width = self._grid("depthwise", source), self.width(source)
        for tap in taps:
            _check_weight(tap, (width,))
        return self.add(
            Depthwise(sources=(source,), width=width, clock=clock, taps=tuple(taps), bias=bias)
        )

    def past(self, width: int, like: int) -> int:
        """What a node yet to come was at earlier positions; read by taps, never at its own position.

        Args:
            width: its features.
            like: a node on the same grid.
        """
        return self.add(Past(width=width, clock=self._grid("past", like)))

    def bind(self, past: int, number: int) -> None:
        """Says which node a past is of."""
        assert isinstance(self.nodes[past], Past) and self.width(past) == self.width(number)
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
        sources = query, key, value
        clock = self._clock("attention", sources)
        self._grid("attention", query)
        width = self.width(value)
        return self.add(Attend(sources=sources, width=width, clock=clock, heads=heads, start=start))

    def elementwise(
        self,
        op: str,
        *sources: int,
        constants: Sequence[float] = (),
        parameter: Tensor | None = None,
    ) -> int:
        """An elementwise function of one or two values of the same width.

        Args:
            op: its name, see :mod:`pixelcnn.program.elementwise`.
            sources: what it is a function of.
            constants: the numbers that it takes.
            parameter: one number a feature, ``(width,)``.
        """
        kind = ELEMENTWISE[op]
        assert len(sources) == kind.arity and len(constants) == len(kind.takes), op
        assert (parameter is not None) == kind.takes_parameter, op
        widths = {self.width(source) for source in sources}
        if len(widths) != 1:
            raise Unlowerable(f"{op} of values with {sorted(widths)} features")
        node = kind(
            sources=sources,
            width=widths.pop(),
            clock=self._clock(op, sources),
            constants=tuple(float(number) for number in constants),
            parameter=parameter,
        )
        return self.add(node)

    def slice(self, source: int, start: int, stop: int) -> int:
        """Some of the features of a value, at least one."""
        if not 0 <= start < stop <= self.width(source):
            raise Unlowerable(f"features {start} to {stop} of {self.width(source)}")
        clock = self.nodes[source].clock
        return self.add(Slice(sources=(source,), width=stop - start, clock=clock, start=start))

    def cat(self, *sources: int) -> int:
        """The features of several values, one after the other."""
        clock = self._clock("cat", sources)
        return self.add(Cat(sources=sources, width=sum(map(self.width, sources)), clock=clock))

    def norm(
        self,
        source: int,
        gain: Tensor,
        groups: Sequence[int],
        epsilon: float,
        *,
        centred: bool = False,
        bias: Tensor | None = None,
    ) -> int:
        """Features divided by the root mean square of their group at the position, times a gain."""
        clock, width = self._grid("norm", source), self.width(source)
        for what, each in (("gain", gain), ("groups", groups), ("bias", bias)):
            if each is not None and len(each) != width:
                raise Unlowerable(f"a norm of {width} features with {len(each)} in its {what}")
        return self.add(
            Norm(
                sources=(source,),
                width=width,
                clock=clock,
                gain=gain,
                groups=tuple(groups),
                epsilon=epsilon,
                centred=centred,
                bias=bias,
            )
        )

    def flatten(self, source: int, rows: int, columns: int) -> int:
        """Features of all positions of an image, at most so large, as units."""
        if self._grid("flatten", source) != 1:
            raise Unlowerable("flatten of values on a coarser grid than the image")
        width = rows * columns * self.width(source)
        return self.add(Flatten(sources=(source,), width=width, rows=rows, columns=columns))

    def flat_condition(self, weight: Tensor, rows: int, columns: int) -> int:
        """A linear function of all of a map, flattened; weight ``(rows * columns * size, width)``."""
        width, kind = weight.shape[1], "flat map"
        return self.add(
            FlatCondition(width=width, kind=kind, weight=weight, rows=rows, columns=columns)
        )

    def dense(self, source: int, weight: Tensor, live: Tensor, bias: Tensor | None) -> int:
        """A linear map of units: masked weights ``(out, in)``, and which of them the mask leaves."""
        if self.nodes[source].clock != UNITS:
            raise Unlowerable("dense of what belongs to positions; flatten it first")
        if weight.shape != live.shape or weight.shape[1] != self.width(source):
            raise Unlowerable(f"a weight {tuple(weight.shape)} of {self.width(source)} units")
        return self.add(
            Dense(sources=(source,), width=len(weight), weight=weight, live=live, bias=bias)
        )

    def unflatten(self, source: int, rows: int, columns: int) -> int:
        """Units as features of the positions of an image, at most so large."""
        width, rest = divmod(self.width(source), rows * columns)
        if self.nodes[source].clock != UNITS or rest:
            raise Unlowerable(f"unflatten of anything but the units of {rows}x{columns} positions")
        return self.add(Unflatten(sources=(source,), width=width, rows=rows, columns=columns))

    def _grid(self, op: str, source: int) -> int:
        """The clock of a value that has positions."""
        clock = self.nodes[source].clock
        if clock == UNITS:
            raise Unlowerable(f"{op} of units, which have no position")
        return clock

    def _clock(self, op: str, sources: Sequence[int]) -> int:
        """The grid of several sources; the same label or vector holds at every position of any grid."""
        nodes = [self.nodes[source] for source in sources]
        clocks = {node.clock for node in nodes if getattr(node, "kind", "map") == "map"}
        if len(clocks) > 1 and UNITS in clocks:
            raise Unlowerable(f"{op} of units, and of what belongs to positions")
        if len(clocks) > 1:
            raise Unlowerable(f"{op} of values on grids of every {sorted(clocks)} positions")
        return clocks.pop() if clocks else 1


def _check_weight(tap: Tap, expected: tuple[int, ...]) -> None:
    """A wrong size would fail only where it is used, in the midst of sampling."""
    weight, mask = tuple(tap.weight.shape), tuple(tap.live.shape)
    if weight != expected:
        raise Unlowerable(f"a weight {weight} for {expected[-1]} features, {expected} is expected")
    if mask != expected:
        raise Unlowerable(f"a mask {mask} for a weight {weight}")
