"""Instructions for sums over taps: matrix products, and weighted sums of features' own neighbours."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pixelcnn.engines.native.build import code
from pixelcnn.engines.native.fusion import Arranged, Ending
from pixelcnn.engines.native.layout import Pool
from pixelcnn.engines.native.places import Place, Places, runs
from pixelcnn.program import INTEGERS, ROW_START, Depthwise, Sum, Tap

Reads = Sequence[tuple[Tap, Tensor]]
"""Taps, and which features of their source each may read."""


class Sums:
    """What the native engine is told of ``taps`` and ``depthwise``.

    Args:
        arranged: the program.
        places: of all features.
        pool: takes the weights in.
    """

    def __init__(self, arranged: Arranged, places: Places, pool: Pool) -> None:
        times, self.orders, self.fusion = arranged
        self.times, self.program = times, times.program
        self.steps, self.stages = times.steps, times.stages
        self.places, self.pool = places, pool
        self.whole = any(node.op in INTEGERS for node in self.program.nodes)

    def of(self, number: int, stage: int) -> Iterator[list[int]]:
        """Instructions that compute what the result of some taps learns at a stage."""
        ending = self.fusion.endings[number]
        node = self.program.nodes[ending.taps]
        assert isinstance(node, Sum)
        waits = ending.taps in self.times.waiting and not self._at_once(node)
        stages = self.stages[number][self.orders[number]]
        late = self.times.is_step(stages)
        here = _Job(number, ending, node, self.orders[number][stages == stage], stage)
        for phase in itertools.product(range(node.up), range(node.up)):
            if len(here.features):
                at_step = waits and stage in range(self.steps + 1)
                yield from self._phase(here, phase, "partial" if at_step else "bias")
            if stage == ROW_START and waits:
                rest = _Job(number, ending, node, self.orders[number][late], stage, partial=True)
                yield from self._phase(rest, phase, "bias")

    def _at_once(self, node: Sum) -> bool:
        """Whether a position sums all that it reads of itself, also what was known before its row.

        It is as much work, and no partial sums are stored. But one image at a time, which float programs
        draw, waits for it.
        """
        here = all(tap.down == 0 and tap.right == 0 for tap in node.taps)
        return self.whole and here and not isinstance(node, Depthwise)

    def _phase(self, job: "_Job", phase: tuple[int, int], start: str) -> Iterator[list[int]]:
        everything = job.stage != ROW_START and self._at_once(job.node)
        reads = [
            (tap, mask | everything) for tap, mask in self.times.reads(job.node, job.stage, phase)
        ]
        sums = self._depthwise if isinstance(job.node, Depthwise) else self._product
        yield from sums(job, reads, phase, start)

    def _product(
        self, job: "_Job", reads: Reads, phase: tuple[int, int], start: str
    ) -> Iterator[list[int]]:
        """One matrix product: a segment of inputs for each tap that has a live weight."""
        home, offset = self.fusion.home(job.node.sources[0])
        inputs = self.orders[home] - offset
        mine = (inputs >= 0) & (inputs < self.program.width(job.node.sources[0]))
        inputs = inputs.clamp(0, self.program.width(job.node.sources[0]) - 1)
        segments: list[list[int]] = []
        blocks: list[Tensor] = [torch.zeros(0, len(job.features))]
        for tap, mask in reads:
            live = (tap.live.cpu()[job.features] & mask)[:, inputs] & mine
            used = live.any(0).nonzero()[:, 0]
            if len(used):
                low, high = int(used[0]), int(used[-1]) + 1
                segments.append([tap.down, tap.right, low, high - low])
                weight = tap.weight.detach().cpu().float()[job.features][:, inputs] * live
                blocks.append(weight[:, low:high].T)
        head = self._head("product", job, job.features, phase, start)
        yield [*head, *_listed(segments), self.pool.packed(torch.cat(blocks))]

    def _depthwise(
        self, job: "_Job", reads: Reads, phase: tuple[int, int], start: str
    ) -> Iterator[list[int]]:
        """A row of weights for each tap that has a live one, once for each run that its source has too."""
        source = [self.places.of(job.node.sources[0], f) for f in job.features.tolist()]
        for low, high in runs([source, job.targets(self.places)]):
            outputs = job.features[low:high]
            segments: list[list[int]] = []
            rows: list[Tensor] = [torch.zeros(0, high - low)]
            for tap, mask in reads:
                live = (tap.live.cpu() & mask)[outputs]
                if live.any():
                    segments.append([tap.down, tap.right, source[low].feature, high - low])
                    rows.append((tap.weight.detach().cpu().float()[outputs] * live)[None])
            head = self._head("depthwise", job, outputs, phase, start)
            yield [*head, *_listed(segments), self.pool.padded(torch.cat(rows))]

    def _head(
        self, kind: str, job: "_Job", outputs: Tensor, phase: tuple[int, int], start: str
    ) -> list[int]:
        """What all sums begin with: where they go, what they start from and how they end."""
        features = outputs.tolist()
        to = self.places.run(job.number, features)
        source = self.fusion.home(job.node.sources[0])[0]
        bias = job.node.bias
        start = "zero" if start == "bias" and bias is None else start
        scan = self.fusion.scans.get(job.number, 0) if job.stage > self.steps else 0
        words = [code("kind", kind), scan, *to, len(features), self.places.number[source]]
        words += [int(job.partial), *phase, code("start", start)]
        if start == "bias" and bias is not None:
            words.append(self.pool.add(bias.cpu()[outputs]))
        return words + self._end(job, features)

    def _end(self, job: "_Job", features: list[int]) -> list[int]:
        """The function of the sums, and what is added to it."""
        function, residual = job.ending.function, job.ending.residual
        if job.partial or function is None:
            words = [code("operation", "copy")]
        else:
            words = self.pool.function(self.program.nodes[function], features)
        if job.partial or residual is None:
            return [*words, -1]
        return [*words, *self.places.run(residual, features)]


class _Job(NamedTuple):
    """Some features of a result of taps, in storage order, at a stage."""

    number: int
    ending: Ending
    node: Sum
    features: Tensor
    stage: int
    partial: bool = False

    def targets(self, places: Places) -> list[Place]:
        """Where the features go."""
        return [places.of(self.number, feature) for feature in self.features.tolist()]


def _listed(segments: list[list[int]]) -> list[int]:
    return [len(segments), *(word for segment in segments for word in segment)]
