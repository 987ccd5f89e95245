"""The integer twin of a program: the same network in whole numbers, which are the same on every machine.

A value of the network stands as a whole number times a scale, one scale for all values that are added up or
put side by side. It has :data:`LIMIT` steps to the largest value that was seen in calibration and a quarter
more, and what is beyond is cut off. What a sum reads is rounded to fewer steps first, and its weights to as
many, a scale for each output; so its partial sums, in any order, are whole numbers that a float of the
arithmetic holds exactly. Smooth functions are tables.

The twin follows from the weights and the ranges by single operations of float64, which are rounded alike on
every machine, and by comparisons: nothing is summed in floats.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pixelcnn.codec.fixed import (
    BYTE,
    EXACT,
    LIMIT,
    NOWHERE,
    SINGLE,
    WIDEST,
    Fixed,
    Precision,
    factor,
    scales,
    whole,
)
from pixelcnn.codec.functions import tabulated
from pixelcnn.program import (
    Cat,
    Condition,
    Elementwise,
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
    Tap,
    Unlowerable,
)


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
        largest: partial sum that can occur.

    Raises:
        Unlowerable: a primitive has no integer form, or sums would be too large.
    """

    def __init__(
        self, program: Program, levels: int, ranges: Sequence[float], precision: Precision
    ) -> None:
        self.source, self.levels, self.precision = program, levels, precision
        self.program, self.largest = Program(), 0
        self.scales = scales(program, levels, ranges)
        self.made: dict[int, Fixed] = {}
        self.narrowed: dict[tuple[int, int], Fixed] = {}
        for number, node in enumerate(program.nodes):
            try:
                self.made[number] = self._make(number, node)
            except Unlowerable as error:
                raise Unlowerable(f"node %{number}: {error}") from error
            self._bind(number)
        last = self.made[len(program.nodes) - 1]
        self.scale, self.limit = last.scale, last.limit

    def _make(self, number: int, node: Node) -> Fixed:
        scale = self.scales[number]
        if isinstance(node, Input):
            return Fixed(self.program.add(Input(width=node.width)), scale, self.levels - 1)
        if isinstance(node, Condition):
            return self._condition(node, scale)
        if isinstance(node, Position):
            rows, columns = whole(node.rows, scale), whole(node.columns, scale)
            added = self.program.add(replace(node, rows=rows, columns=columns))
            return Fixed(added, scale, 2 * LIMIT)
        if isinstance(node, Past):
            return Fixed(NOWHERE, scale, LIMIT)
        if isinstance(node, Lookup):
            source = self.made[node.sources[0]].number
            return Fixed(self.program.lookup(source, whole(node.table, scale)), scale, LIMIT)
        if isinstance(node, Sum):
            return self._sum(node, scale)
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
        return Fixed(
            self.program.add(replace(node, weight=whole(node.weight, scale))), scale, LIMIT
        )

    def _bind(self, number: int) -> None:
        """Makes what stands for a node's past mean it: sums read a past in as few steps as any value."""
        for past, node in enumerate(self.source.nodes):
            if isinstance(node, Past) and number in node.sources:
                for (source, most), read in list(self.narrowed.items()):
                    if source == past:
                        self.program.bind(read.number, self._narrow(number, most).number)

    def _is_bound(self, number: int) -> bool:
        """Whether a past stands for a node: then it has no more than :data:`LIMIT` steps."""
        return any(isinstance(n, Past) and number in n.sources for n in self.source.nodes)

    def _bounded(self, number: int, value: Fixed) -> Fixed:
        beyond = value.limit > (LIMIT if self._is_bound(number) else WIDEST)
        return self._rounded(value, value.scale, LIMIT) if beyond else value

    def _rounded(self, value: Fixed, scale: float, limit: int) -> Fixed:
        """A value at another scale, cut off at a limit."""
        width = self.program.width(value.number)
        ratio = torch.full((width,), value.scale, dtype=torch.float64) / scale
        return self._requantised(value, ratio, scale, limit)

    def _requantised(self, value: Fixed, ratio: Tensor, scale: float, limit: int) -> Fixed:
        node = Requantise(
            sources=(value.number,),
            width=len(ratio),
            clock=self.program.nodes[value.number].clock,
            constants=(float(limit),),
            parameter=factor(ratio, value.limit),
        )
        return Fixed(self.program.add(node), scale, limit)

    def _at_scale(self, value: Fixed, scale: float) -> Fixed:
        """A value at the scale of what it is combined with; only the image has one of its own."""
        return value if value.scale == scale else self._rounded(value, scale, LIMIT)

    def _narrow(self, source: int, most: int) -> Fixed:
        """A value as a sum reads it, in no more than so many steps unless it has few."""
        value, node = self.made[source], self.source.nodes[source]
        if value.limit <= max(most, BYTE):
            return value
        if (source, most) not in self.narrowed:
            scale = value.scale * min(value.limit, LIMIT) / most
            if isinstance(node, Past):
                past = self.program.add(replace(node, sources=()))
                self.narrowed[source, most] = Fixed(past, scale, most)
            else:
                self.narrowed[source, most] = self._rounded(value, scale, most)
        return self.narrowed[source, most]

    def _steps(self, source: int, total: float) -> int:
        """Steps that a sum of so large weights reads of a value: as many as leave it exact in float32.

        The bias counts as another activation's worth.
        """
        few = self.made[source].limit
        for bits in range(self.precision.activations, self.precision.fewest - 1, -1):
            most = 2 ** (bits - 1) - 1
            if total * (few if few <= max(most, BYTE) else most) < SINGLE // 2:
                return most
        return int(2 ** (self.precision.activations - 1) - 1)

    def _sum(self, node: Sum, scale: float) -> Fixed:
        depthwise = node.taps[0].weight.dim() == 1
        most = 2 ** (self.precision.weights - 1) - 1
        weights = [tap.weight.detach().double().cpu() * tap.live.cpu() for tap in node.taps]
        sizes = [w.abs() if depthwise else w.abs().amax(1) for w in weights]
        step = torch.stack(sizes).amax(0) / most
        step = torch.where(step > 0, step, torch.ones_like(step))
        integers = [torch.round(w / (step if depthwise else step[:, None])) for w in weights]
        sums = [w.abs() if depthwise else w.abs().sum(1) for w in integers]
        total = torch.stack(sums).sum(0)
        read = self._narrow(node.sources[0], self._steps(node.sources[0], float(total.max())))
        bias = torch.zeros(node.width, dtype=torch.float64)
        if node.bias is not None:
            bias = torch.round(node.bias.detach().double().cpu() / (step * read.scale))
        bound = int((total * read.limit + bias.abs()).max())
        if bound >= EXACT:
            raise Unlowerable(f"sums up to 2^{math.log2(bound):.1f} are not exact")
        self.largest = max(self.largest, bound)
        taps = tuple(
            Tap(tap.down, tap.right, w, tap.live.cpu(), tap.phase)
            for tap, w in zip(node.taps, integers, strict=True)
        )
        added = self.program.add(replace(node, sources=(read.number,), taps=taps, bias=bias))
        found = Fixed(added, read.scale, bound)
        return self._requantised(found, step * read.scale / scale, scale, LIMIT)

    def _norm(self, node: Norm, scale: float) -> Fixed:
        """The gain takes the scale of the result; epsilon that of the square of what is read."""
        source = self.made[node.sources[0]]
        if source.limit > LIMIT:
            source = self._rounded(source, source.scale, LIMIT)
        size = max(node.groups.count(group) for group in set(node.groups)) if node.centred else 1
        if (source.limit * 2 * size) ** 2 * node.width >= EXACT:
            raise Unlowerable(f"a centred norm of {size} features is not exact")
        bias = None if node.bias is None else node.bias.detach().double().cpu() / scale
        added = RoundedNorm(
            sources=(source.number,),
            width=node.width,
            clock=node.clock,
            gain=node.gain.detach().double().cpu() / scale,
            groups=node.groups,
            epsilon=node.epsilon / source.scale**2,
            centred=node.centred,
            bias=bias,
            limit=float(LIMIT),
        )
        return Fixed(self.program.add(added), scale, LIMIT)

    def _elementwise(self, node: Elementwise, scale: float) -> Fixed:
        sources = [self.made[source] for source in node.sources]
        if node.op in ("add", "sub"):
            one, other = (self._at_scale(source, scale) for source in sources)
            added = self.program.elementwise(node.op, one.number, other.number)
            self.largest = max(self.largest, one.limit + other.limit)
            return Fixed(added, scale, one.limit + other.limit)
        if node.op == "mul":
            one, other = sources
            ratio = torch.tensor(one.scale * other.scale / scale, dtype=torch.float64)
            constants = factor(ratio, one.limit * other.limit).item(), float(LIMIT)
            product = RoundedMul(
                sources=(one.number, other.number),
                width=node.width,
                clock=node.clock,
                constants=constants,
            )
            return Fixed(self.program.add(product), scale, LIMIT)
        if node.op == "prelu":
            return self._prelu(node, sources[0], scale)
        return self._table(node, sources[0], scale)

    def _table(self, node: Elementwise, source: Fixed, scale: float) -> Fixed:
        if source.limit > WIDEST:
            source = self._rounded(source, source.scale, LIMIT)
        places = np.arange(-source.limit, source.limit + 1, dtype=np.float64)
        entries = whole(torch.from_numpy(tabulated(node, places * source.scale)), scale)
        added = Table(
            sources=(source.number,),
            width=node.width,
            clock=node.clock,
            constants=(float(source.limit),),
            table=entries,
        )
        return Fixed(self.program.add(added), scale, LIMIT)

    def _prelu(self, node: Elementwise, source: Fixed, scale: float) -> Fixed:
        """The part above zero, and that below it times a slope a feature."""
        assert node.parameter is not None
        above = self.program.elementwise("relu", source.number)
        below = self.program.elementwise("sub", source.number, above)
        slopes = node.parameter.detach().double().cpu() * source.scale / scale
        ratio = torch.full_like(slopes, source.scale) / scale
        parts = [
            self._requantised(Fixed(part, source.scale, source.limit), each, scale, LIMIT)
            for part, each in ((above, ratio), (below, slopes))
        ]
        added = self.program.elementwise("add", *(part.number for part in parts))
        return Fixed(added, scale, 2 * LIMIT)
