"""From a program to what the native engine reads: words that name values and instructions, and weights.

The features of a value are stored in the order in which they become known, so that a step of a pixel reads
and writes runs of features. Constants of that kind, such as what the rows above contribute, take the order
of the value they are added to.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from pixelcnn.engines.native.fusion import fuse
from pixelcnn.engines.native.layout import LANES, packed, storage_orders
from pixelcnn.engines.reach import Reach, reach_of
from pixelcnn.engines.timing import is_step, readable, schedule
from pixelcnn.masks import contiguous
from pixelcnn.model import PixelModel
from pixelcnn.outputs import Bernoulli, Categorical, Output
from pixelcnn.program import BINARY, ROW_START, UNARY, Node, Program, Tap, Unlowerable

MAGIC = 0x31505850
OPERATIONS = (
    *("slice", "relu", "elu", "silu", "tanh", "sigmoid", "prelu", "scale", "shift"),
    *("add", "sub", "mul", "gate"),
)
NOW, ROWS, CONSTANT, MAP = range(4)
PRODUCT, POINTWISE, NORM = range(3)
ZERO, BIAS, PARTIAL = range(3)


class Plan(NamedTuple):
    """What the native engine reads.

    Attributes:
        words: int32.
        weights: float32.
        conditions: numbers of the condition nodes, and the order of their features.
    """

    words: np.ndarray
    weights: np.ndarray
    conditions: list[tuple[int, np.ndarray]]


OUTPUTS: tuple[type[Output], ...] = (Bernoulli, Categorical)
"""Outputs that the native engine draws from, by their number in a plan."""


def draws_from(output: Output) -> bool:
    """Whether the native engine knows an output."""
    return type(output) in OUTPUTS


KNOWN = ("input", "condition", "taps", "norm", "slice", "cat", *UNARY, *BINARY)
"""Primitives that the native engine computes."""

_plans: WeakKeyDictionary[Program, dict[object, Plan]] = WeakKeyDictionary()


def obstacle(model: PixelModel, program: Program) -> str:
    """Why the native engine cannot run a program; empty if it can."""
    if not draws_from(model.output):
        return f"the native engine does not draw from {type(model.output).__name__}"
    for node in program.nodes:
        if node.op not in KNOWN:
            return f"the native engine does not compute {node.op}"
        if node.clock != 1:
            return "the native engine does not compute on coarser grids"
    return ""


def plan(model: PixelModel, program: Program) -> Plan:
    """The plan of a model's program, made once for each shape and output.

    Raises:
        Unlowerable: see :func:`obstacle`.
    """
    plans = _plans.setdefault(program, {})
    key = (model.shape, model.output)
    if key not in plans:
        reason = obstacle(model, program)
        if reason:
            raise Unlowerable(reason)
        plans[key] = _Planner(model, program).plan()
    return plans[key]


class _Planner:
    def __init__(self, model: PixelModel, program: Program) -> None:
        self.model, self.program = model, program
        self.steps, self.stages = schedule(model, program)
        # Later than possible does no harm, and leaves the parameters in their own order.
        self.stages[-1] = torch.tensor(contiguous(model.network.out, self.steps))
        self.reach = reach_of(program)
        self.orders = storage_orders(program, self.stages)
        self.places = [torch.argsort(order) for order in self.orders]
        self.fusion = fuse(program, self.stages, self.orders)
        self.has_partial: set[int] = set()
        self.words: list[int] = []
        self.pool: list[np.ndarray] = []
        self.pooled = 0

    def plan(self) -> Plan:
        channels, height, width = self.model.shape
        self.words += [
            MAGIC,
            channels,
            height,
            width,
            self.model.levels,
            self.steps,
            OUTPUTS.index(type(self.model.output)),
        ]
        self.words.append(len(self.program.nodes))
        for number, node in enumerate(self.program.nodes):
            reach = self.reach[number]
            self.words += [node.width, reach.up, reach.left, reach.right, self._storage(number)]
        for stage in range(ROW_START, self.steps + 2):
            instructions = [
                words for i in range(len(self.program.nodes)) for words in self._node(i, stage)
            ]
            self.words.append(len(instructions))
            for words in instructions:
                self.words += words
        conditions = [
            (i, self.orders[i].numpy())
            for i, node in enumerate(self.program.nodes)
            if node.op == "condition"
        ]
        weights = np.concatenate([*self.pool, np.zeros(1, np.float32)])
        return Plan(np.array(self.words, np.int32), weights, conditions)

    def _storage(self, number: int) -> int:
        node, stage = self.program.nodes[number], self.stages[number]
        if node.op == "condition":
            return MAP if node.kind == "map" else CONSTANT
        by_row = bool(((stage == ROW_START) | (stage == self.steps + 1)).any())
        return ROWS if node.op == "input" or by_row or self.reach[number] != Reach() else NOW

    def _weights(self, values: Tensor | np.ndarray) -> int:
        """Puts floats into the pool; returns where they begin."""
        array = np.asarray(
            values.cpu() if isinstance(values, Tensor) else values, np.float32
        ).ravel()
        start, padding = (
            self.pooled,
            -len(array) % LANES,
        )  # so that every array begins at a cache line
        self.pool += [array, np.zeros(padding, np.float32)]
        self.pooled += len(array) + padding
        if self.pooled >= 2**31:
            raise Unlowerable("too many weights for the native engine")
        return start

    def _node(self, number: int, stage: int) -> Iterator[list[int]]:
        """Instructions that compute what a node learns at a stage."""
        node = self.program.nodes[number]
        if node.op in ("input", "condition") or number in self.fusion.inside:
            return
        mine = (self.stages[number][self.orders[number]] == stage).nonzero()[:, 0]
        start, count = (int(mine[0]), len(mine)) if len(mine) else (0, 0)
        if number in self.fusion.endings:
            yield from self._taps(number, stage, start, count)
        elif count and node.op == "norm":
            yield self._norm(number, start, count)
        elif count:
            yield from self._pointwise(number, start, count)

    def _taps(self, number: int, stage: int, start: int, count: int) -> Iterator[list[int]]:
        node, total = self._taps_of(number), self.program.width(number)
        source = self.stages[node.sources[0]]
        reads = [(tap, readable(tap, source, stage, self.steps)) for tap in node.taps]
        if count:
            waits = number in self.has_partial and is_step(torch.tensor(stage), self.steps)
            yield self._product(number, reads, start, count, PARTIAL if waits else BIAS)
        if stage == ROW_START and count < total and self._live(number, reads, count, total - count):
            self.has_partial.add(number)
            yield self._product(number, reads, count, total - count, BIAS, partial=True)

    def _taps_of(self, number: int) -> Node:
        """The taps whose sums a node holds."""
        return self.program.nodes[self.fusion.endings[number].taps]

    def _live(
        self, number: int, taps: Sequence[tuple[Tap, Tensor]], start: int, count: int
    ) -> bool:
        outputs = self.orders[number][start : start + count]
        return any(bool((tap.live.cpu()[outputs] & mask).any()) for tap, mask in taps)

    def _product(
        self,
        number: int,
        taps: Sequence[tuple[Tap, Tensor]],
        start: int,
        count: int,
        begin: int,
        *,
        partial: bool = False,
    ) -> list[int]:
        """One matrix product: a segment of inputs for each tap that has a live weight."""
        node, ending = self._taps_of(number), self.fusion.endings[number]
        source = node.sources[0]
        outputs, inputs = self.orders[number][start : start + count], self.orders[source]
        segments: list[list[int]] = []
        blocks: list[Tensor] = []
        for tap, mask in taps:
            live = (tap.live.cpu()[outputs] & mask)[:, inputs]
            used = live.any(0).nonzero()[:, 0]
            if len(used):
                low, high = int(used[0]), int(used[-1]) + 1
                segments.append([tap.down, tap.right, low, high - low])
                weight = tap.weight.detach().cpu().float()[outputs][:, inputs] * live
                blocks.append(weight[:, low:high].T)
        bias = node.parameter
        begin = ZERO if begin == BIAS and bias is None else begin
        words = [PRODUCT, number, start, count, source, int(partial), begin]
        activation = ending.activation if ending.activation and not partial else "slice"
        residual = ending.residual if ending.residual is not None and not partial else -1
        words += [OPERATIONS.index(activation), residual]
        if begin == BIAS and bias is not None:
            words.append(self._weights(bias.detach().cpu()[outputs]))
        words.append(len(segments))
        words += [word for segment in segments for word in segment]
        return [
            *words,
            self._weights(packed(torch.cat(blocks) if blocks else torch.zeros(0, count))),
        ]

    def _pointwise(self, number: int, start: int, count: int) -> Iterator[list[int]]:
        """One instruction for each run of features that is a run in every source too."""
        node = self.program.nodes[number]
        features = self.orders[number][start : start + count].tolist()
        reads = [self._reads(number, feature) for feature in features]
        begin = 0
        for i in range(1, count + 1):
            follows = i < count and all(
                now == (before[0], before[1] + 1)
                for now, before in zip(reads[i], reads[i - 1], strict=True)
            )
            if not follows:
                op = "gate" if number in self.fusion.gates else node.op
                op = "slice" if op == "cat" else op
                words = [POINTWISE, number, start + begin, i - begin, OPERATIONS.index(op)]
                words += [word for read in reads[begin] for word in read]
                if node.parameter is not None:
                    words += self._parameter(node.parameter, features[begin:i])
                yield words
                begin = i

    def _parameter(self, parameter: Tensor, features: list[int]) -> list[int]:
        vector = parameter.dim() > 0
        return [
            int(vector),
            self._weights(parameter.detach()[features] if vector else parameter.detach()),
        ]

    def _reads(self, number: int, feature: int) -> list[tuple[int, int]]:
        """Where a feature's sources are stored: node and place of each."""
        node = self.program.nodes[number]
        sources = self.fusion.gates.get(number, node.sources)
        if node.op == "slice":
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
            number, feature = node.sources[0], feature + node.start
        return number, int(self.places[number][feature])

    def _norm(self, number: int, start: int, count: int) -> list[int]:
        node, order = self.program.nodes[number], self.orders[number]
        assert node.parameter is not None
        features = order[start : start + count].tolist()
        source = node.sources[0]
        words = [NORM, number, start, count, source]
        words += [
            self._weights(node.parameter.detach()[features]),
            self._weights(torch.tensor([node.epsilon])),
        ]
        groups = sorted({node.groups[feature] for feature in features})
        words.append(len(groups))
        for group in groups:
            members = [i for i, feature in enumerate(features) if node.groups[feature] == group]
            read = [int(self.places[source][features[i]]) for i in members]
            words += [len(read), *read, len(members), *members]
        return words
