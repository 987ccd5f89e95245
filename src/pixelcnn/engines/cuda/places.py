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

from pixelcnn.engines.cached.store import Store
from pixelcnn.engines.stages import Reach, Schedule, read_again
from pixelcnn.model import PixelModel
from pixelcnn.program import ROW_START, Cat, Condition, Elementwise, Node, Position, Sum

ALIGNED = 16
"""Of so many numbers is what a value's place in a column is a multiple of."""


class Where:
    """The current position, in numbers that only the device knows.

    Args:
        device: on which they are; to be reset.

    Attributes:
        row: of the image, int64 ``(1,)``; -1 before the first one.
        column: of the image, the same.
        number: of positions before it, the same.
    """

    def __init__(self, device: torch.device) -> None:
        self._all = torch.zeros(3, dtype=torch.int64, device=device)
        self.row, self.column, self.number = self._all.split(1)
        self._right = torch.tensor([0, 1, 1], device=device)

    def reset(self) -> None:
        """Goes before the first row."""
        self._all.zero_()
        self.row.sub_(1)

    def next_column(self) -> None:
        """Goes to the next position of the row."""
        self._all.add_(self._right)

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
        model, times, n, condition: see there.
        where: the current position.
    """

    def __init__(
        self,
        model: PixelModel,
        times: Schedule,
        n: int,
        condition: Tensor | None,
        where: Where,
    ) -> None:
        self.where = where
        super().__init__(model, times, n, condition)

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
        early: whether what was computed of it for the whole row is needed.
        left: columns to the left that they read.
        kept: whether what they compute is read after the position.
    """

    early: bool
    left: int
    kept: bool


def uses_of(rows: Store, times: Schedule) -> list[Use]:
    """The use of each value with a place of its own."""
    program, steps, stages = times.program, times.steps, times.stages
    base = [place.number for place in rows.places]
    left = [0] * len(base)
    early, late = {base[-1]}, {base[number] for number in read_again(program)}
    for number, node in enumerate(program.nodes):
        for source in node.sources:
            if reads_early(node, times.is_step(stages[number]), stages[source] == ROW_START):
                early.add(base[source])
            if (stages[number] > steps).any():
                late.add(base[source])
        for tap in node.taps if isinstance(node, Sum) else ():
            source = node.sources[0]
            if not tap.reads_finished_row and (stages[source] != ROW_START).any():
                left[base[source]] = max(left[base[source]], -tap.right)
    found = []
    for number in range(len(base)):
        kept = bool(times.is_step(stages[number]).any())
        kept &= rows.reach[number] != Reach() or number in late
        # What is copied back to the row must have been copied from there.
        needed = bool((stages[number] == ROW_START).any()) and (number in early or kept)
        found.append(Use(number in times.waiting or needed, left[number], kept))
    return found


def reads_early(node: Node, mine: Tensor, known: Tensor) -> bool:
    """Whether a node reads at its position, in a step, features of a source that are known before the row.

    Args:
        node: the node.
        mine: which of its features are computed in a step.
        known: which of the source's are known before the row.
    """
    if isinstance(node, Sum | Cat):  # whose known part has been computed for the whole row
        return False
    return bool(
        (known & mine).any() if isinstance(node, Elementwise) else known.any() and mine.any()
    )


class Group(NamedTuple):
    """Values that are copied together.

    Attributes:
        use: of them all.
        clock: of their grid.
        row: the current row, ``(columns, numbers)``; a view.
        window: what lies near the position, ``(columns, numbers)``.
        places: columns of the row: as many to the left of the position as are read, and its own.
    """

    use: Use
    clock: int
    row: Tensor
    window: Tensor
    places: Tensor

    def load(self, column: int) -> None:
        """Copies what is needed of the row, so that the position lies at a column of the window's cell."""
        count = self.use.left + self.use.early
        if count:
            part = self.window[column : column + count]
            torch.index_select(self.row, 0, self.places[:count], out=part)

    def keep(self, column: int) -> None:
        """Copies what has been computed back to the row."""
        if self.use.kept:
            part = self.window[self.use.left + column, None]
            self.row.index_copy_(0, self.places[-1:], part)


