"""From a program to what the native engine reads: words that name values and instructions, and weights."""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch

from pixelcnn.engines.native.fusion import fuse
from pixelcnn.engines.native.instructions import OPERATIONS, Instructions
from pixelcnn.engines.native.layout import Pool, storage_orders
from pixelcnn.engines.stages import Reach, reach_of, schedule
from pixelcnn.masks import contiguous
from pixelcnn.model import PixelModel
from pixelcnn.outputs import Bernoulli, Categorical, LogisticMixture, Output
from pixelcnn.outputs.logistic_mixture import BROADEST, SHARPEST
from pixelcnn.program import ROW_START, Condition, Elementwise, Input, Norm, Program, Unlowerable

MAGIC = 0x31505850
NOW, ROWS, CONSTANT, MAP = range(4)


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


OUTPUTS: tuple[type[Output], ...] = (Bernoulli, Categorical, LogisticMixture)
"""Outputs that the native engine draws from, by their number in a plan."""


def draws_from(output: Output) -> bool:
    """Whether the native engine knows an output."""
    return type(output) in OUTPUTS


KNOWN = (
    *("input", "lookup", "condition", "taps", "depthwise", "norm", "slice", "cat"),
    *OPERATIONS,
)
"""Primitives that the native engine computes."""

_plans: WeakKeyDictionary[Program, dict[object, Plan]] = WeakKeyDictionary()


def obstacle(model: PixelModel, program: Program) -> str:
    """Why the native engine cannot run a program; empty if it can."""
    if not draws_from(model.output):
        return f"the native engine does not draw from {type(model.output).__name__}"
    for node in program.nodes:
        if node.op not in KNOWN:
            return f"the native engine does not compute {node.op}"
        if isinstance(node, Norm) and node.centred:
            return "the native engine does not compute centred norms"
        if node.op == "elu" and isinstance(node, Elementwise) and node.constants != (1.0,):
            return "the native engine does not compute elu of another alpha than 1"
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
        self.pool = Pool()

    def plan(self) -> Plan:
        fusion = fuse(self.program, self.stages, self.orders)
        instructions = Instructions(
            self.program, self.steps, self.stages, self.orders, fusion, self.pool
        )
        nodes = range(len(self.program.nodes))
        words = [*self._header(), len(nodes)]
        for number in nodes:
            reach = self.reach[number]
            words += [self.program.width(number), reach.up, reach.left, reach.right]
            words.append(self._storage(number))
        for stage in range(ROW_START, self.steps + 2):
            found = [one for number in nodes for one in instructions.of(number, stage)]
            words += [len(found), *(word for one in found for word in one)]
        conditions = [
            (number, self.orders[number].numpy())
            for number in nodes
            if isinstance(self.program.nodes[number], Condition)
        ]
        return Plan(np.array(words, np.int32), self.pool.weights(), conditions)

    def _header(self) -> list[int]:
        """The image, what its levels are divided by, and the output."""
        output, levels = self.model.output, self.model.levels
        divisor = 1 if self.model.network.embedding else levels - 1
        words = [MAGIC, *self.model.shape, levels, divisor, self.steps, OUTPUTS.index(type(output))]
        if isinstance(output, LogisticMixture):
            words += [output.components, self.pool.add([SHARPEST, BROADEST])]
        return words

    def _storage(self, number: int) -> int:
        node, stage = self.program.nodes[number], self.stages[number]
        if isinstance(node, Condition):
            return MAP if node.kind == "map" else CONSTANT
        by_row = bool(((stage == ROW_START) | (stage == self.steps + 1)).any())
        return ROWS if isinstance(node, Input) or by_row or self.reach[number] != Reach() else NOW
