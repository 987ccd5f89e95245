"""The lowered form of a network: a flat, printable list of primitives.

A value is a vector of features at every position. Primitives read values at offsets (*taps*) or at the
position itself (everything else). When a value can be computed is derived from that, not written:
see :meth:`Program.stages`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from pixelcnn.errors import ConfigError

UNARY = ("relu", "elu", "silu", "tanh", "sigmoid", "prelu", "scale", "shift")
BINARY = ("add", "sub", "mul")

ROW_START = -1
"""Stage of a feature that depends on finished rows only: computed for a whole row before its first pixel."""


class Unlowerable(ConfigError):
    """A network does something that no program can say; the message names it."""


class Tap(NamedTuple):
    """A linear map from the features at an offset.

    Attributes:
        down: rows, at most 0.
        right: columns.
        weight: ``(out, in)``, masked.
        live: which weights the mask leaves, bool ``(out, in)``.
    """

    down: int
    right: int
    weight: Tensor
    live: Tensor


@dataclass(frozen=True)
class Node:
    """One primitive.

    Attributes:
        op: ``input``, ``condition``, ``taps``, ``norm``, ``slice``, ``cat``, or an elementwise function.
        sources: numbers of the nodes it reads.
        width: features of its value.
        taps: of ``taps``.
        parameter: bias of ``taps``, weight of ``condition``, gain of ``norm``, slope of ``prelu``, constant
            of ``scale`` and ``shift``.
        kind: of ``condition``: label, vector or map.
        start: first feature of ``slice``.
        groups: of ``norm``: the group of each feature.
        epsilon: of ``norm``.
    """

    op: str
    sources: tuple[int, ...]
    width: int
    taps: tuple[Tap, ...] = ()
    parameter: Tensor | None = None
    kind: str = ""
    start: int = 0
    groups: tuple[int, ...] = ()
    epsilon: float = 0.0

    def __str__(self) -> str:
        read = ", ".join(f"%{source}" for source in self.sources)
        notes = {
            "taps": " ".join(f"({tap.down},{tap.right})" for tap in self.taps),
            "slice": f"[{self.start}:{self.start + self.width}]",
            "condition": self.kind,
        }.get(self.op, "")
        return f"{self.op}({read}) -> {self.width}" + (f"  {notes}" if notes else "")


@dataclass
class Program:
    """A list of nodes, each reading earlier ones; the last one is the output.

    Layers build it: every method appends a node and returns its number.

    Example:
        >>> program = Program()
        >>> x = program.input(1)
        >>> y = program.elementwise("relu", x)
        >>> print(program)
        %0 = input() -> 1
        %1 = relu(%0) -> 1
    """

    nodes: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(f"%{number} = {node}" for number, node in enumerate(self.nodes))

    def _append(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def width(self, number: int) -> int:
        """Features of a node's value."""
        return self.nodes[number].width

    def input(self, channels: int) -> int:
        """The scaled levels."""
        return self._append(Node("input", (), channels))

    def condition(self, kind: str, weight: Tensor) -> int:
        """A linear function of the condition: of a label's one-hot code, a vector, or a map's position."""
        return self._append(Node("condition", (), weight.shape[1], parameter=weight, kind=kind))

    def condition_values(self, number: int, condition: Tensor) -> Tensor:
        """What a condition node gives: ``(n, width)``, or ``(n, h, w, width)`` for a map."""
        node = self.nodes[number]
        assert node.op == "condition" and node.parameter is not None
        if node.kind == "label":
            return node.parameter[condition]
        values = condition if node.kind == "vector" else condition.movedim(1, -1)
        return values.to(node.parameter.dtype) @ node.parameter

    def taps(self, source: int, taps: Sequence[Tap], bias: Tensor | None) -> int:
        """A sum of linear maps of the features at offsets; positions outside the image count as zero."""
        width = taps[0].weight.shape[0]
        return self._append(Node("taps", (source,), width, taps=tuple(taps), parameter=bias))

    def elementwise(self, op: str, *sources: int, parameter: Tensor | None = None) -> int:
        """An elementwise function of one or two values; a value of one feature stands for all."""
        expected = 1 if op in UNARY else 2
        assert op in UNARY + BINARY and len(sources) == expected, op
        widths = {self.width(source) for source in sources}
        if len(widths) != 1:
            raise Unlowerable(f"{op} of values with {sorted(widths)} features")
        return self._append(Node(op, sources, widths.pop(), parameter=parameter))

    def slice(self, source: int, start: int, stop: int) -> int:
        """Some of the features of a value."""
        return self._append(Node("slice", (source,), stop - start, start=start))

    def cat(self, *sources: int) -> int:
        """The features of several values, one after the other."""
        return self._append(Node("cat", sources, sum(self.width(s) for s in sources)))

    def norm(self, source: int, gain: Tensor, groups: Sequence[int], epsilon: float) -> int:
        """Features divided by the root mean square of their group at the position, times a gain."""
        width = self.width(source)
        return self._append(
            Node("norm", (source,), width, parameter=gain, groups=tuple(groups), epsilon=epsilon)
        )

    def stages(self, steps: int) -> list[Tensor]:
        """When each feature of each node can be computed, int64 ``(width,)`` a node.

        A pixel is visited in ``steps`` steps, one for each colour. Stage ``ROW_START`` means before the
        row's first pixel, stages 0 to steps - 1 mean at that step, stage ``steps`` after the pixel, and
        stage ``steps + 1`` after the row.

        Args:
            steps: channels where their parameters follow each other, else 1.

        Raises:
            Unlowerable: a tap reads a row that comes later.
        """
        stages: list[Tensor] = []
        for number, node in enumerate(self.nodes):
            read = [stages[source] for source in node.sources]
            if node.op == "input":
                value = torch.arange(node.width) + 1 if steps > 1 else torch.ones(node.width)
            elif node.op == "condition":
                value = torch.full((node.width,), ROW_START)
            elif node.op == "taps":
                value = torch.full((node.width,), ROW_START)
                for tap in node.taps:
                    value = torch.maximum(value, _stage_of_tap(tap, read[0], steps, number))
            elif node.op == "slice":
                value = read[0][node.start : node.start + node.width]
            elif node.op == "cat":
                value = torch.cat(read)
            elif node.op == "norm":
                groups = torch.tensor(node.groups)
                latest = torch.full((int(groups.max()) + 1,), ROW_START)
                value = latest.scatter_reduce(0, groups, read[0], "amax")[groups]
            else:
                value = torch.stack(read).amax(0)
            stages.append(value.long())
        return stages


def _stage_of_tap(tap: Tap, source: Tensor, steps: int, number: int) -> Tensor:
    """The stage that a tap forces on each output, ``(out,)``."""
    if tap.down > 0:
        raise Unlowerable(f"node %{number} reads {tap.down} rows below its position")
    if tap.down < 0:
        available = torch.full_like(source, ROW_START)
    elif tap.right == 0:
        available = source
    elif tap.right < 0:
        available = torch.where(source > steps, source, source.clamp(max=0))
    else:
        available = torch.where(source == ROW_START, source, torch.full_like(source, steps + 1))
    lowest = torch.full((), ROW_START)
    return torch.where(tap.live, available[None, :], lowest).amax(1)
