"""An engine whose computations are captured once and replayed for every position.

A position is computed by a function of fixed places and of a position that only the device knows, a row by
another one; how they are replayed is the business of :mod:`pixelcnn.engines.cuda.replays`. On coarser grids
there is one function for each place in a cell of the coarsest: a constant of the function says what is
computed there and what is not, so nothing has to be masked, and no grid is finer than it must be.
"""

import copy
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from pixelcnn.engines.cached.operations import Operations
from pixelcnn.engines.cuda.drawing import Drawing
from pixelcnn.engines.cuda.places import Rows, Where, Window
from pixelcnn.engines.cuda.replays import Replays
from pixelcnn.engines.cuda.steps import Steps
from pixelcnn.engines.guard import Drawer
from pixelcnn.engines.stages import schedule
from pixelcnn.model import PixelModel
from pixelcnn.outputs import Bernoulli, Categorical, LogisticMixture, Output
from pixelcnn.program import ROW_START, UNITS, Program
from pixelcnn.shapes import Position

OUTPUTS: tuple[type[Output], ...] = (Bernoulli, Categorical, LogisticMixture)
"""Outputs whose probabilities are computed without waiting for the device."""


def obstacle(model: PixelModel, program: Program) -> str:
    """Why a model with a program does not run on this engine; empty if it does."""
    units = next((node.op for node in program.nodes if node.clock == UNITS), None)
    if units is not None:  # what is computed would differ from step to step
        return f"the cuda engine does not compute {units}"
    if type(model.output) not in OUTPUTS:
        return f"the cuda engine does not draw from {type(model.output).__name__}"
    if model.device.type != "cuda":
        return f"the cuda engine runs on a CUDA GPU, this model is on {model.device.type}"
    return ""


