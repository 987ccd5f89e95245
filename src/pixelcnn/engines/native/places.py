"""Where the native engine keeps the values of a program."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from pixelcnn.engines.native.build import code
from pixelcnn.engines.native.fusion import Arranged
from pixelcnn.engines.stages import Reach, reach_of, read_again
from pixelcnn.program import ROW_START, UNITS, Cat, Condition, Elementwise, Input, Slice


class Value(NamedTuple):
    """Features at every position of a grid, or units."""

    width: int
    clock: int
    reach: Reach
    storage: str

    def words(self) -> list[int]:
        """As a plan tells it."""
        reach = self.reach
        return [
            self.width,
            self.clock,
            reach.up,
            reach.left,
            reach.right,
            code("storage", self.storage),
        ]


class Place(NamedTuple):
    """Where a feature is: the number of a value, and which of its features in storage order."""

    value: int
    feature: int


class Places:
    """The values of a plan, and which of them holds what.

    Args:
        arranged: the program.
    """

    def __init__(self, arranged: Arranged) -> None:
        times, orders, self.fusion = arranged
        self.times, self.program = times, times.program
        self.steps, self.stages = times.steps, times.stages
        self._places = [torch.argsort(order).tolist() for order in orders]
        self.values: list[Value] = []
        self.number: dict[int, int] = {}
        self.constants: dict[int, int] = {}
        self._late: dict[int, Place] = {}
        homes = [self.fusion.home(number)[0] for number in range(len(orders))]
        reach, rows = reach_of(self.program, homes), self._stored_by_row()
        for number, node in enumerate(self.program.nodes):
            if number in self.fusion.inside or number in self.fusion.homes:
                continue
            constant = isinstance(node, Condition) and node.kind != "map"
            if constant:
                self.constants[number] = self.add(node.width, 1, "constant")
            if node.clock == UNITS:
                self.number[number] = self.add(node.width, UNITS, "units")
            elif constant and reach[number] == Reach():
                self.number[number] = self.constants[number]
            elif number not in rows and reach[number] == Reach():
                self.number[number] = self.add(node.width, node.clock, "now")
            else:
                early = self._early(number) if reach[number] == Reach() else node.width
                if early:
                    self.number[number] = self.add(early, node.clock, "rows", reach[number])
                if early < node.width:
                    late = self.add(node.width - early, node.clock, "now")
                    self._late[number] = Place(late, early)
                    self.number.setdefault(number, late)

    def add(self, width: int, clock: int, storage: str, reach: Reach | None = None) -> int:
        """One more value; returns its number."""
        self.values.append(Value(width, clock, reach or Reach(), storage))
        return len(self.values) - 1

    def of(self, number: int, feature: int) -> Place:
        """Where a node's feature is."""
        home, start = self.fusion.home(number)
        place = self._places[home][feature + start]
        late = self._late.get(home)
        if late is not None and place >= late.feature:
            return Place(late.value, place - late.feature)
        return Place(self.number[home], place)

    def run(self, number: int, features: Sequence[int]) -> Place:
        """Where features that are stored one after the other begin."""
        places = [self.of(number, feature) for feature in features]
        assert list(runs([places])) == [(0, len(places))]
        return places[0]

    def _early(self, number: int) -> int:
        """Features of a node that are kept by row: those known before it, where positions read their own.

        The others are computed at a position, and read there alone; so a vector of them stays in the cache.
        """
        nodes, width = self.program.nodes, self.program.width(number)
        early = int((self.stages[number] == ROW_START).sum())
        readers = [
            reader
            for reader, node in enumerate(nodes)
            for source in node.sources
            if self.fusion.home(source)[0] == number != self.fusion.home(reader)[0]
        ]
        apart = isinstance(nodes[number], Input) or number == len(nodes) - 1
        for each in (number, *readers):
            apart |= each in self.fusion.scans or nodes[each].clock != nodes[number].clock
            apart |= bool((self.stages[each] > self.steps).any())
        alone = all(isinstance(nodes[reader], Elementwise | Cat | Slice) for reader in readers)
        return early if (alone or not early) and not apart else width

    def _stored_by_row(self) -> set[int]:
        """Nodes of which whole rows are kept, not the current position alone."""
        nodes = self.program.nodes
        needed = self.times.by_row | read_again(self.program)
        needed |= {i for i, node in enumerate(nodes) if isinstance(node, Input | Condition)}
        for number in range(len(nodes)):
            late = bool((self.stages[number] > self.steps).all())
            if number in self.fusion.scans and late and self._only_read_in_scan(number):
                needed -= {number}
        return {self.fusion.home(number)[0] for number in needed}

    def _only_read_in_scan(self, number: int) -> bool:
        scan = self.fusion.scans[number]
        readers = [i for i, node in enumerate(self.program.nodes) if number in node.sources]
        return number not in self.fusion.homes and all(
            self.fusion.scans.get(i) == scan and i not in self.fusion.homes for i in readers
        )


def runs(reads: Sequence[Sequence[Place]]) -> Iterator[tuple[int, int]]:
    """Bounds of the longest runs of features that are runs in every list of places.

    Example:
        >>> list(runs([[Place(1, 4), Place(1, 5), Place(2, 6)]]))
        [(0, 2), (2, 3)]
    """
    count, begin = len(reads[0]), 0
    for i in range(1, count + 1):
        follows = i < count and all(
            places[i] == (places[i - 1].value, places[i - 1].feature + 1) for places in reads
        )
        if not follows:
            yield begin, i
            begin = i
