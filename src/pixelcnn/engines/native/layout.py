"""How the native engine lays out features and weights."""

import torch
from torch import Tensor

from pixelcnn.program import BINARY, UNARY, Program

LANES = 16
"""Outputs that are computed together."""


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
        orders.setdefault(number, torch.arange(node.width))
        if node.op in UNARY + BINARY:
            for source in node.sources:
                if _together(stages[source]):
                    orders.setdefault(source, orders[number])
    return [orders[number] for number in range(len(program.nodes))]


def _together(stage: Tensor) -> bool:
    return bool((stage == stage[0]).all())


def packed(matrix: Tensor) -> Tensor:
    """``(inputs, outputs)`` as ``(blocks, inputs, LANES)``: for so many outputs at a time, all inputs."""
    inputs, outputs = matrix.shape
    blocks = -(-outputs // LANES)
    padded = torch.zeros(inputs, blocks * LANES)
    padded[:, :outputs] = matrix
    return padded.reshape(inputs, blocks, LANES).transpose(0, 1).contiguous()
