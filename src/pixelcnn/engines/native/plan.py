"""From a program to what the native engine reads: words that name values and instructions, and weights."""

from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch

from pixelcnn.engines.native.build import code, codes, lanes, why_not
from pixelcnn.engines.native.fusion import arranged
from pixelcnn.engines.native.instructions import EMITTERS, Instructions
from pixelcnn.engines.native.layout import storage_orders
from pixelcnn.engines.stages import schedule
from pixelcnn.masks import contiguous
from pixelcnn.model import PixelModel
from pixelcnn.outputs import Bernoulli, Categorical, LogisticMixture, Output
from pixelcnn.outputs.logistic_mixture import BROADEST, SHARPEST
from pixelcnn.program import (
    ELEMENTWISE,
    INTEGERS,
    ROW_START,
    Condition,
    Dense,
    Depthwise,
    Flatten,
    Program,
    Taps,
    Unflatten,
    Unlowerable,
)

MAGIC = 0x32505850


class Plan(NamedTuple):
    """What the native engine reads.

    Attributes:
        words: int32.
        weights: float32.
        conditions: numbers of the condition nodes that are the same everywhere, and their features' order.
        has_map: whether it reads the condition as a map.
    """

    words: np.ndarray
    weights: np.ndarray
    conditions: list[tuple[int, np.ndarray]]
    has_map: bool

    @property
    def nbytes(self) -> int:
        """Of its words and weights."""
        return self.words.nbytes + self.weights.nbytes


OUTPUTS: dict[type[Output], str] = {
    Bernoulli: "bernoulli",
    Categorical: "categorical",
    LogisticMixture: "logistic_mixture",
}
"""Outputs that the native engine draws from."""

MOST_BYTES = 2**28
"""Of the plans that are kept of a program: each has all weights, and pictures may be of any sizes."""
_plans: WeakKeyDictionary[Program, dict[object, Plan]] = WeakKeyDictionary()


def known_primitives() -> set[str]:
    """Names of the primitives that the native engine computes.

    Raises:
        NotBuilt: there is no native engine here.
    """
    functions = {op for op in (*ELEMENTWISE, *INTEGERS) if op in codes("operation")}
    units = {Flatten.op, Dense.op, Unflatten.op}
    return {Taps.op, Depthwise.op, *units, *EMITTERS, *functions}


def obstacle(model: PixelModel, program: Program) -> str:
    """Why the native engine cannot run a program; empty if it can."""
    if type(model.output) not in OUTPUTS:
        return f"the native engine does not draw from {type(model.output).__name__}"
    if reason := why_not():
        return reason
    known = known_primitives()
    for node in program.nodes:
        if node.op not in known:
            return f"the native engine does not compute {node.op}"
    return ""


def plan(model: PixelModel, program: Program, together: int | None = None) -> Plan:
    """The plan of a model's program, made once for each of the latest shapes and outputs.

    Args:
        model: gives the shape, the output and the order of the parameters.
        program: of its network.
        together: outputs that an engine computes together; as many as the one here if None.

    Raises:
        NotBuilt: there is no native engine here.
        Unlowerable: see :func:`obstacle`.
    """
    plans = _plans.setdefault(program, {})
    key = (model.shape, model.output, together)
    found = plans.get(key)
    if found is None:
        if reason := obstacle(model, program):
            raise Unlowerable(reason)
        found = plans[key] = _plan(model, program, together or lanes())
        while len(plans) > 1 and sum(each.nbytes for each in list(plans.values())) > MOST_BYTES:
            plans.pop(next(iter(plans), None), None)
    return found


def _plan(model: PixelModel, program: Program, together: int) -> Plan:
    times = schedule(model, program)
    steps = times.steps
    # Later than possible does no harm, and leaves the parameters in their own order.
    times.stages[-1] = torch.tensor(contiguous(model.network.out, steps))
    orders = storage_orders(program, times.stages)
    size = model.shape.height, model.shape.width
    instructions = Instructions(arranged(times, orders), size, together)
    phases = [instructions.at(stage) for stage in range(ROW_START, steps + 2)]
    places, memories = instructions.places, instructions.memories
    words = _header(model, steps, instructions)
    words += [len(places.values), *(word for value in places.values for word in value.words())]
    words.append(places.number[len(program.nodes) - 1])
    words += [len(memories), *(word for memory in memories for word in memory)]
    queues = instructions.units.queues
    words.append(len(queues))
    for found in (*queues, *phases):
        words += [len(found), *(word for one in found for word in one)]
    conditions = [
        (number, orders[number].numpy())
        for number, node in enumerate(program.nodes)
        if isinstance(node, Condition) and node.kind != "map"
    ]
    weights = instructions.pool.weights()
    return Plan(np.array(words, np.int32), weights, conditions, instructions.map is not None)


def _header(model: PixelModel, steps: int, instructions: Instructions) -> list[int]:
    """The image, what its levels are divided by, and the output."""
    output, levels = model.output, model.levels
    words = [
        MAGIC,
        instructions.pool.lanes,
        *model.shape,
        levels,
        model.divisor,
        steps,
        code("output", OUTPUTS[type(output)]),
    ]
    if isinstance(output, LogisticMixture):
        words += [output.components, instructions.pool.add([SHARPEST, BROADEST])]
    return words
