"""Where values are: rows of them, and a window onto the current position that does not move.

What is computed for a whole row reads and writes :class:`Rows`, as in the cached engine. What is computed
for a position reads and writes a :class:`Window`: before it, what it needs of the current row is copied
there, after it, what is read later is copied back. So all addresses are the same at every position, and the
position itself is a number that only the device knows. Values that are copied alike lie side by side, and
one copy serves them all.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pixelcnn.engines.cached.store import Store, read_again
from pixelcnn.engines.stages import Reach, has_partial, is_step
from pixelcnn.model import PixelModel
from pixelcnn.program import ROW_START, Cat, Condition, Elementwise, Node, Position, Program, Sum

ALIGNED = 16
"""Of so many numbers is what a value's place in a column is a multiple of."""


class Where(NamedTuple):
    """The current position, in numbers on the device: int64 ``(1,)`` each.

    Attributes:
        row: of the image.
        column: of the image.
        number: of positions before it.
    """

    row: Tensor
    column: Tensor
    number: Tensor

    @staticmethod
    def first(device: torch.device) -> "Where":
        """The first position."""
        return Where(*(torch.zeros(1, dtype=torch.int64, device=device) for _ in range(3)))

    def reset(self) -> None:
        """Goes to the first position."""
        for number in self:
            number.zero_()

    def next_column(self) -> None:
        """Goes to the next position of the row."""
        self.column.add_(1)
        self.number.add_(1)

    def next_row(self) -> None:
        """Goes to the first position of the next row."""
        self.row.add_(1)
        self.column.zero_()

    def cell(self, clock: int) -> tuple[Tensor, Tensor]:
        """Row and column on a grid of every so many rows and columns."""
        row, column = self.row, self.column
        return (row, column) if clock == 1 else (row // clock, column // clock)


class Rows(Store):
    """Rows of values, as :class:`~pixelcnn.engines.cached.store.Store` keeps them for a row on the device.

    Args:
        model, program, n, by_row, condition: see there.
        where: the current position.
    """

    def __init__(
        self,
        model: PixelModel,
        program: Program,
        n: int,
        by_row: list[bool],
        condition: Tensor | None,
        where: Where,
    ) -> None:
        self.where = where
        super().__init__(model, program, n, by_row, condition)

    def reset(self) -> None:
        """Forgets all rows."""
        for stored in self.rows.values():
            stored.zero_()

    def _begin(self, node: Node, row: int) -> Tensor:
        line, _ = self.where.cell(node.clock)
        if isinstance(node, Position):
            columns = node.columns[: self.width(node.clock)]
            return (node.rows.index_select(0, line) + columns)[:, None]
        assert isinstance(node, Condition) and self.condition is not None
        if node.kind != "map":
            return node.values(self.condition)
        part = self.condition.index_select(2, line * node.clock)[..., :: node.clock]
        return node.values(part)[:, 0].transpose(0, 1)


class Use(NamedTuple):
    """How the computations of a position use a value of which rows are kept.

    Attributes:
        clock: of its grid.
        left: columns to the left that they read.
        early: whether they read, at the position itself, what was computed for the whole row.
        kept: whether what they compute is read after the position.
    """

    clock: int
    left: int
    early: bool
    kept: bool

    @property
    def is_copied(self) -> bool:
        """Whether anything goes from the row to the window, or back."""
        return self.left > 0 or self.early or self.kept


def uses_of(rows: Store, stages: Sequence[Tensor], steps: int) -> list[Use]:
    """The use of each value with a place of its own.

    Args:
        rows: the values.
        stages: when each feature is computed.
        steps: of a pixel.
    """
    program, base = rows.program, [place.number for place in rows.places]
    left = [0] * len(base)
    early, late = {base[-1]}, {base[number] for number in read_again(program)}
    for number, node in enumerate(program.nodes):
        if has_partial(program, stages, number, steps):
            early.add(number)
        for source in node.sources:
            if reads_early(node, stages[number], stages[source], steps):
                early.add(base[source])
            if (stages[number] > steps).any():
                late.add(base[source])
        for tap in node.taps if isinstance(node, Sum) else ():
            if not tap.reads_finished_row:
                source = base[node.sources[0]]
                left[source] = max(left[source], -tap.right)
    found = []
    for number, node in enumerate(program.nodes):
        by_row = (stages[number] == ROW_START).any() or has_partial(program, stages, number, steps)
        by_step = bool(is_step(stages[number], steps).any())
        kept = by_step and (rows.reach[number] != Reach() or number in late)
        needed = number in early or kept  # what is copied back must have been copied here
        found.append(Use(node.clock, left[number], bool(by_row) and needed, kept))
    return found


def reads_early(node: Node, stage: Tensor, source: Tensor, steps: int) -> bool:
    """Whether a node reads at its position, in a step, features of a source that are known before the row."""
    known, mine = source == ROW_START, is_step(stage, steps)
    if isinstance(node, Sum | Cat):  # whose known part has been computed for the whole row
        return False
    return bool(
        (known & mine).any() if isinstance(node, Elementwise) else known.any() and mine.any()
    )


class Group(NamedTuple):
    """Values that are copied together.

    Attributes:
        use: of each of them.
        row: the current row, ``(columns, numbers)``; a view.
        window: what lies near the position, ``(columns, numbers)``.
        offsets: from the position's column on its grid to those of the row that are looked at: as many to its
            left as are read, and its own.
        index: these columns.
    """

    use: Use
    row: Tensor
    window: Tensor
    offsets: Tensor
    index: Tensor

    def load(self, column: int) -> None:
        """Copies what is needed of the row, so that the position lies at a column of the window."""
        count = self.use.left + self.use.early
        if count:
            part = self.window[column : column + count]
            torch.index_select(self.row, 0, self.index[:count], out=part)

    def keep(self, column: int) -> None:
        """Copies what has been computed back to the row."""
        if self.use.kept:
            part = self.window[self.use.left + column, None]
            self.row.index_copy_(0, self.index[-1:], part)


class Window:
    """What lies near the current position, at addresses that do not change.

    It is as wide as a cell of the coarsest grid, and computations are bound to a column of it.

    Args:
        rows: of all values; get places beside each other.
        stages: when each feature is computed.
        steps: of a pixel.
        period: columns of a cell of the coarsest grid.

    Attributes:
        store: the places in the window.
    """

    def __init__(self, rows: Rows, stages: Sequence[Tensor], steps: int, period: int) -> None:
        self.where, uses = rows.where, uses_of(rows, stages, steps)
        self.store = copy.copy(rows)
        self.store.columns, self.store.rows = period, {}
        self.store.reach = [Reach(left=use.left) for use in uses]
        members: dict[Use, list[int]] = {}
        for number in rows.rows:
            members.setdefault(uses[number], []).append(number)
        self.groups = [
            self._join(rows, use, numbers) for use, numbers in members.items() if use.is_copied
        ]
        for number in rows.rows.keys() - self.store.rows.keys():
            cells = self.store.width(uses[number].clock)
            self.store.rows[number] = rows.zeros(1, cells, rows.n, rows.program.width(number))

    def load(self, row: int, column: int) -> None:
        """Copies what a position needs to the window.

        Args:
            row: of the position, within a cell of the coarsest grid.
            column: the same.
        """
        for group in self._on_grid(row, column):
            _, here = self.where.cell(group.use.clock)
            torch.add(here, group.offsets, out=group.index)
            group.load(column // group.use.clock)

    def keep(self, row: int, column: int) -> None:
        """Copies what was computed at a position to its row."""
        for group in self._on_grid(row, column):
            group.keep(column // group.use.clock)

    def _on_grid(self, row: int, column: int) -> list[Group]:
        return [g for g in self.groups if row % g.use.clock == column % g.use.clock == 0]

    def _join(self, rows: Rows, use: Use, numbers: Sequence[int]) -> Group:
        """Gives values places beside each other in the rows, and in the window."""
        reach = Reach()
        for number in numbers:
            reach.widen(rows.reach[number])
        sizes = [rows.n * rows.program.width(number) for number in numbers]
        room = [-(-size // ALIGNED) * ALIGNED for size in sizes]
        columns = reach.left + rows.width(use.clock) + reach.right
        whole = rows.zeros(reach.up + 1, columns, sum(room))
        window = rows.zeros(use.left + self.store.width(use.clock), sum(room))
        for number, size, place, near in zip(
            numbers, sizes, whole.split(room, -1), window.split(room, -1), strict=True
        ):
            mine = rows.reach[number]
            first, last = reach.left - mine.left, columns - reach.right + mine.right
            place = place[reach.up - mine.up :, first:last, :size]
            rows.rows[number] = place.unflatten(-1, (rows.n, -1))
            self.store.rows[number] = near[None, :, :size].unflatten(-1, (rows.n, -1))
        offsets = torch.arange(reach.left - use.left, reach.left + 1, device=whole.device)
        return Group(use, whole[-1], window, offsets, torch.zeros_like(offsets))
