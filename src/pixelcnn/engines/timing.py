"""When each feature of a model's program can be computed.

A pixel is visited in steps, one for each colour. Stage ``ROW_START`` means before the row's first pixel,
stages 0 to steps - 1 mean at that step, stage ``steps`` after the pixel, and ``steps + 1`` after the row.
A value on a coarser grid is computed when the walk is at the image position that it lies on.
"""

import torch
from torch import Tensor

from pixelcnn.masks import contiguous
from pixelcnn.model import PixelModel
from pixelcnn.program import ROW_START, Node, Program, Tap, Unlowerable


def schedule(model: PixelModel, program: Program) -> tuple[int, list[Tensor]]:
    """Steps a pixel, and the stage of each feature of each node.

    Raises:
        Unlowerable: the parameters of a channel are known too late, so the network is not causal.
    """
    steps = model.shape.channels if model.network.order == "channel" else 1
    stages = stages_of(program, steps)
    if program.nodes[-1].clock != 1:
        raise Unlowerable("the parameters live on a coarser grid than the image")
    colours = torch.tensor(contiguous(model.network.out, steps))
    if (stages[-1] > colours).any():
        raise Unlowerable("an output reads its own channel, or what comes after it")
    return steps, stages


def stages_of(program: Program, steps: int) -> list[Tensor]:
    """When each feature of each node can be computed, int64 ``(width,)`` a node.

    Args:
        program: a network's.
        steps: channels where their parameters follow each other, else 1.

    Raises:
        Unlowerable: a tap reads what comes later.
    """
    stages: list[Tensor] = []
    for number, node in enumerate(program.nodes):
        read = [stages[source] for source in node.sources if node.op != "past"]
        stages.append(_stage(node, number, read, steps).long())
    for number, node in enumerate(program.nodes):
        if node.op == "past":
            _check_past(program, number, stages, steps)
    return stages


def readable(tap: Tap, source: Tensor, stage: int, steps: int) -> Tensor:
    """Which features of its source a tap reads in the computation at a stage, bool ``(in,)``.

    Finished rows, and what is known before a row, are read for the whole row before its first pixel; the
    steps add the row's left and the position itself. What is computed after the row reads all at once.
    """
    if stage == steps + 1:
        return torch.ones_like(source, dtype=torch.bool)
    early = source == ROW_START
    if _reads_finished_row(tap):
        return torch.full_like(early, stage == ROW_START)
    return early if stage == ROW_START else ~early


def needs_rows(program: Program, stages: list[Tensor], steps: int) -> list[bool]:
    """Which nodes are written or read a whole row at a time, if only a part of them."""
    needed = [
        bool((~is_step(stages[number], steps)).any())
        or bool(node.taps and has_partial(node, stages, number, steps))
        for number, node in enumerate(program.nodes)
    ]
    for number, node in enumerate(program.nodes):
        if (stages[number] > steps).any():  # what is computed after a row reads all of it
            for source in node.sources:
                needed[source] = True
    return needed


def is_step(stage: Tensor, steps: int) -> Tensor:
    """Which features are computed at a pixel, not for a whole row."""
    return (stage != ROW_START) & (stage <= steps)


def has_partial(node: Node, stages: list[Tensor], number: int, steps: int) -> bool:
    """Whether finished rows add to what a node's taps give at a pixel."""
    late, source = is_step(stages[number], steps), stages[node.sources[0]]
    for tap in node.taps:
        live = tap.live.cpu() & readable(tap, source, ROW_START, steps)
        if (live if live.dim() == 1 else live.any(1))[late].any():
            return True
    return False


def _stage(node: Node, number: int, read: list[Tensor], steps: int) -> Tensor:
    first = torch.full((node.width,), ROW_START)
    if node.op == "input":
        return torch.arange(node.width) + 1 if steps > 1 else torch.ones(node.width)
    if node.op == "condition":
        return first
    if node.op == "lookup":
        return read[0].repeat_interleave(node.width // len(read[0]))
    if node.op == "past":  # known after the pixel, as far as its readers care
        return torch.full_like(first, steps)
    if node.op in ("taps", "depthwise"):
        for tap in node.taps:
            first = torch.maximum(first, _stage_of_tap(tap, read[0], steps, number))
        return first
    if node.op == "slice":
        return read[0][node.start : node.start + node.width]
    if node.op == "cat":
        return torch.cat(read)
    if node.op == "norm":
        groups = torch.tensor(node.groups)
        latest = torch.full((int(groups.max()) + 1,), ROW_START)
        return latest.scatter_reduce(0, groups, read[0], "amax")[groups]
    if node.op == "attend":  # keys and values of the row's left are known at step 0
        if max(int(part.max()) for part in read) > steps:
            raise Unlowerable(f"node %{number} attends to what is known after its row only")
        return torch.full_like(first, max(0, int(read[0].max())))
    return torch.stack(read).amax(0)


def _stage_of_tap(tap: Tap, source: Tensor, steps: int, number: int) -> Tensor:
    """The stage that a tap forces on each output, ``(out,)``."""
    if tap.down > 0:
        raise Unlowerable(f"node %{number} reads {tap.down} rows below its position")
    if _reads_finished_row(tap):
        available = torch.full_like(source, ROW_START)
    elif tap.right == 0 and tap.phase[1] == 0:
        available = source
    elif tap.right <= 0:
        available = torch.where(source > steps, source, source.clamp(max=0))
    else:
        available = torch.where(source == ROW_START, source, torch.full_like(source, steps + 1))
    lowest = torch.full((), ROW_START)
    if tap.live.dim() == 1:
        return torch.where(tap.live, available, lowest)
    return torch.where(tap.live, available[None, :], lowest).amax(1)


def _reads_finished_row(tap: Tap) -> bool:
    """Whether a tap reads a row above; to the later rows of a finer grid, the coarse row is one."""
    return tap.down < 0 or tap.phase[0] > 0


def _check_past(program: Program, number: int, stages: list[Tensor], steps: int) -> None:
    """A node may be read to its left only if it is known by then, and to its right only after the row."""
    node = program.nodes[number]
    if not node.sources:
        raise Unlowerable(f"node %{number} is the past of nothing")
    late = bool((stages[node.sources[0]] > steps).any())
    for reader in program.nodes:
        if number not in reader.sources:
            continue
        offsets = [(tap.down, tap.right) for tap in reader.taps]
        if reader.op not in ("taps", "depthwise") or (0, 0) in offsets:
            raise Unlowerable(f"node %{number} is read at its own position")
        if late and any(down == 0 and right < 0 for down, right in offsets):
            raise Unlowerable(f"node %{number} is read on both sides of its position")