class Window:
    """What lies near the current position, at addresses that do not change.

    It is as wide as a cell of the coarsest grid, and computations are bound to a column of it.

    Args:
        rows: of all values; get places beside each other.
        times: when each feature is computed.
        period: columns of a cell of the coarsest grid.

    Attributes:
        store: the places in the window.
    """

    def __init__(self, rows: Rows, times: Schedule, period: int) -> None:
        self.where, self.rows, uses = rows.where, rows, uses_of(rows, times)
        self.store = copy.copy(rows)
        self.store.columns, self.store.rows = period, {}
        self.store.reach = [Reach() for _ in uses]
        nodes, members = rows.program.nodes, dict[tuple[int, bool, bool], list[int]]()
        for number in rows.rows:
            key = nodes[number].clock, uses[number].early, uses[number].kept
            members.setdefault(key, []).append(number)
        self.offsets = {clock: self._offsets(clock, uses) for clock, _, _ in members}
        self.places = {clock: torch.zeros_like(o) for clock, o in self.offsets.items()}
        self.groups: list[Group] = []
        for (clock, early, kept), numbers in members.items():
            use = Use(early, max(uses[number].left for number in numbers), kept)
            self._join(use, clock, numbers)

    def load(self, row: int, column: int) -> None:
        """Copies what a position needs to the window.

        Args:
            row: of the position, within a cell of the coarsest grid.
            column: the same.
        """
        for clock, offsets in self.offsets.items():
            if row % clock == column % clock == 0:
                torch.add(self.where.cell(clock)[1], offsets, out=self.places[clock])
        for group in self._on_grid(row, column):
            group.load(column // group.clock)

    def keep(self, row: int, column: int) -> None:
        """Copies what was computed at a position to its row."""
        for group in self._on_grid(row, column):
            group.keep(column // group.clock)

    def _on_grid(self, row: int, column: int) -> list[Group]:
        return [g for g in self.groups if row % g.clock == column % g.clock == 0]

    def _pad(self, clock: int) -> int:
        """Columns of zeros to the left of each row of a grid."""
        nodes, reach = self.rows.program.nodes, self.rows.reach
        return max(reach[number].left for number in self.rows.rows if nodes[number].clock == clock)

    def _offsets(self, clock: int, uses: Sequence[Use]) -> Tensor:
        """From a position's column to the places of all columns that are read, and to its own."""
        nodes, pad = self.rows.program.nodes, self._pad(clock)
        left = max(use.left for use, node in zip(uses, nodes, strict=True) if node.clock == clock)
        return torch.arange(pad - left, pad + 1, device=self.where.column.device)

    def _join(self, use: Use, clock: int, numbers: Sequence[int]) -> None:
        """Gives values places beside each other in the rows, and in the window."""
        rows, pad, reach = self.rows, self._pad(clock), Reach()
        for number in numbers:
            reach.widen(rows.reach[number])
        sizes = [rows.n * rows.program.width(number) for number in numbers]
        room = [-(-size // ALIGNED) * ALIGNED for size in sizes]
        columns = rows.width(clock)
        whole = rows.zeros(reach.up + 1, pad + columns + reach.right, sum(room))
        window = rows.zeros(use.left + self.store.width(clock), sum(room))
        for number, size, place, near in zip(
            numbers, sizes, whole.split(room, -1), window.split(room, -1), strict=True
        ):
            mine = rows.reach[number]
            part = place[reach.up - mine.up :, pad - mine.left : pad + columns + mine.right, :size]
            if any(use):  # what is only computed for whole rows has a better place of its own
                rows.rows[number] = part.unflatten(-1, (rows.n, -1))
            self.store.rows[number] = near[None, :, :size].unflatten(-1, (rows.n, -1))
            self.store.reach[number] = Reach(left=use.left)
        places = self.places[clock][-1 - use.left :]
        self.groups.append(Group(use, clock, whole[-1], window, places))
