"""What is computed when, as operations between places.

Features that depend on finished rows only are computed for a whole row before its first pixel, the others
at one step of their pixel. Taps that read finished rows are applied to a whole row at once; what is left
for a position is its row's left and itself.
"""

import math
from collections.abc import Iterator
from functools import partial

from torch import Tensor

from pixelcnn.engines.cached.memory import Memory
from pixelcnn.engines.cached.pointwise import TABLE
from pixelcnn.engines.cached.products import Kernel, Operation, bind, kernel_of, runs_of
from pixelcnn.engines.cached.store import Store
from pixelcnn.engines.cached.units import Units
from pixelcnn.engines.stages import Schedule, right_to_left
from pixelcnn.program import (
    ROW_START,
    UNITS,
    Attend,
    Cat,
    Given,
    Past,
    Position,
    Slice,
    Sum,
)

IN_PLACE = (Given, Position, Slice)
"""Primitives that the store itself provides for."""


class Operations:
    """The computations of a program, bound once for each column.

    Args:
        times: when each feature is computed.
        store: the places of the program's values.
        memories: of each node that attends, by its number; none where whole rows are computed alone.
    """

    def __init__(self, times: Schedule, store: Store, memories: dict[int, Memory]) -> None:
        self.times, self.program = times, times.program
        self.steps, self.stages = times.steps, times.stages
        self.store, self.memories = store, memories
        self.units = Units(times, store)
        self.period = math.lcm(*(node.clock for node in self.program.nodes if node.clock != UNITS))
        self.scans = right_to_left(self.program)
        self.kernels: dict[tuple[object, ...], Kernel] = {}
        self.bound: dict[tuple[int, int, int], list[Operation]] = {}
        self.runs: dict[tuple[int, int], list[slice]] = {}

    def for_row(self, stage: int, row: int) -> list[Operation]:
        """What is computed for a whole row, before or after it."""
        key = (stage, row % self.period, -1)
        if key not in self.bound:
            nodes = range(len(self.program.nodes))
            self.bound[key] = [op for i in nodes for op in self._row(i, stage, key[1])]
        return self.bound[key]

    def for_step(self, stage: int, row: int, column: int) -> list[Operation]:
        """What is computed at a step of a pixel, or after it."""
        key = (stage, row % self.period, column)
        if key not in self.bound:
            found: list[Operation] = []
            for number, node in enumerate(self.program.nodes):
                if number in self.units:
                    found += self.units.at(number, stage, column)
                elif key[1] % node.clock == column % node.clock == 0:
                    found += self._position(number, stage, key[1], column // node.clock)
            self.bound[key] = found
        return self.bound[key]

    def _mine(self, number: int, stage: int) -> list[slice]:
        """The features of a node that are computed at a stage."""
        if (number, stage) not in self.runs:
            self.runs[number, stage] = runs_of(self.stages[number] == stage)
        return self.runs[number, stage]

    def _row(self, number: int, stage: int, row: int) -> Iterator[Operation]:
        """A node for a whole row of its grid."""
        node = self.program.nodes[number]
        if number in self.units or row % node.clock:
            return
        scan = next((scan for scan in self.scans if number in scan), None)
        if stage != ROW_START and scan is not None:
            if number == max(scan):
                yield from self._scan(scan, stage, row)
            return
        if isinstance(node, Sum):
            yield from self._row_taps(number, node, stage, row)
            return
        width = self.store.width(node.clock)  # a label's own grid is the image's
        reads = () if isinstance(node, Past) else node.sources
        sources = [self.store.window(source, 0, 0, 1, width) for source in reads]
        yield from self._pointwise(number, stage, sources, self.store.row(number))

    def _scan(self, scan: frozenset[int], stage: int, row: int) -> Iterator[Operation]:
        """Nodes that read each other's right, a column at a time."""
        clock = self.program.nodes[max(scan)].clock
        for column in reversed(range(self.store.width(clock))):
            for number in sorted(scan):
                yield from self._position(number, stage, row, column)

    def _position(self, number: int, stage: int, row: int, column: int) -> Iterator[Operation]:
        """A node at one column of its grid."""
        node = self.program.nodes[number]
        if isinstance(node, Sum):
            yield from self._taps(number, node, stage, row, column)
            return
        reads = () if isinstance(node, Past) else node.sources
        sources = [self.store.at(source, column) for source in reads]
        yield from self._pointwise(number, stage, sources, self.store.at(number, column))
        if isinstance(node, Attend) and stage == self.steps:
            yield self.memories[number].remember(*sources[1:])

    def _pointwise(
        self, number: int, stage: int, sources: list[Tensor], out: Tensor
    ) -> Iterator[Operation]:
        """What a node learns at a stage from values at its own position."""
        node = self.program.nodes[number]
        if isinstance(node, Cat):
            yield from self._cat(number, stage, sources, out)
        elif isinstance(node, Attend):
            if self._mine(number, stage):
                yield self.memories[number].attend(sources[0], out)
        elif not isinstance(node, IN_PLACE):
            for run in self._mine(number, stage):
                yield TABLE[node.op](node, run, sources, out[..., run])

    def _cat(
        self, number: int, stage: int, sources: list[Tensor], out: Tensor
    ) -> Iterator[Operation]:
        widths = [source.shape[-1] for source in sources]
        parts = zip(sources, out.split(widths, -1), self.stages[number].split(widths), strict=True)
        for source, place, stages in parts:
            for run in runs_of(stages == stage):
                yield partial(place[..., run].copy_, source[..., run])

    def _row_taps(self, number: int, node: Sum, stage: int, row: int) -> Iterator[Operation]:
        """Taps for a whole row: all of them after it, those that read finished rows before it.

        What finished rows add to a later step waits at its place.
        """
        store, up = self.store, node.up
        runs = self._mine(number, stage)
        if stage == ROW_START and number in self.times.waiting:
            runs = runs + runs_of(self.times.is_step(self.stages[number]))
        for first in range(min(up, store.width(node.clock))):
            phase = (row // node.clock % up, first)
            for run in runs:
                kernel = self._kernel(number, node, stage, phase, run)
                out = store.row(number)[first::up, :, run]
                views = [
                    store.window(node.sources[0], down, right, node.stride, len(out))[..., features]
                    for down, right, features in kernel.segments
                ]
                yield from bind(store, kernel, views, self._bias(node, run), out)

    def _taps(
        self, number: int, node: Sum, stage: int, row: int, column: int
    ) -> Iterator[Operation]:
        """The part of a node's taps that is left for one position."""
        waits = number in self.times.waiting and stage <= self.steps
        for run, kernel, views in self._read(number, node, stage, row, column):
            base = None if waits else self._bias(node, run)
            yield from bind(self.store, kernel, views, base, self.store.at(number, column)[:, run])

    def _read(
        self, number: int, node: Sum, stage: int, row: int, column: int
    ) -> Iterator[tuple[slice, Kernel, list[Tensor]]]:
        """Runs of features that taps give to one position at a stage: their kernels, and what these read."""
        up, here = node.up, column // node.up * node.stride
        phase = (row // node.clock % up, column % up)
        for run in self._mine(number, stage):
            kernel = self._kernel(number, node, stage, phase, run)
            views = [
                self.store.window(node.sources[0], down, here + right, 1, 1)[0, :, features]
                for down, right, features in kernel.segments
            ]
            yield run, kernel, views

    def _kernel(
        self, number: int, node: Sum, stage: int, phase: tuple[int, int], run: slice
    ) -> Kernel:
        key = (number, stage, phase, run.start, run.stop, run.step)
        if key not in self.kernels:
            self.kernels[key] = kernel_of(node, self.times.reads(node, stage, phase), run)
        return self.kernels[key]

    def _bias(self, node: Sum, run: slice) -> Tensor:
        return self.store.zeros(1) if node.bias is None else node.bias[run]
