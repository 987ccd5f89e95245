"""When each feature of a model's program can be computed, and how much of a value is read later.

A pixel is visited in steps, one for each colour. Stage ``ROW_START`` means before the row's first pixel,
stages 0 to steps - 1 mean at that step, stage ``steps`` after the pixel, and ``steps + 1`` after the row.
A value on a coarser grid is computed when the walk is at the image position that it lies on. Units have no
position: theirs is a step of the whole walk (:mod:`pixelcnn.program.units`), so what is said here of the
steps of a pixel leaves them out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pixelcnn.masks import contiguous
from pixelcnn.model import PixelModel
from pixelcnn.program import (
    ROW_START,
    UNITS,
    Past,
    Position,
    Program,
    Sum,
    Tap,
    Unlowerable,
    check_past,
)


@dataclass(frozen=True, eq=False)
class Schedule:
    """When each feature of a program is computed in the course of an image.

    Attributes:
        program: a network's.
        steps: of a pixel.
        stages: of each feature of each node, int64 ``(width,)`` a node.
    """

    program: Program
    steps: int
    stages: list[Tensor]

    def is_step(self, stage: Tensor) -> Tensor:
        """Which features are computed at a pixel, not for a whole row, by their stages."""
        return (stage != ROW_START) & (stage <= self.steps)

    def reads(
        self, node: Sum, stage: int, phase: tuple[int, int] | None = None
    ) -> list[tuple[Tap, Tensor]]:
        """The taps of a sum, and which features of its source each reads at a stage, bool ``(in,)``.

        Finished rows, and what is known before a row, are read for the whole row before its first pixel; the
        steps add the row's left and the position itself. What is computed after the row reads all at once.

        Args:
            node: the sum.
            stage: of its features that are computed.
            phase: of the taps; None for all of them.
        """
        early = self.stages[node.sources[0]] == ROW_START

        def read(tap: Tap) -> Tensor:
            if stage == self.steps + 1:
                return torch.ones_like(early)
            if tap.reads_finished_row:
                return torch.full_like(early, stage == ROW_START)
            return early if stage == ROW_START else ~early

        return [(tap, read(tap)) for tap in node.taps if phase in (None, tap.phase)]

    @cached_property
    def waiting(self) -> frozenset[int]:
        """Sums of which finished rows give a part of what is computed at a pixel."""
        return frozenset(filter(self._waits, range(len(self.program.nodes))))

    def _waits(self, number: int) -> bool:
        node = self.program.nodes[number]
        if not isinstance(node, Sum):
            return False
        late = self.is_step(self.stages[number])
        for tap, mask in self.reads(node, ROW_START):
            live = tap.live.cpu() & mask
            if (live if live.dim() == 1 else live.any(1))[late].any():
                return True
        return False

    @cached_property
    def by_row(self) -> frozenset[int]:
        """Nodes that are written or read a whole row at a time, if only a part of them."""
        found = set[int]()
        for number, node in enumerate(self.program.nodes):
            if node.clock == UNITS:
                continue
            stage = self.stages[number]
            if number in self.waiting or not self.is_step(stage).all():
                found.add(number)
            if (stage > self.steps).any():  # what is computed after a row reads all of it
                found.update(node.sources)
        return frozenset(found)


def schedule(model: PixelModel, program: Program) -> Schedule:
    """When each feature of a model's program is computed.

    Raises:
        Unlowerable: the parameters of a channel are known too late, so the network is not causal; or the
            image is larger than its tables of positions.
    """
    steps = model.shape.channels if model.network.order == "channel" else 1
    stages = stages_of(program, steps)
    if program.nodes[-1].clock != 1:
        raise Unlowerable("the parameters live on another grid than the image's")
    _check_places(model, program)
    colours = torch.tensor(contiguous(model.network.out, steps))
    if (stages[-1] > colours).any():
        raise Unlowerable("an output reads its own channel, or what comes after it")
    return Schedule(program, steps, stages)


def _check_places(model: PixelModel, program: Program) -> None:
    """A table of positions that is too short would fail in the midst of an image."""
    for number, node in enumerate(program.nodes):
        if isinstance(node, Position):
            rows, columns = (-(-side // node.clock) for side in model.shape[1:])
            if len(node.rows) < rows or len(node.columns) < columns:
                known = f"{len(node.rows)}x{len(node.columns)}"
                raise Unlowerable(f"node %{number} knows {known} positions of {rows}x{columns}")


def stages_of(program: Program, steps: int) -> list[Tensor]:
    """When each feature of each node can be computed, int64 ``(width,)`` a node.

    Args:
        program: a network's.
        steps: channels where their parameters follow each other, else 1.

    Raises:
        Unlowerable: something reads what comes later; names the node.
    """
    stages: list[Tensor] = []
    for number, node in enumerate(program.nodes):
        read = [] if isinstance(node, Past) else [stages[source] for source in node.sources]
        try:
            stages.append(node.stage(read, steps))
        except Unlowerable as error:
            raise Unlowerable(f"node %{number}: {error}") from error
    for number, node in enumerate(program.nodes):
        if isinstance(node, Past):
            check_past(number, node, program.nodes, stages, steps)
    return stages


@dataclass
class Reach:
    """How far other nodes read a node's value from where they are: rows up, columns left and right."""

    up: int = 0
    left: int = 0
    right: int = 0

    def widen(self, other: "Reach") -> None:
        """Takes in another reach."""
        self.up, self.left = max(self.up, other.up), max(self.left, other.left)
        self.right = max(self.right, other.right)


def reach_of(program: Program, homes: Iterable[int]) -> list[Reach]:
    """The reach of every node, that of what lies in it taken in.

    Args:
        program: a network's.
        homes: of each node the one in whose value its features lie, which may be itself.
    """
    reach = [Reach() for _ in program.nodes]
    for node in program.nodes:
        for tap in node.taps if isinstance(node, Sum) else ():
            reach[node.sources[0]].widen(Reach(-tap.down, -tap.right, tap.right))
    for number, home in enumerate(homes):
        reach[home].widen(reach[number])
    return reach


def read_again(program: Program) -> set[int]:
    """Nodes that finer rows below their own read."""
    sums = [node for node in program.nodes if isinstance(node, Sum)]
    return {node.sources[0] for node in sums if any(tap.phase[0] > 0 for tap in node.taps)}


def recurrences(program: Program) -> list[frozenset[int]]:
    """Nodes that must be computed together, position after position, since each reads its own past.

    No two sets share a node; the pasts themselves are not among them. A set can be computed once all that
    its members read has been, which is so after its largest number.
    """
    found: list[frozenset[int]] = []
    for number, node in enumerate(program.nodes):
        if isinstance(node, Past) and node.sources:
            members = _between(program, number, node.sources[0])
            for other in [other for other in found if other & members]:
                members |= other
                found.remove(other)
            found.append(members)
    return found


def _between(program: Program, past: int, target: int) -> frozenset[int]:
    """Nodes up to a target that depend on its past."""
    members = {past}
    for number, node in enumerate(program.nodes[: target + 1]):
        if not isinstance(node, Past) and members.intersection(node.sources):
            members.add(number)
    return frozenset(members - {past})


def right_to_left(program: Program) -> list[frozenset[int]]:
    """The recurrences that run from right to left through a finished row."""

    def reads_right(members: frozenset[int]) -> bool:
        sums = (node for number in members if isinstance(node := program.nodes[number], Sum))
        pasts = (node for node in sums if isinstance(program.nodes[node.sources[0]], Past))
        return any(tap.down == 0 and tap.right > 0 for node in pasts for tap in node.taps)

    return [members for members in recurrences(program) if reads_right(members)]
