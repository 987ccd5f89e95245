"""The integer twin of a program: the same network in whole numbers, which are the same on every machine.

A value of the network stands as a whole number times a scale, one scale for all values that are added up or
put side by side: :data:`LIMIT` steps to the largest value seen in calibration and a quarter more. What a sum
reads is rounded to fewer steps first, and its weights to as many, a scale for each output; so its partial
sums, in any order, are whole numbers that a float holds exactly. Smooth functions are tables.

The twin follows from the weights and the ranges by comparisons and single operations of float64, which are
rounded alike on every machine: nothing is summed in floats.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pixelcnn.codec.bounds import bounds
from pixelcnn.codec.fixed import (
    BYTE,
    EXACT,
    LIMIT,
    SINGLE,
    Fixed,
    Precision,
    factor,
    scales,
    whole,
)
from pixelcnn.codec.functions import tabulated
from pixelcnn.codec.weights import rounded, sizes, with_weights
from pixelcnn.program import (
    Cat,
    Condition,
    Dense,
    Elementwise,
    Flatten,
    Input,
    Lookup,
    Node,
    Norm,
    Past,
    Position,
    Program,
    Requantise,
    RoundedMul,
    RoundedNorm,
    Slice,
    Sum,
    Table,
    Unflatten,
    Unlowerable,
)

WIDEST = 2**20
"""Largest number that a table is made for."""
NOWHERE = -1
"""Number of a past as such: what is made are pasts as sums read them."""


class Twin:
    """Makes the integer program of a network's.

    Args:
        program: of the network.
        levels: of the images.
        ranges: largest absolute value of each node in calibration.
        precision: of sums.

    Attributes:
        program: in whole numbers, held in float64.
        scale: what 1 of its parameters stands for.
        limits: largest number of each node, partial sums included, see :mod:`pixelcnn.codec.bounds`.

    Raises:
        Unlowerable: a primitive has no integer form, or sums would be too large.
    """

    def __init__(
        self, program: Program, levels: int, ranges: Sequence[float], precision: Precision
    ) -> None:
        self.source, self.levels, self.precision = program, levels, precision
        self.program = Program()
        self.scales = scales(program, levels, ranges)
        self.made: dict[int, Fixed] = {}
        self.remade: dict[int, Callable[[float, int], Node]] = {}
        self.readers = Counter(
            s for n in program.nodes for s in n.sources * (1 + isinstance(n, Past))
        )
        self.narrowed: dict[tuple[int, int], Fixed] = {}
        for number, node in enumerate(program.nodes):
            try:
                self.made[number] = self._make(number, node)
            except Unlowerable as error:
                raise Unlowerable(f"node %{number}: {error}") from error
            self._bind(number)
        limits = bounds(self.program, levels)
        if any(limits[each.number] > each.limit for each in self.made.values() if each.number >= 0):
            raise AssertionError("a value of the twin outgrows what it was built for")
        self.limits = limits
        _, self.scale, self.limit = self.made[len(program.nodes) - 1]
        self.remade.clear()  # what it holds of tables

    def _make(self, number: int, node: Node) -> Fixed:
        scale = self.scales[number]
        if isinstance(node, Input):
            return Fixed(self.program.add(Input(width=node.width)), scale, self.levels - 1)
        if isinstance(node, Condition):
            return self._condition(node, scale)
        if isinstance(node, Position):
            of_rows, of_columns = whole(node.rows, scale), whole(node.columns, scale)
            added = self.program.add(replace(node, rows=of_rows, columns=of_columns))
            return Fixed(added, scale, 2 * LIMIT)
        if isinstance(node, Past):
            return Fixed(NOWHERE, scale, LIMIT)
        if isinstance(node, Lookup):
            source = self.made[node.sources[0]].number
            return Fixed(self.program.lookup(source, whole(node.table, scale)), scale, LIMIT)
        if isinstance(node, Sum | Dense):
            return self._sum(node, scale)
        if isinstance(node, Flatten | Unflatten):
            read = self.made[node.sources[0]]
            return read._replace(number=self.program.add(replace(node, sources=(read.number,))))
        if isinstance(node, Slice | Cat):
            sources = [self._at_scale(self.made[source], scale) for source in node.sources]
            added = self.program.add(replace(node, sources=tuple(each.number for each in sources)))
            return self._bounded(number, Fixed(added, scale, max(each.limit for each in sources)))
        if isinstance(node, Norm):
            return self._norm(node, scale)
        if isinstance(node, Elementwise):
            return self._bounded(number, self._elementwise(node, scale))
        raise Unlowerable(f"{node.op} has no integer form")

    def _condition(self, node: Condition, scale: float) -> Fixed:
        if node.kind != "label":
            raise Unlowerable(f"a {node.kind} condition has no integer form")
        added = self.program.add(replace(node, weight=whole(node.weight, scale)))
        return Fixed(added, scale, LIMIT)

    def _bind(self, number: int) -> None:
        """Makes what stands for a node's past mean it: sums read a past in as few steps as any value."""
        for past, node in enumerate(self.source.nodes):
            if isinstance(node, Past) and number in node.sources:
                for (source, most), read in list(self.narrowed.items()):
                    if source == past:
                        self.program.bind(read.number, self._narrow(number, most).number)

    def _bounded(self, number: int, value: Fixed) -> Fixed:
        """A node for which a past stands has no more than :data:`LIMIT` steps."""
        bound = any(isinstance(n, Past) and number in n.sources for n in self.source.nodes)
        most = LIMIT if bound else WIDEST
        return value if value.limit <= most else self._rounded(value, value.scale, LIMIT)

    def _rounded(self, value: Fixed, scale: float, limit: int) -> Fixed:
        """A value at another scale, cut off at a limit."""
        ratio = torch.full((self.program.width(value.number),), value.scale, dtype=torch.float64)
        return self._requantised(value, ratio, scale, limit)

    def _requantised(self, value: Fixed, ratio: Tensor, scale: float, limit: int) -> Fixed:
        """A value times ratios of its scale and another one, cut off at a limit."""

        def make(scale: float, limit: int) -> Node:
            return Requantise(
                sources=(value.number,),
                width=len(ratio),
                clock=self.program.nodes[value.number].clock,
                constants=(float(limit),),
                parameter=factor(ratio / scale, value.limit),
            )

        return self._added(make, scale, limit)

    def _added(self, make: Callable[[float, int], Node], scale: float, limit: int) -> Fixed:
        """A new node of a scale and limit, which may get others while nothing else reads it."""
        number = self.program.add(make(scale, limit))
        self.remade[number] = make
        return Fixed(number, scale, limit)

    def _at_scale(self, value: Fixed, scale: float) -> Fixed:
        """A value at the scale of what it is combined with; only the image has one of its own."""
        return value if value.scale == scale else self._rounded(value, scale, LIMIT)

    def _narrow(self, source: int, most: int) -> Fixed:
        """A value as a sum reads it, in no more than so many steps unless it has few.

        What nothing else reads, a past neither, is rounded once, to these steps alone.
        """
        value, node = self.made[source], self.source.nodes[source]
        if value.limit <= max(most, BYTE) and value.number != NOWHERE:
            return value
        if value.number in self.remade and self.readers[source] == 1:
            scale = value.scale * value.limit / most
            self.program.nodes[value.number] = self.remade[value.number](scale, most)
            self.made[source] = Fixed(value.number, scale, most)
            return self.made[source]
        if (source, most) not in self.narrowed:
            # Levels may be all that they can; of what is added, few values are as large.
            full = value.limit if isinstance(node, Input) else min(value.limit, LIMIT)
            scale = value.scale * full / most
            self.narrowed[source, most] = (
                Fixed(self.program.add(replace(node, sources=())), scale, most)
                if isinstance(node, Past)
                else self._rounded(value, scale, most)
            )
        return self.narrowed[source, most]

    def _sum(self, node: Sum | Dense, scale: float) -> Fixed:
        integers, step = rounded(node, self.precision.weights)
        few, most = self.made[node.sources[0]].limit, float(sizes(integers).max())
        read = self._narrow(node.sources[0], self.precision.steps(few, most))
        bias = torch.zeros(node.width, dtype=torch.float64)
        if node.bias is not None:
            # Weights that decayed to next to nothing would leave a bias of very many of their steps.
            exact = node.bias.detach().double().cpu()
            least = exact.abs() / (read.scale * (SINGLE // 2 - 1))
            integers, step = rounded(node, self.precision.weights, least)
            bias = torch.round(exact / (step * read.scale))
        total = sizes(integers)
        size = float((total * read.limit + bias.abs()).max())
        if not size < EXACT:
            raise Unlowerable(f"sums up to {size:.1g} are not exact")
        added = self.program.add(with_weights(node, integers, bias, read.number))
        found = Fixed(added, read.scale, int(size))
        return self._requantised(found, step * read.scale, scale, LIMIT)

    def _norm(self, node: Norm, scale: float) -> Fixed:
        """The gain takes the scale of the result; epsilon that of the square of what is read."""
        source = self.made[node.sources[0]]
        if source.limit > LIMIT:
            source = self._rounded(source, source.scale, LIMIT)
        size = max(node.groups.count(group) for group in set(node.groups)) if node.centred else 1
        if (source.limit * 2 * size) ** 2 * node.width >= EXACT:
            raise Unlowerable(f"a centred norm of {size} features is not exact")
        added = RoundedNorm(
            sources=(source.number,),
            width=node.width,
            clock=node.clock,
            gain=node.gain.detach().double().cpu() / scale,
            groups=node.groups,
            epsilon=node.epsilon / source.scale**2,
            centred=node.centred,
            bias=None if node.bias is None else node.bias.detach().double().cpu() / scale,
            limit=float(LIMIT),
        )
        return Fixed(self.program.add(added), scale, LIMIT)

    def _elementwise(self, node: Elementwise, scale: float) -> Fixed:
        sources = [self.made[source] for source in node.sources]
        if node.op in ("add", "sub"):
            one, other = (self._at_scale(source, scale) for source in sources)
            added = self.program.elementwise(node.op, one.number, other.number)
            return Fixed(added, scale, one.limit + other.limit)
        if node.op == "mul":
            (one, other), largest = sources, math.prod(each.limit for each in sources)
            ratio = torch.tensor(one.scale * other.scale, dtype=torch.float64)

            def make(scale: float, limit: int) -> Node:
                return RoundedMul(
                    sources=(one.number, other.number),
                    width=node.width,
                    clock=node.clock,
                    constants=(factor(ratio / scale, largest).item(), float(limit)),
                )

            return self._added(make, scale, LIMIT)
        if node.op == "prelu":
            return self._prelu(node, sources[0], scale)
        return self._table(node, sources[0], scale)

    def _table(self, node: Elementwise, source: Fixed, scale: float) -> Fixed:
        places = np.arange(-source.limit, source.limit + 1, dtype=np.float64)
        entries = torch.from_numpy(tabulated(node, places * source.scale))

        def make(scale: float, limit: int) -> Node:
            return Table(
                sources=(source.number,),
                width=node.width,
                clock=node.clock,
                constants=(float(source.limit),),
                table=torch.round(entries / scale).clamp(-limit, limit),
            )

        return self._added(make, scale, LIMIT)

    def _prelu(self, node: Elementwise, source: Fixed, scale: float) -> Fixed:
        """The part above zero, and that below it times a slope a feature."""
        assert node.parameter is not None
        above = self.program.elementwise("relu", source.number)
        below = self.program.elementwise("sub", source.number, above)
        slopes = node.parameter.detach().double().cpu()
        parts = [
            self._requantised(source._replace(number=part), each * source.scale, scale, LIMIT)
            for part, each in ((above, torch.ones_like(slopes)), (below, slopes))
        ]
        return Fixed(self.program.elementwise("add", *(p.number for p in parts)), scale, 2 * LIMIT)
