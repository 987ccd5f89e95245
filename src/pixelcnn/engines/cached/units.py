"""Units as they become known in the course of a walk.

Units of a node that become known together and lie side by side are a run, which one operation computes. A
walk passes each of its steps once, so operations are bound when they are due.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import accumulate
from operator import itemgetter
from typing import Any

from torch import Tensor

from pixelcnn.engines.cached import pointwise
from pixelcnn.engines.cached.products import Operation, runs_of
from pixelcnn.engines.cached.store import Store
from pixelcnn.engines.stages import Schedule
from pixelcnn.program import (
    UNITS,
    Cat,
    Dense,
    Elementwise,
    Flatten,
    Given,
    Program,
    Slice,
    Unflatten,
    walk_stage,
)

AHEAD = 32
"""Units beyond the known ones that a product reads at most, so that many read the same."""

Due = Iterator[tuple[int, Operation]]
"""Stages, ascending, and what is to be computed at each."""


class Units:
    """The computations of a program's units, and between them and positions.

    Args:
        times: when each feature is computed.
        store: the places of the program's values.
    """

    def __init__(self, times: Schedule, store: Store) -> None:
        self.program, self.steps, self.stages = times.program, times.steps, times.stages
        self.store = store
        self.queues = {
            group[0]: Queue(merge(*map(self._due, group), key=itemgetter(0)))
            for group in groups_of(self.program)
        }
        self.pixels: dict[tuple[int, int, int, int], Sequence[Tensor]] = {}

    def __contains__(self, number: int) -> bool:
        """Whether a node is computed here."""
        node = self.program.nodes[number]
        return node.clock == UNITS or isinstance(node, Unflatten)

    def at(self, number: int, stage: int, column: int) -> Iterator[Operation]:
        """What a node computes at a stage of a column's pixels, in whatever row the walk is."""
        node = self.program.nodes[number]
        if isinstance(node, Flatten):
            value = self.store.at(node.sources[0], column)
            for run in runs_of(self.stages[node.sources[0]].clamp(min=0) == stage):
                pixels = self._by_pixel(number, value.shape[1], run)
                yield partial(self._keep, pixels, node.columns, column, value[:, run])
        elif isinstance(node, Unflatten):
            out = self.store.at(number, column)
            for run in runs_of(self.stages[number] == stage):
                pixels = self._by_pixel(node.sources[0], node.width, run)
                yield partial(self._give, pixels, node.columns, column, out[:, run])
        elif number in self.queues:
            within_row = walk_stage(0, column, self.steps) + stage
            yield partial(self._advance, self.queues[number], within_row)

    def _advance(self, queue: "Queue", within_row: int) -> None:
        queue.advance(walk_stage(self.store.current, 0, self.steps) + within_row)

    def _keep(self, pixels: Sequence[Tensor], columns: int, column: int, value: Tensor) -> None:
        pixels[self.store.current * columns + column].copy_(value)

    def _give(self, pixels: Sequence[Tensor], columns: int, column: int, out: Tensor) -> None:
        out.copy_(pixels[self.store.current * columns + column])

    def _by_pixel(self, number: int, width: int, run: slice) -> Sequence[Tensor]:
        """A run of the units of each pixel, of so many a pixel; views."""
        key = (number, run.start, run.stop, run.step)
        if key not in self.pixels:
            units = self.store.at(number, 0).unflatten(1, (-1, width))
            self.pixels[key] = units[..., run].unbind(1)
        return self.pixels[key]

    def _due(self, number: int) -> Due:
        """All operations of a node."""
        node, out, stages = self.program.nodes[number], self.store.at(number, 0), self.stages
        sources = [self.store.at(source, 0) for source in node.sources]
        if isinstance(node, Dense):
            return _dense(node, stages[node.sources[0]], sources[0], stages[number], out)
        if isinstance(node, Elementwise):
            return _elementwise(node, sources, stages[number], out)
        assert isinstance(node, Cat), node.op
        places = out.split([source.shape[1] for source in sources], 1)
        known = (stages[source] for source in node.sources)
        copies = map(_copies, sources, known, places)
        return merge(*copies, key=itemgetter(0))


class Queue:
    """Operations that are still to come."""

    def __init__(self, due: Due) -> None:
        self.due = due
        self.next = next(due, None)

    def advance(self, stage: int) -> None:
        """Computes all that can be by a stage."""
        while self.next is not None and self.next[0] <= stage:
            self.next[1]()
            self.next = next(self.due, None)


def groups_of(program: Program) -> list[list[int]]:
    """Nodes that are computed from units alone, in groups with nothing to compute between them."""
    groups: list[list[int]] = [[]]
    for number, node in enumerate(program.nodes):
        if node.clock == UNITS and not isinstance(node, Flatten | Slice):
            groups[-1].append(number)
        elif not isinstance(node, Given | Slice):
            groups.append([])
    return [group for group in groups if group]


def _dense(node: Dense, read: Tensor, source: Tensor, stages: Tensor, out: Tensor) -> Due:
    """Products with the first units of a source: as many as hold all that is known by then.

    What of them is not known yet is zero or a bias, and its weights are zero.
    """
    known_by = read.flip(0).cummin(0).values.flip(0).tolist()
    out[:] = 0 if node.bias is None else node.bias
    inputs = source[:, :0]
    for stage, _, place, weight in in_order(stages, out, node.weight.T):
        known = bisect_right(known_by, stage)
        if known > inputs.shape[1]:
            inputs = source[:, : known + AHEAD]
        yield stage, partial(place.addmm_, inputs, weight[: inputs.shape[1]])


def _elementwise(node: Elementwise, sources: Sequence[Tensor], stages: Tensor, out: Tensor) -> Due:
    for stage, run, place, *values in in_order(stages, out, *sources):
        yield stage, pointwise.apply(node, run, values, place)


def _copies(source: Tensor, stages: Tensor, out: Tensor) -> Due:
    for stage, _, place, value in in_order(stages, out, source):
        yield stage, partial(place.copy_, value)


def in_order(stages: Tensor, *values: Tensor) -> Iterator[tuple[Any, ...]]:
    """Runs in the order in which they become known: stage, units, and those of each value; views.

    Example:
        >>> import torch
        >>> for stage, units, value in in_order(torch.tensor([5, 5, 9, 2]), torch.arange(4)):
        ...     print(stage, units.start, value.tolist())
        2 3 [3]
        5 0 [0, 1]
        9 2 [2]
    """
    stage, counts = (found.tolist() for found in stages.unique_consecutive(return_counts=True))
    ends = list(accumulate(counts))
    parts = [value.split(counts, -1) for value in values]
    for at, number in sorted((at, number) for number, at in enumerate(stage)):
        units = slice(ends[number] - counts[number], ends[number])
        yield at, units, *(part[number] for part in parts)
