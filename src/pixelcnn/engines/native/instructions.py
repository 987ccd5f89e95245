"""The instructions of the native engine.

The features of a value are stored in the order in which they become known, so that a step of a pixel reads
and writes runs of features. Constants of that kind, such as what the rows above contribute, take the order
of the value they are added to.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pixelcnn.engines.native.fusion import Fusion
from pixelcnn.engines.native.layout import Pool, packed, padded
from pixelcnn.engines.stages import is_step, readable
from pixelcnn.program import ROW_START, Elementwise, Lookup, Norm, Program, Slice, Sum, Tap

OPERATIONS = (
    *("slice", "relu", "elu", "silu", "tanh", "sigmoid", "prelu", "scale", "shift"),
    *("add", "sub", "mul", "gate"),
)
PRODUCT, DEPTHWISE, POINTWISE, NORM, LOOKUP = range(5)
ZERO, BIAS, PARTIAL = range(3)

Reads = Sequence[tuple[Tap, Tensor]]
"""Taps, and which features of their source each may read."""


class Instructions:
    """What the native engine is told to compute.

    Args:
        program: a network's.
        steps: of a pixel.
        stages: when each feature of each node is computed.
        orders: feature numbers of each node in storage order.
        fusion: what is computed together.
        pool: takes the weights in.
    """

    def __init__(
        self,
        program: Program,
        steps: int,
        stages: list[Tensor],
        orders: list[Tensor],
        fusion: Fusion,
        pool: Pool,
    ) -> None:
        self.program, self.steps, self.stages = program, steps, stages
        self.orders, self.fusion, self.pool = orders, fusion, pool
        self.places = [torch.argsort(order) for order in orders]
        self.has_partial: set[int] = set()

    def of(self, number: int, stage: int) -> Iterator[list[int]]:
        """Instructions that compute what a node learns at a stage; asked for in the order of stages."""
        node = self.program.nodes[number]
        if node.op in ("input", "condition") or number in self.fusion.inside:
            return
        mine = (self.stages[number][self.orders[number]] == stage).nonzero()[:, 0]
        start, count = (int(mine[0]), len(mine)) if len(mine) else (0, 0)
        if number in self.fusion.endings:
            yield from self._taps(number, stage, start, count)
        elif count and node.op == "norm":
            yield self._norm(number, start, count)
        elif count and node.op == "lookup":
            yield from self._lookup(number, start, count)
        elif count:
            yield from self._pointwise(number, start, count)

    def _taps(self, number: int, stage: int, start: int, count: int) -> Iterator[list[int]]:
        node, total = self._taps_of(number), self.program.width(number)
        source = self.stages[node.sources[0]]
        sums = self._depthwise if node.op == "depthwise" else self._product
        reads = [(tap, readable(tap, source, stage, self.steps)) for tap in node.taps]
        if count:
            waits = number in self.has_partial and is_step(torch.tensor(stage), self.steps)
            yield from sums(number, reads, start, count, PARTIAL if waits else BIAS)
        if stage == ROW_START and count < total and self._live(number, reads, count):
            self.has_partial.add(number)
            yield from sums(number, reads, count, total - count, BIAS, partial=True)

    def _taps_of(self, number: int) -> Sum:
        """The taps whose sums a node holds."""
        node = self.program.nodes[self.fusion.endings[number].taps]
        assert isinstance(node, Sum)
        return node

    def _live(self, number: int, reads: Reads, start: int) -> bool:
        """Whether taps add anything to the outputs from one on."""
        outputs = self.orders[number][start:]
        lives = (tap.live.cpu() & mask for tap, mask in reads)
        return any(bool(live[outputs].any()) for live in lives)

    def _product(
        self,
        number: int,
        reads: Reads,
        start: int,
        count: int,
        begin: int,
        *,
        partial: bool = False,
    ) -> Iterator[list[int]]:
        """One matrix product: a segment of inputs for each tap that has a live weight."""
        source = self._taps_of(number).sources[0]
        outputs, inputs = self.orders[number][start : start + count], self.orders[source]
        segments: list[list[int]] = []
        blocks: list[Tensor] = [torch.zeros(0, count)]
        for tap, mask in reads:
            live = (tap.live.cpu()[outputs] & mask)[:, inputs]
            used = live.any(0).nonzero()[:, 0]
            if len(used):
                low, high = int(used[0]), int(used[-1]) + 1
                segments.append([tap.down, tap.right, low, high - low])
                weight = tap.weight.detach().cpu().float()[outputs][:, inputs] * live
                blocks.append(weight[:, low:high].T)
        head = self._head(PRODUCT, number, start, count, begin, partial)
        yield [*head, *_listed(segments), self.pool.add(packed(torch.cat(blocks)))]

    def _depthwise(
        self,
        number: int,
        reads: Reads,
        start: int,
        count: int,
        begin: int,
        *,
        partial: bool = False,
    ) -> Iterator[list[int]]:
        """A row of weights for each tap that has a live one, once for each run that its source has too."""
        source = self._taps_of(number).sources[0]
        order, place = self.orders[number], self.places[source]
        for low, high in _runs([[(source, int(place[f]))] for f in order[start : start + count]]):
            outputs = order[start + low : start + high]
            first = int(place[outputs[0]])
            segments: list[list[int]] = []
            rows: list[Tensor] = [torch.zeros(0, high - low)]
            for tap, mask in reads:
                live = (tap.live.cpu() & mask)[outputs]
                if live.any():
                    segments.append([tap.down, tap.right, first, high - low])
                    rows.append((tap.weight.detach().cpu().float()[outputs] * live)[None])
            head = self._head(DEPTHWISE, number, start + low, high - low, begin, partial)
            yield [*head, *_listed(segments), self.pool.add(padded(torch.cat(rows)))]

    def _head(
        self, kind: int, number: int, start: int, count: int, begin: int, partial: bool
    ) -> list[int]:
        """What all sums begin with: where they go, what they start from and how they end."""
        node, ending = self._taps_of(number), self.fusion.endings[number]
        bias = node.bias
        begin = ZERO if begin == BIAS and bias is None else begin
        words = [kind, number, start, count, node.sources[0], int(partial), begin]
        activation = ending.activation if ending.activation and not partial else "slice"
        residual = ending.residual if ending.residual is not None and not partial else -1
        words += [OPERATIONS.index(activation), residual]
        if begin == BIAS and bias is not None:
            words.append(self.pool.add(bias.cpu()[self.orders[number][start : start + count]]))
        return words

    def _pointwise(self, number: int, start: int, count: int) -> Iterator[list[int]]:
        """One instruction for each run of features that is a run in every source too."""
        node = self.program.nodes[number]
        features = self.orders[number][start : start + count].tolist()
        reads = [self._reads(number, feature) for feature in features]
        op = "gate" if number in self.fusion.gates else node.op
        op = "slice" if op == "cat" else op
        for low, high in _runs(reads):
            words = [POINTWISE, number, start + low, high - low, OPERATIONS.index(op)]
            words += [word for read in reads[low] for word in read]
            if isinstance(node, Elementwise) and node.op in ("prelu", "scale", "shift"):
                constant = torch.tensor(node.constants[0]) if node.constants else node.parameter
                assert constant is not None
                words += self._parameter(constant, features[low:high])
            yield words

    def _parameter(self, parameter: Tensor, features: list[int]) -> list[int]:
        vector = parameter.dim() > 0
        return [int(vector), self.pool.add(parameter[features] if vector else parameter)]

    def _reads(self, number: int, feature: int) -> list[tuple[int, int]]:
        """Where a feature's sources are stored: node and place of each."""
        node = self.program.nodes[number]
        sources = self.fusion.gates.get(number, node.sources)
        if isinstance(node, Slice):
            return [self._place(sources[0], feature + node.start)]
        if node.op == "cat":
            for source in sources:
                if feature < self.program.width(source):
                    return [self._place(source, feature)]
                feature -= self.program.width(source)
        return [self._place(source, feature) for source in sources]

    def _place(self, number: int, feature: int) -> tuple[int, int]:
        """Where a feature is stored, slices that have no place of their own seen through."""
        while number in self.fusion.inside:
            node = self.program.nodes[number]
            assert isinstance(node, Slice)
            number, feature = node.sources[0], feature + node.start
        return number, int(self.places[number][feature])

    def _norm(self, number: int, start: int, count: int) -> list[int]:
        node, order = self.program.nodes[number], self.orders[number]
        assert isinstance(node, Norm)
        features = order[start : start + count].tolist()
        source = node.sources[0]
        words = [NORM, number, start, count, source]
        words += [self.pool.add(node.gain[features]), self.pool.add([node.epsilon])]
        groups = sorted({node.groups[feature] for feature in features})
        words.append(len(groups))
        for group in groups:
            members = [i for i, feature in enumerate(features) if node.groups[feature] == group]
            read = [int(self.places[source][features[i]]) for i in members]
            words += [len(read), *read, len(members), *members]
        return words

    def _lookup(self, number: int, start: int, count: int) -> Iterator[list[int]]:
        """One look-up for each run of features of one channel: a row of them for every level."""
        node = self.program.nodes[number]
        assert isinstance(node, Lookup)
        _, levels, size = node.table.shape
        features = self.orders[number][start : start + count]
        channels = (features // size).tolist()
        changes = [i for i in range(1, count) if channels[i] != channels[i - 1]]
        for low, high in zip([0, *changes], [*changes, count], strict=True):
            table = node.table[channels[low]][:, (features[low:high] % size).to(node.table.device)]
            place = int(self.places[node.sources[0]][channels[low]])
            words = [LOOKUP, number, start + low, high - low, node.sources[0], place, levels]
            yield [*words, self.pool.add(table)]


def _listed(segments: list[list[int]]) -> list[int]:
    return [len(segments), *(word for segment in segments for word in segment)]


def _runs(reads: Sequence[Sequence[tuple[int, int]]]) -> Iterator[tuple[int, int]]:
    """Bounds of the longest runs of features that are runs in every source too."""
    begin = 0
    for i in range(1, len(reads) + 1):
        follows = i < len(reads) and all(
            now == (before[0], before[1] + 1)
            for now, before in zip(reads[i], reads[i - 1], strict=True)
        )
        if not follows:
            yield begin, i
            begin = i
