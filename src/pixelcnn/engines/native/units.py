"""Instructions for units, which are computed once each, as they become known in the course of the walk.

Units of a node that become known together are stored side by side, so one instruction computes them. It waits
in a queue until its step of the walk has come.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pixelcnn.engines.cached.units import groups_of, in_order
from pixelcnn.engines.native.build import code
from pixelcnn.engines.native.fusion import Arranged
from pixelcnn.engines.native.layout import Pool
from pixelcnn.engines.native.places import Places, runs
from pixelcnn.program import UNITS, Dense, Flatten, Unflatten
from pixelcnn.shapes import MAX_SIDE

Emit = Callable[[int, list[int]], Iterator[list[int]]]


class Units:
    """What the native engine is told of units, and of what goes between them and positions.

    Args:
        arranged: the program.
        places: of all features.
        pool: takes the weights in.
        size: rows and columns of the image.
        emit: the instructions for some features of an elementwise node, or of a ``cat``.

    Attributes:
        queues: of each group of units, with nothing to compute between them, the instructions in order.
            They begin with the step of the walk from which on they can be executed: pixel, step of it.
    """

    def __init__(
        self, arranged: Arranged, places: Places, pool: Pool, size: tuple[int, int], emit: Emit
    ) -> None:
        times, self.orders, self.fusion = arranged
        self.program, self.steps, self.stages = times.program, times.steps, times.stages
        self.places, self.pool, self.size, self._emit = places, pool, size, emit
        self._storage: dict[int, tuple[int, Tensor]] = {}
        groups = groups_of(self.program)
        self._queue_of = {group[0]: number for number, group in enumerate(groups)}
        self.queues = [list(self._queue(group)) for group in groups]

    def __contains__(self, number: int) -> bool:
        """Whether a node is told of here."""
        node = self.program.nodes[number]
        return node.clock == UNITS or isinstance(node, Unflatten)

    def at(self, number: int, stage: int) -> Iterator[list[int]]:
        """What is done about a node at a stage of every pixel."""
        node = self.program.nodes[number]
        if isinstance(node, Flatten):
            source = node.sources[0]
            features = self._at_stage(source, self.stages[source].clamp(min=0), stage)
            yield from self._moves("flatten", source, number, node.columns, features)
        elif isinstance(node, Unflatten):
            features = self._at_stage(number, self.stages[number], stage)
            yield from self._moves("unflatten", number, node.sources[0], node.columns, features)
        elif number in self._queue_of and 0 <= stage <= self.steps:
            yield [code("kind", "advance"), 0, 0, 0, 0, self._queue_of[number]]

    def _at_stage(self, number: int, stages: Tensor, stage: int) -> list[int]:
        """The features of a node that are computed at a stage, in storage order."""
        order = self.orders[number]
        return order[stages[order] == stage].tolist()

    def _moves(
        self, kind: str, number: int, units: int, columns: int, features: list[int]
    ) -> Iterator[list[int]]:
        """One instruction for each run of features that lies in one piece among each pixel's units, too.

        Args:
            kind: flatten or unflatten.
            number: the node with positions.
            units: the node with units.
            columns: of the largest image.
            features: of the first of them.
        """
        if not features:
            return
        rows, width = self.size
        pixel = (torch.arange(rows)[:, None] * columns + torch.arange(width)).flatten()
        value, stored = self._stored(units)
        unit = pixel[:, None] * self.program.width(number) + torch.tensor(features)
        begins = stored[unit]
        breaks = (begins.diff(dim=1) != 1).any(0).nonzero()[:, 0] + 1
        for low, high in _cut(runs([[self.places.of(number, f) for f in features]]), breaks):
            place = self.places.of(number, features[low])
            words = [code("kind", kind), 0, *place, high - low]
            yield [*words, value, *begins[:, low].tolist()]

    def _stored(self, number: int) -> tuple[int, Tensor]:
        """The value that holds a node's units, and where in it each of them is."""
        if number not in self._storage:
            places = [self.places.of(number, unit) for unit in range(self.program.width(number))]
            stored = torch.tensor([place.feature for place in places])
            self._storage[number] = places[0].value, stored
        return self._storage[number]

    def _queue(self, group: Sequence[int]) -> Iterator[list[int]]:
        """The instructions of a group of nodes, as they become due; without what no pixel waits for."""
        lots = [lot for number in group for lot in self._lots(number)]
        for stage, number, features in sorted(lots, key=lambda lot: lot[:2]):
            if due := self._due(stage):
                is_dense = isinstance(self.program.nodes[number], Dense)
                emit = self._dense if is_dense else self._emit
                for words in emit(number, features):
                    yield [*due, *words]

    def _lots(self, number: int) -> Iterator[tuple[int, int, list[int]]]:
        """Units of a node that become known together: when, the node, and which, in storage order."""
        if number in self.fusion.inside:
            return
        order = self.orders[number]
        for stage, _, units in in_order(self.stages[number][order], order):
            yield stage, number, units.tolist()

    def _due(self, stage: int) -> tuple[int, int] | None:
        """The pixel of the image and its step at which a step of the whole walk is reached; None if never."""
        place, step = divmod(max(stage, 0), self.steps + 1)
        row, column = divmod(place, MAX_SIDE)
        rows, columns = self.size
        if column >= columns:  # to the right of an image that is smaller than the largest
            row, column, step = row + 1, 0, 0
        return (row * columns + column, step) if row < rows else None

    def _dense(self, number: int, units: list[int]) -> Iterator[list[int]]:
        """Dot products with the units in between the first and the last that are read."""
        node = self.program.nodes[number]
        assert isinstance(node, Dense)
        value, stored = self._stored(node.sources[0])
        for low, high in runs([[self.places.of(number, unit) for unit in units]]):
            part = units[low:high]
            live = node.live[part].cpu()
            used = live.any(0).nonzero()[:, 0]
            at = stored[used]
            first, last = (int(at.min()), int(at.max())) if len(at) else (0, -1)
            weight = torch.zeros(len(part), last + 1 - first, dtype=torch.float32)
            weight[:, at - first] = (node.weight.detach()[part].cpu().float() * live)[:, used]
            words = [code("kind", "dense"), *self.places.of(number, part[0]), len(part)]
            words += [value, first, last + 1 - first]
            if node.bias is None:
                words.append(code("start", "zero"))
            else:
                words += [code("start", "bias"), self.pool.add(node.bias.cpu()[part])]
            yield [*words, self.pool.padded(weight)]


def _cut(parts: Iterator[tuple[int, int]], breaks: Tensor) -> Iterator[tuple[int, int]]:
    """Runs, cut at breaks as well."""
    for low, high in parts:
        inside = [int(at) for at in breaks if low < at < high]
        yield from zip([low, *inside], [*inside, high], strict=True)
