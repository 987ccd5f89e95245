"""What the native engine computes in one go, and what it never stores apart."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from pixelcnn.engines.native.build import codes
from pixelcnn.engines.stages import Schedule, right_to_left
from pixelcnn.program import Cat, Condition, Elementwise, Given, Past, Slice, Sum


@dataclass(frozen=True)
class Ending:
    """What happens to the sums of a node of taps before they are stored as another node's value.

    Attributes:
        taps: the node that is summed.
        function: an elementwise node of the sum; None if none.
        residual: a node that is added after it; None if none.
    """

    taps: int
    function: int | None = None
    residual: int | None = None


@dataclass
class Fusion:
    """What is computed together, and where.

    Attributes:
        inside: nodes that are never stored, since the only node that reads them is computed with them.
        endings: of the nodes that hold the result of a product.
        gates: for a product with a sigmoid or a table: the name of the gate, and the two values it reads.
        tables: the table of such a product.
        homes: nodes whose features are some of another node's, from a feature on: a slice's of its source,
            a past's of what it is the past of, a value's of the only ``cat`` that reads it.
        scans: the number of the right-to-left recurrence that a node is in.
    """

    inside: set[int] = field(default_factory=set)
    endings: dict[int, Ending] = field(default_factory=dict)
    gates: dict[int, tuple[str, tuple[int, int]]] = field(default_factory=dict)
    tables: dict[int, int] = field(default_factory=dict)
    homes: dict[int, tuple[int, int]] = field(default_factory=dict)
    scans: dict[int, int] = field(default_factory=dict)

    def home(self, number: int) -> tuple[int, int]:
        """The node in whose value a node's features lie, and the first of them."""
        start = 0
        while number in self.homes:
            number, offset = self.homes[number]
            start += offset
        return number, start


class Arranged(NamedTuple):
    """A program, and how it is computed.

    Attributes:
        times: when each feature is computed.
        orders: feature numbers of each node in storage order.
        fusion: what is computed together.
    """

    times: Schedule
    orders: list[Tensor]
    fusion: Fusion


def arranged(times: Schedule, orders: list[Tensor]) -> Arranged:
    """A program whose features are stored in some orders, and what of it is computed together."""
    return Arranged(times, orders, _Fuser(times, orders).fusion)


class _Fuser:
    def __init__(self, times: Schedule, orders: list[Tensor]) -> None:
        program = times.program
        self.program, self.stages, self.orders = program, times.stages, orders
        self.fusion = Fusion()
        self.last = len(program.nodes) - 1
        self.readers: list[list[int]] = [[] for _ in program.nodes]
        for number, node in enumerate(program.nodes):
            for source in node.sources:
                self.readers[source].append(number)
        for number, members in enumerate(right_to_left(program), start=1):
            self.fusion.scans |= dict.fromkeys(members, number)
        self._homes_of_parts()
        for number, node in enumerate(program.nodes):
            if node.op == "mul":
                self._gate(number)
            elif node.op == "rounded_mul":
                self._table_gate(number)
        for number, node in enumerate(program.nodes):
            if isinstance(node, Sum):
                self._ending(number)
        for number, node in enumerate(program.nodes):
            if isinstance(node, Cat):
                self._homes_in_cat(number)

    def _homes_of_parts(self) -> None:
        for number, node in enumerate(self.program.nodes):
            if isinstance(node, Past):
                self.fusion.homes[number] = (node.sources[0], 0)
            elif isinstance(node, Slice) and number != self.last:
                self.fusion.homes[number] = (node.sources[0], node.start)

    def _homes_in_cat(self, number: int) -> None:
        """What only a ``cat`` reads is computed in its place, if its order has it in one piece a stage."""
        start = 0
        for source in self.program.nodes[number].sources:
            given, width = isinstance(self.program.nodes[source], Given), self.program.width(source)
            free = self.readers[source] == [number] and source not in self.fusion.homes
            if free and not given and self._in_order(source, number, start):
                self.fusion.homes[source] = (number, start)
            start += width

    def _in_order(self, source: int, cat: int, start: int) -> bool:
        order = self.orders[cat] - start
        part = order[(order >= 0) & (order < self.program.width(source))]
        return part.equal(self.orders[source])

    def _only_reader(self, number: int) -> int | None:
        """The one node that reads a value, if it is computed at the same time."""
        if len(self.readers[number]) != 1 or number == self.last:
            return None
        reader = self.readers[number][0]
        same = self.stages[number].equal(self.stages[reader])
        same = same and self.orders[number].equal(self.orders[reader])
        scans = self.fusion.scans
        return reader if same and scans.get(number) == scans.get(reader) else None

    def _gate(self, number: int) -> None:
        """Tanh or anything times a sigmoid, in either order."""
        sources = self.program.nodes[number].sources
        ops = [self.program.nodes[source].op for source in sources]
        ops = [
            op if self._only_reader(source) == number else ""
            for op, source in zip(ops, sources, strict=True)
        ]
        if "sigmoid" not in ops:
            return
        value, sigmoid = sources if ops[1] == "sigmoid" else sources[::-1]
        read, name = value, "linear_gate"
        if "tanh" in ops:
            self.fusion.inside.add(value)
            read, name = self.program.nodes[value].sources[0], "gate"
        self.fusion.inside.add(sigmoid)
        self.fusion.gates[number] = name, (read, self.program.nodes[sigmoid].sources[0])

    def _table_gate(self, number: int) -> None:
        """Anything times a table, in either order, rounded."""
        sources = self.program.nodes[number].sources
        for value, table in (sources, sources[::-1]):
            if self.program.nodes[table].op == "table" and self._only_reader(table) == number:
                self.fusion.inside.add(table)
                self.fusion.tables[number] = table
                read = self.program.nodes[table].sources[0]
                self.fusion.gates[number] = "table_gate", (value, read)
                return

    def _ending(self, number: int) -> None:
        last, function, residual = number, None, None
        reader = self._only_reader(last)
        if reader is not None and reader not in self.fusion.inside and self._is_function(reader):
            self.fusion.inside.add(last)
            last = function = reader
        reader = self._only_reader(last)
        if (
            reader is not None
            and self.program.nodes[reader].op == "add"
            and reader not in self.fusion.endings
        ):
            others = [source for source in self.program.nodes[reader].sources if source != last]
            if len(others) == 1 and self._can_be_added(others[0], reader):
                self.fusion.inside.add(last)
                last, residual = reader, others[0]
        self.fusion.endings[last] = Ending(number, function, residual)

    def _is_function(self, number: int) -> bool:
        """Whether a node is an elementwise function of one value."""
        node = self.program.nodes[number]
        return isinstance(node, Elementwise) and node.op in codes("operation") and node.arity == 1

    def _can_be_added(self, number: int, to: int) -> bool:
        """Whether a value is stored at every position, in the order of the one it is added to."""
        home, start = self.fusion.home(number)
        node = self.program.nodes[home]
        if home in self.fusion.inside or (isinstance(node, Condition) and node.kind != "map"):
            return False
        places = torch.argsort(self.orders[home])[self.orders[to] + start]
        return places.equal(torch.arange(len(places)) + places[0])
