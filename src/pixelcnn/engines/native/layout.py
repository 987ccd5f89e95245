"""How the native engine lays out features and weights."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.engines.native.build import code
from pixelcnn.program import Attend, Depthwise, Elementwise, Node, Program, Table, Unlowerable

CACHE_LINE = 16
"""Floats in one."""
MOST_FLOATS = 2**31
"""Weights of a plan, whose words are indices of 32 bits."""


def storage_orders(program: Program, stages: list[Tensor]) -> list[Tensor]:
    """Feature numbers of each node in storage order: as they become known.

    The features of a node that all become known together are free to take the order of the value they
    are combined with, so that both are read as one run.
    """
    orders: dict[int, Tensor] = {0: torch.arange(program.width(0))}
    for number in reversed(range(len(program.nodes))):
        node, stage = program.nodes[number], stages[number]
        if not _together(stage):
            orders[number] = torch.argsort(stage, stable=True)
        elif isinstance(node, Attend):  # reads and writes whole heads
            orders[number] = torch.arange(node.width)
        elif isinstance(node, Depthwise) and not _together(stages[node.sources[0]]):
            orders.setdefault(number, torch.argsort(stages[node.sources[0]], stable=True))
        orders.setdefault(number, torch.arange(node.width))
        if isinstance(node, Elementwise | Depthwise):
            for source in node.sources:
                if _together(stages[source]):
                    orders.setdefault(source, orders[number])
    return [orders[number] for number in range(len(program.nodes))]


def _together(stage: Tensor) -> bool:
    return bool((stage == stage[0]).all())


class Pool:
    """The weights of a plan, one array after the other.

    Args:
        lanes: outputs that are computed together, a vector of them.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self._parts: list[np.ndarray] = []
        self._shared: dict[int, int] = {}
        self._size = 0

    def add(self, values: Tensor | Sequence[float]) -> int:
        """Takes floats in; returns where they begin: at a cache line.

        Raises:
            Unlowerable: more weights than an index can tell.
        """
        array = torch.as_tensor(values, dtype=torch.float32).detach().cpu().numpy().ravel()
        start, padding = self._size, -len(array) % CACHE_LINE
        self._parts += [array, np.zeros(padding, np.float32)]
        self._size += len(array) + padding
        if self._size >= MOST_FLOATS:
            raise Unlowerable("too many weights for the native engine")
        return start

    def shared(self, values: Tensor) -> int:
        """As :meth:`add`, but the same tensor is taken in once."""
        if id(values) not in self._shared:
            self._shared[id(values)] = self.add(values)
        return self._shared[id(values)]

    def function(self, node: Node, features: list[int]) -> list[int]:
        """An elementwise function as words: its number, and where what it takes is.

        Args:
            node: an elementwise one.
            features: which of its features are computed, in the order they are.
        """
        assert isinstance(node, Elementwise)
        words = [code("operation", node.op)]
        if node.parameter is not None:
            words.append(self.add(node.parameter.cpu()[features]))
        if node.constants:
            words.append(self.add(node.constants))
        if isinstance(node, Table):
            words.append(self.shared(node.table))
        return words

    def packed(self, matrix: Tensor) -> int:
        """Takes ``(inputs, outputs)`` in as ``(blocks, inputs, lanes)``: for so many outputs, all inputs."""
        wide = self._whole(matrix)
        blocks = wide.shape[1] // self.lanes
        return self.add(wide.reshape(len(wide), blocks, self.lanes).transpose(0, 1))

    def padded(self, matrix: Tensor) -> int:
        """Takes ``(rows, features)`` in with zeros up to whole vectors of features."""
        return self.add(self._whole(matrix))

    def _whole(self, matrix: Tensor) -> Tensor:
        return functional.pad(matrix, (0, -matrix.shape[1] % self.lanes))

    def weights(self) -> np.ndarray:
        """All of them, float32, and one more."""
        return np.concatenate([*self._parts, np.zeros(1, np.float32)])
