"""The program in torch, a position at a time: every activation is computed once."""

import copy

import torch
from torch import Tensor

from pixelcnn.engines.cached.memory import memories
from pixelcnn.engines.cached.operations import Operations
from pixelcnn.engines.cached.store import Store
from pixelcnn.engines.stages import schedule
from pixelcnn.model import PixelModel
from pixelcnn.program import ROW_START, Program
from pixelcnn.shapes import Position


class CachedEngine:
    """Walks a program over the positions of n images.

    Its weights are a copy: the caller's may change before the last position.

    Args:
        model: in evaluation mode.
        program: of its network.
        n: number of images.
        condition: checked by the model.

    Raises:
        Unlowerable: see :func:`pixelcnn.engines.stages.schedule`.
    """

    @torch.inference_mode()
    def __init__(
        self, model: PixelModel, program: Program, n: int, condition: Tensor | None
    ) -> None:
        self.model, self.dtype, self.width = model, model.dtype, model.shape.width
        times = schedule(model, copy.deepcopy(program))
        self.steps, self.store = times.steps, Store(model, times, n, condition)
        attended = memories(self.store, model.shape.height)
        self.operations = Operations(times, self.store, attended)
        columns = range(model.shape.width)
        self.levels = [self.store.at(0, column) for column in columns]
        self.found = [self.store.at(len(program.nodes) - 1, column) for column in columns]

    @torch.inference_mode()
    def parameters(self, levels: Tensor, position: Position) -> Tensor:
        """Parameters of one pixel, ``(n, out)``, given the levels ``(n, c, h, w)`` before ``position``."""
        channel, row, column = position
        if channel == 0:
            if column > 0:
                self._finish_pixel(levels, row, column - 1)
            else:
                self._next_row(levels, row)
        elif channel < self.steps:
            value = self.model.encode(levels[:, channel - 1, row, column], self.dtype)
            self.levels[column][:, channel - 1] = value
        if channel < self.steps:
            for operation in self.operations.for_step(channel, row, column):
                operation()
        return self.found[column].clone()

    def _next_row(self, levels: Tensor, row: int) -> None:
        if row > 0:
            self._finish_pixel(levels, row - 1, self.width - 1)
            for operation in self.operations.for_row(self.steps + 1, row - 1):
                operation()
        self.store.next_row(row)
        for operation in self.operations.for_row(ROW_START, row):
            operation()

    def _finish_pixel(self, levels: Tensor, row: int, column: int) -> None:
        value = self.model.encode(levels[:, :, row, column], self.dtype)
        self.levels[column].copy_(value)
        for operation in self.operations.for_step(self.steps, row, column):
            operation()