class CudaEngine(Drawer):
    """Walks a program over the positions of n images, or draws them.

    Takes nothing of the caller's along: weights and condition are copied.

    Args:
        model: in evaluation mode; on a CUDA GPU, or anywhere to see what is computed there.
        program: of its network.
        n: number of images.
        condition: checked by the model.

    Raises:
        Unlowerable: see :func:`pixelcnn.engines.stages.schedule`.

    Example:
        >>> from pixelcnn import networks, outputs
        >>> from pixelcnn.engines.trace import trace
        >>> network = networks.PixelCNN(channels=1, out=1, width=4, depth=1)
        >>> model = PixelModel(network, outputs.Bernoulli(), (1, 5, 7)).eval()
        >>> engine = CudaEngine(model, trace(network), 2, None)
        >>> nothing = torch.zeros(2, 1, 5, 7, dtype=torch.int64)
        >>> engine.fill(nothing, nothing.bool(), nothing.double(), temperature=1.0).sum()
        tensor(0)
    """

    @torch.no_grad()
    def __init__(
        self, model: PixelModel, program: Program, n: int, condition: Tensor | None
    ) -> None:
        self.model, self.n, program = model, n, copy.deepcopy(program)
        self.dtype, self.last = model.dtype, len(program.nodes) - 1
        times = schedule(model, program)
        self.steps = times.steps
        self.where = Where(model.device)
        condition = None if condition is None else condition.clone()
        self.rows_of = Rows(model, times, n, condition, self.where)
        self.by_row = Operations(times, self.rows_of, {})
        self.period = self.by_row.period
        self.window = Window(self.rows_of, times, self.period)
        self.by_position = Steps(times, self.window, model.shape)
        shape = (n, model.shape.channels)
        self.pixel = torch.zeros(shape, dtype=torch.int64, device=model.device)
        self.drawing: Drawing | None = None
        self.replays = Replays(model.device)

    @torch.no_grad()
    def parameters(self, levels: Tensor, position: Position) -> Tensor:
        """Parameters of one pixel, ``(n, out)``, given the levels ``(n, c, h, w)`` before ``position``."""
        channel, row, column = position
        with self.replays.in_order():
            if channel > 0:
                self.pixel[:, channel - 1].copy_(levels[:, channel - 1, row, column])
            elif column > 0:
                self._take(levels, row, column - 1)
            else:
                if row > 0:
                    self._take(levels, row - 1, self.model.shape.width - 1)
                self._next_row(row)
            if channel < self.steps:
                cell = row % self.period, column % self.period
                self._run("step", self._step, channel, *cell)
        return self._found(column % self.period).clone()

    @torch.no_grad()
    def rows(
        self, given: Tensor, known: Tensor, uniforms: Tensor, temperature: float, step: int = 1
    ) -> Iterator[tuple[int, Tensor]]:
        """See :class:`~pixelcnn.engines.guard.Drawer`; what is not yet drawn is zero."""
        drawing = self._begin(given, known, uniforms)
        for row in range(self.model.shape.height):
            self._draw_row(drawing, row, temperature)
            if (row + 1) % step == 0 or row + 1 == self.model.shape.height:
                yield row + 1, drawing.images()

    def _begin(self, given: Tensor, known: Tensor, uniforms: Tensor) -> Drawing:
        if self.drawing is None:
            self.drawing = Drawing(self.model.output, self.model.shape, self.pixel)
        self.drawing.begin(given, known, uniforms)
        return self.drawing

    def _draw_row(self, drawing: Drawing, row: int, temperature: float) -> None:
        with self.replays.in_order():
            self._next_row(row)
            for column in range(self.model.shape.width):
                cell = row % self.period, column % self.period
                self._run("draw", self._draw, drawing, temperature, *cell)

    def _run(self, name: str, function: Callable[..., None], *constants: object) -> None:
        self.replays.run((name, *constants), partial(function, *constants))

    def _next_row(self, row: int) -> None:
        """Before a row: what is computed after the last one, and for all of this one."""
        if row == 0:
            self.where.reset()
            self.rows_of.reset()
        elif self.by_row.for_row(self.steps + 1, row - 1):
            self._run("end", self._end_row, (row - 1) % self.period)
        self._run("row", self._begin_row, row % self.period)

    def _end_row(self, row: int) -> None:
        for operation in self.by_row.for_row(self.steps + 1, row):
            operation()

    def _begin_row(self, row: int) -> None:
        self.where.next_row()
        self.rows_of.next_row(row)
        for operation in self.by_row.for_row(ROW_START, row):
            operation()

    def _step(self, channel: int, row: int, column: int) -> None:
        """What a channel's parameters need; row and column lie in a cell of the coarsest grid."""
        if channel == 0:
            self.window.load(row, column)
        else:
            level = self.model.encode(self.pixel[:, channel - 1], self.dtype)
            self.window.store.at(0, column)[:, channel - 1].copy_(level)
        for operation in self.by_position.for_step(channel, row, column):
            operation()

    def _leave(self, row: int, column: int) -> None:
        """What is computed when all levels of a position are known; goes on to the next one."""
        self.window.store.at(0, column).copy_(self.model.encode(self.pixel, self.dtype))
        for operation in self.by_position.for_step(self.steps, row, column):
            operation()
        self.window.keep(row, column)
        self.where.next_column()

    def _draw(self, drawing: Drawing, temperature: float, row: int, column: int) -> None:
        """All of a position: its levels are drawn, or as they are known."""
        fixed, u = drawing.at(self.where.number)
        for channel in range(self.model.shape.channels):
            if channel < self.steps:
                self._step(channel, row, column)
            drawing.draw(
                channel, self._found(column), fixed[:, channel], u[:, channel], temperature
            )
        drawing.keep(self.where.number)
        self._leave(row, column)

    def _take(self, levels: Tensor, row: int, column: int) -> None:
        """Leaves a position with the levels that were chosen there."""
        self.pixel.copy_(levels[:, :, row, column])
        self._run("leave", self._leave, row % self.period, column % self.period)

    def _found(self, column: int) -> Tensor:
        return self.window.store.at(self.last, column)
