"""How the native engine lays out features and weights."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pixelcnn.engines.native.build import lanes
from pixelcnn.program import Attend, Depthwise, Elementwise, Program, Unlowerable


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


def packed(matrix: Tensor) -> Tensor:
    """``(inputs, outputs)`` as ``(blocks, inputs, lanes)``: for so many outputs at a time, all inputs."""
    inputs, outputs = matrix.shape
    blocks = -(-outputs // lanes())
    return padded(matrix).reshape(inputs, blocks, lanes()).transpose(0, 1).contiguous()


def padded(matrix: Tensor) -> Tensor:
    """``(rows, features)`` with zeros up to whole vectors of features."""
    rows, features = matrix.shape
    wide = torch.zeros(rows, -(-features // lanes()) * lanes())
    wide[:, :features] = matrix
    return wide


class Pool:
    """The weights of a plan, one array after the other."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._size = 0

    def add(self, values: Tensor | Sequence[float]) -> int:
        """Takes floats in; returns where they begin: at a cache line.

        Raises:
            Unlowerable: more weights than an index can tell.
        """
        array = torch.as_tensor(values).detach().cpu().float().numpy().ravel()
        start, padding = self._size, -len(array) % lanes()
        self._parts += [array, np.zeros(padding, np.float32)]
        self._size += len(array) + padding
        if self._size >= 2**31:
            raise Unlowerable("too many weights for the native engine")
        return start

    def weights(self) -> np.ndarray:
        """All of them, float32, and one more."""
        return np.concatenate([*self._parts, np.zeros(1, np.float32)])
