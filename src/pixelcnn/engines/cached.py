"""The program in torch, a position at a time: every activation is computed once.

A phase is a set of features that become known together: those that depend on finished rows only are
computed for a whole row before its first pixel, the others at one step of their pixel. Taps that read
finished rows are applied to a whole row at once; what is left for a position is its row's left and itself.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.engines.pointwise import ALL, Index, pointwise
from pixelcnn.engines.reach import Reach, reach_of
from pixelcnn.engines.timing import schedule
from pixelcnn.model import PixelModel
from pixelcnn.program import ROW_START, Node, Program
from pixelcnn.shapes import Position


class CachedEngine:
    """Walks a program over the positions of n images.

    Args:
        model: in evaluation mode.
        program: of its network.
        n: number of images.
        condition: checked by the model.

    Raises:
        Unlowerable: see :func:`pixelcnn.engines.timing.schedule`.
    """

    @torch.no_grad()
    def __init__(
        self, model: PixelModel, program: Program, n: int, condition: Tensor | None
    ) -> None:
        self.model, self.program, self.n = model, program, n
        self.width = model.shape.width
        self.steps, self.stages = schedule(model, program)
        self.reach = reach_of(program)
        self.rows: dict[int, Tensor] = {}
        self.now: list[Tensor] = []
        for number, node in enumerate(program.nodes):
            self.now.append(self._zeros(n, node.width))
            if node.op == "input" or self.reach[number] != Reach() or self._has_row_stage(number):
                reach = self.reach[number]
                shape = (n, reach.up + 1, self.width + reach.left + reach.right, node.width)
                self.rows[number] = self._zeros(*shape)
        self.partial: dict[int, Tensor] = {}
        self.conditions = self._conditions(condition)
        self.row_start = self._phase(ROW_START, row=True)
        self.at_step = [self._phase(step) for step in range(self.steps + 1)]
        self.row_end = self._phase(self.steps + 1, row=True)

    @torch.no_grad()
    def parameters(self, levels: Tensor, position: Position) -> Tensor:
        """Parameters of one pixel, ``(n, out)``, given the levels ``(n, c, h, w)`` before ``position``."""
        channel, row, column = position
        if channel == 0:
            if column > 0:
                self._finish_pixel(levels, row, column - 1)
            else:
                self._next_row(levels, row)
            self._look_at(column)
        if channel < self.steps:
            if channel > 0:
                self.now[0][:, channel - 1] = self.model.encode(levels[:, channel - 1, row, column])
            for operation in self.at_step[channel]:
                operation(column)
        return self.now[-1].clone()

    def _next_row(self, levels: Tensor, row: int) -> None:
        if row > 0:
            self._finish_pixel(levels, row - 1, self.width - 1)
            for operation in self.row_end:
                operation(0)
        for stored in self.rows.values():
            stored[:, :-1] = stored[:, 1:].clone()
            stored[:, -1] = 0
        for number, values in self.conditions.items():
            self._row(number)[:] = values[:, None] if values.dim() == 2 else values[:, row]
        for operation in self.row_start:
            operation(0)

    def _finish_pixel(self, levels: Tensor, row: int, column: int) -> None:
        self.now[0][:] = self.model.encode(levels[:, :, row, column])
        for operation in self.at_step[self.steps]:
            operation(column)

    def _look_at(self, column: int) -> None:
        for number, stored in self.rows.items():
            self.now[number] = stored[:, -1, self.reach[number].left + column]

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=self.model.dtype, device=self.model.device)

    def _row(self, number: int) -> Tensor:
        """The current row of a stored value, ``(n, width, features)``."""
        left = self.reach[number].left
        return self.rows[number][:, -1, left : left + self.width]

    def _has_row_stage(self, number: int) -> bool:
        stage = self.stages[number]
        return bool(((stage == ROW_START) | (stage == self.steps + 1)).any())

    def _conditions(self, condition: Tensor | None) -> dict[int, Tensor]:
        """Values of the condition nodes: ``(n, features)``, or ``(n, h, w, features)`` for a map."""
        values = {}
        for number, node in enumerate(self.program.nodes):
            if node.op == "condition":
                assert condition is not None
                values[number] = self.program.condition_values(number, condition)
        return values

    def _phase(self, stage: int, *, row: bool = False) -> list[Callable[[int], None]]:
        """What is computed at a stage, in the order of the nodes."""
        operations = []
        for number, node in enumerate(self.program.nodes):
            if node.op in ("input", "condition"):
                continue
            mine = self.stages[number] == stage
            if node.op == "taps":
                operation = self._row_taps(number, mine, stage) if row else self._taps(number, mine)
            elif mine.any():
                operation = self._pointwise(number, mine, row=row)
            else:
                continue
            if operation is not None:
                operations.append(operation)
        return operations

    def _index(self, mine: Tensor) -> Index:
        return ALL if bool(mine.all()) else mine.nonzero()[:, 0].to(self.model.device)

    def _store(self, number: int, index: Index) -> Callable[[Tensor], None]:
        """How a position's value is kept: stored values are written in place, others replaced if whole."""
        if number in self.rows or index is not ALL:

            def write(value: Tensor) -> None:
                self.now[number][:, index] = value

            return write

        def replace(value: Tensor) -> None:
            self.now[number] = value

        return replace

    def _row_taps(self, number: int, mine: Tensor, stage: int) -> Callable[[int], None] | None:
        """Taps applied to a whole row: all of them at its end, those that read finished rows at its start."""
        node = self.program.nodes[number]
        source = node.sources[0]
        at_start = stage == ROW_START
        rows = self._rows_weight(node, only_finished=at_start)
        if (rows is None and at_start and not mine.any()) or (not at_start and not mine.any()):
            return None
        index = self._index(mine)
        if at_start and not bool(mine.all()):
            self.partial[number] = self._zeros(self.n, self.width, node.width)
        bias = None if node.parameter is None else node.parameter.to(self.model.dtype)
        stored, trim = self.rows[source], self._trim(node)

        def apply(_: int) -> None:
            if rows is None:
                value = self._zeros(self.n, self.width, node.width) + (0 if bias is None else bias)
            else:
                window = stored[:, -rows.shape[2] :, trim].permute(0, 3, 1, 2)
                value = functional.conv2d(window, rows, bias)[:, :, 0].transpose(1, 2)
            if number in self.partial:
                self.partial[number].copy_(value)
            if number in self.rows:
                self._row(number)[..., index] = value[..., index]

        return apply

    def _trim(self, node: Node) -> slice:
        """The columns of the stored source that a node's own kernel reads."""
        reach = self.reach[node.sources[0]]
        left, right = max(-tap.right for tap in node.taps), max(tap.right for tap in node.taps)
        left, right = max(left, 0), max(right, 0)
        return slice(reach.left - left, reach.left + self.width + right)

    def _rows_weight(self, node: Node, *, only_finished: bool) -> Tensor | None:
        """A kernel ``(out, in, rows, columns)`` over the last rows, its own included; None if it is empty."""
        early = self.stages[node.sources[0]] == ROW_START
        up = max(-tap.down for tap in node.taps)
        left = max(0, *(-tap.right for tap in node.taps))
        right = max(0, *(tap.right for tap in node.taps))
        out, width = node.taps[0].weight.shape
        kernel = self._zeros(out, width, up + 1, left + right + 1)
        empty = True
        for tap in node.taps:
            readable = (
                torch.ones(width, dtype=torch.bool) if tap.down < 0 or not only_finished else early
            )
            live = tap.live.cpu() & readable
            if live.any():
                empty = False
                kernel[:, :, up + tap.down, left + tap.right] = tap.weight * live.to(tap.weight)
        return None if empty else kernel.to(memory_format=torch.channels_last)

    def _taps(self, number: int, mine: Tensor) -> Callable[[int], None] | None:
        """The part of a node's taps that reads its own row, at one position."""
        if not mine.any():
            return None
        node = self.program.nodes[number]
        index, store = self._index(mine), self._store(number, self._index(mine))
        weight, left = self._left_weight(node, mine)
        base, bias = self.partial.get(number), node.parameter
        first = (self._zeros(1) if bias is None else bias.to(self.model.dtype)[index])[None]
        source = node.sources[0]
        stored, start = self.rows.get(source), self.reach[source].left - left

        def apply(column: int) -> None:
            before = first if base is None else base[:, column][:, index]
            if weight is None:
                store(before.expand(self.n, -1))
            elif left == 0 or stored is None:
                store(torch.addmm(before, self.now[source], weight))
            else:
                window = stored[:, -1, start + column : start + column + left + 1].flatten(1)
                store(torch.addmm(before, window, weight))

        return apply

    def _left_weight(self, node: Node, mine: Tensor) -> tuple[Tensor | None, int]:
        """Packed weight ``((left + 1) * in, out)`` of what is read at a position, and how far to the left."""
        late = self.stages[node.sources[0]] != ROW_START
        used = {}
        for tap in node.taps:
            live = tap.live.cpu()[mine] & late
            if tap.down == 0 and live.any():
                used[-tap.right] = tap.weight[mine.to(tap.weight.device)] * live.to(tap.weight)
        if not used:
            return None, 0
        left, nothing = max(used), torch.zeros_like(next(iter(used.values())))
        return torch.cat(
            [used.get(k, nothing) for k in range(left, -1, -1)], 1
        ).T.contiguous(), left

    def _pointwise(self, number: int, mine: Tensor, *, row: bool) -> Callable[[int], None]:
        """Everything that reads its own position: one column of the values, or a whole row of them."""
        node = self.program.nodes[number]
        index = self._index(mine)
        compute = pointwise(node, index)
        if row:

            def whole(_: int) -> None:
                self._row(number)[..., index] = compute([self._row(s) for s in node.sources])

            return whole
        store, now = self._store(number, index), self.now

        def single(_: int) -> None:
            store(compute([now[s] for s in node.sources]))

        return single
