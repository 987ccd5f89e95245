"""What is computed when, as operations between places.

Features that depend on finished rows only are computed for a whole row before its first pixel, the others
at one step of their pixel. Taps that read finished rows are applied to a whole row at once; what is left
for a position is its row's left and itself.
"""

import math
from collections.abc import Iterator
from functools import partial

from torch import Tensor

from pixelcnn.engines import pointwise
from pixelcnn.engines.memory import Memory
from pixelcnn.engines.products import Kernel, Operation, bind, kernel_of
from pixelcnn.engines.runs import runs_of
from pixelcnn.engines.scans import Scan, scans_of
from pixelcnn.engines.store import Store
from pixelcnn.engines.timing import has_partial, is_step, readable
from pixelcnn.program import ROW_START, Node, Program, Tap
from pixelcnn.shapes import ImageShape


class Operations:
    """The computations of a program, bound once for each column.

    Args:
        program: what is computed.
        steps: a pixel.
        stages: when each feature of each node is.
        store: the places of values.
        shape: of the image.
    """

    def __init__(
        self, program: Program, steps: int, stages: list[Tensor], store: Store, shape: ImageShape
    ) -> None:
        self.program, self.steps, self.stages, self.store = program, steps, stages, store
        self.period = math.lcm(*(node.clock for node in program.nodes))
        self.scans = scans_of(program)
        self.kernels: dict[tuple[object, ...], Kernel] = {}
        self.bound: dict[tuple[int, int, int], list[Operation]] = {}
        self.waiting = {
            number
            for number, node in enumerate(program.nodes)
            if node.taps and has_partial(node, stages, number, steps)
        }
        self.runs: dict[tuple[int, int], list[slice]] = {}
        self.memories: dict[int, Memory] = {}
        for number, node in enumerate(program.nodes):
            if node.op == "attend":
                positions = store.width(node.clock) * -(-shape.height // node.clock)
                self.memories[number] = Memory(store, node, positions)

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
                if key[1] % node.clock == column % node.clock == 0:
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
        if row % node.clock:
            return
        scan = next((scan for scan in self.scans if number in scan.members), None)
        if stage != ROW_START and scan is not None:
            if number == scan.last:
                yield from self._scan(scan, stage, row)
            return
        out = self.store.row(number)
        if node.taps:
            yield from self._row_taps(number, stage, row)
        else:
            width = self.store.width(node.clock)  # a label's own grid is the image's
            sources = [
                self.store.window(source, 0, 0, 1, width)
                for source in node.sources
                if node.op != "past"
            ]
            yield from self._pointwise(number, stage, sources, out)

    def _scan(self, scan: Scan, stage: int, row: int) -> Iterator[Operation]:
        """Nodes that read each other's right, a column at a time."""
        clock = self.program.nodes[scan.last].clock
        for column in reversed(range(self.store.width(clock))):
            for number in sorted(scan.members):
                yield from self._position(number, stage, row, column)

    def _position(self, number: int, stage: int, row: int, column: int) -> Iterator[Operation]:
        """A node at one column of its grid."""
        node = self.program.nodes[number]
        if node.taps:
            yield from self._taps(number, stage, row, column)
            return
        sources = [self.store.at(source, column) for source in node.sources if node.op != "past"]
        yield from self._pointwise(number, stage, sources, self.store.at(number, column))
        if node.op == "attend" and stage == self.steps:
            yield self.memories[number].remember(*sources[1:])

    def _pointwise(
        self, number: int, stage: int, sources: list[Tensor], out: Tensor
    ) -> Iterator[Operation]:
        """What a node learns at a stage from values at its own position."""
        node = self.program.nodes[number]
        if node.op in ("input", "condition", "slice", "past"):
            return
        if node.op == "cat":
            yield from self._cat(number, stage, sources, out)
            return
        for run in self._mine(number, stage):
            if node.op == "attend":
                yield self.memories[number].attend(sources[0], out)
            elif node.op == "norm":
                yield pointwise.norm(node, run, sources[0], out[..., run])
            elif node.op == "lookup":
                yield pointwise.lookup(node, run, sources[0], out[..., run])
            else:
                yield pointwise.elementwise(node, run, sources, out[..., run])

    def _cat(
        self, number: int, stage: int, sources: list[Tensor], out: Tensor
    ) -> Iterator[Operation]:
        widths = [source.shape[-1] for source in sources]
        parts = zip(sources, out.split(widths, -1), self.stages[number].split(widths), strict=True)
        for source, place, stages in parts:
            for run in runs_of(stages == stage):
                yield partial(place[..., run].copy_, source[..., run])

    def _row_taps(self, number: int, stage: int, row: int) -> Iterator[Operation]:
        """Taps for a whole row: all of them after it, those that read finished rows before it.

        What finished rows add to a later step waits at its place.
        """
        node, store = self.program.nodes[number], self.store
        runs = self._mine(number, stage)
        if stage == ROW_START and number in self.waiting:
            runs = runs + runs_of(is_step(self.stages[number], self.steps))
        source, up = node.sources[0], self._up(node)
        step = max(1, node.clock // self.program.nodes[source].clock)
        for first in range(min(up, store.width(node.clock))):
            phase = (row // node.clock % up, first)
            for run in runs:
                kernel = self._kernel(number, stage, phase, run)
                out = store.row(number)[first::up, :, run]
                views = [
                    store.window(source, down, right, step, len(out))[..., features]
                    for down, right, features in kernel.segments
                ]
                yield from bind(store, kernel, views, self._bias(node, run), out)

    def _taps(self, number: int, stage: int, row: int, column: int) -> Iterator[Operation]:
        """The part of a node's taps that is left for one position."""
        node, store = self.program.nodes[number], self.store
        source, up = node.sources[0], self._up(node)
        step = max(1, node.clock // self.program.nodes[source].clock)
        phase = (row // node.clock % up, column % up)
        for run in self._mine(number, stage):
            kernel = self._kernel(number, stage, phase, run)
            views = [
                store.window(source, down, column // up * step + right, 1, 1)[0, :, features]
                for down, right, features in kernel.segments
            ]
            waits = number in self.waiting and stage <= self.steps
            base = None if waits else self._bias(node, run)
            yield from bind(store, kernel, views, base, store.at(number, column)[:, run])

    def _up(self, node: Node) -> int:
        return max(1, self.program.nodes[node.sources[0]].clock // node.clock)

    def _kernel(self, number: int, stage: int, phase: tuple[int, int], run: slice) -> Kernel:
        key = (number, stage, phase, run.start, run.stop, run.step)
        if key not in self.kernels:
            node = self.program.nodes[number]
            source = self.stages[node.sources[0]]
            reads: list[tuple[Tap, Tensor]] = [
                (tap, readable(tap, source, stage, self.steps))
                for tap in node.taps
                if tap.phase == phase
            ]
            self.kernels[key] = kernel_of(node, reads, run)
        return self.kernels[key]

    def _bias(self, node: Node, run: slice) -> Tensor:
        return self.store.zeros(1) if node.parameter is None else node.parameter[run]
