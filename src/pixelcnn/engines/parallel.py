"""A program for whole images: every primitive at all positions at once, in any arithmetic.

It is what a program *means*: what stepwise engines give is compared with it, and it with ``forward``. With
sets of positions in place of numbers it says what each output depends on.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor

from pixelcnn.engines.stages import recurrences
from pixelcnn.masks import contiguous
from pixelcnn.program import Attend, Condition, Input, Node, Past, Program, Sum, Unlowerable


@torch.no_grad()
def compute(
    program: Program,
    x: Tensor,
    condition: Tensor | None = None,
    observe: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """The parameters of whole images.

    Args:
        program: of a network; its weights say the arithmetic.
        x: scaled levels, or codes, as ``forward`` takes them, ``(n, channels, h, w)``.
        condition: as ``forward`` takes it.
        observe: called with the number of each node and its values ``(n, positions, features)``, in the order
            of the nodes, those of a recurrence after its last one.

    Returns:
        ``(n, out, h, w)``.

    Example:
        >>> from pixelcnn.engines.trace import trace
        >>> from pixelcnn.networks import PixelCNN
        >>> network, x = PixelCNN(channels=1, out=2, width=4, depth=1).eval(), torch.rand(3, 1, 5, 7)
        >>> torch.allclose(compute(trace(network), x), network(x), atol=1e-6)
        True
    """
    given = {}
    for number, node in enumerate(program.nodes):
        if isinstance(node, Input):
            given[number] = x.movedim(1, -1).flatten(1, 2)
        elif isinstance(node, Condition):
            assert condition is not None, "a program with a condition needs its value"
            values = node.values(condition)
            if values.dim() == 2:  # the same everywhere
                given[number] = values[:, None]
            else:
                given[number] = values[:, :: node.clock, :: node.clock].flatten(1, 2)
    height, width = x.shape[2:]
    some = next((node.taps[0].weight for node in program.nodes if isinstance(node, Sum)), x)
    nothing = some.new_zeros(len(x), 1, 1)
    found = _Interpreter(program, (height, width), given, nothing, "compute").run(observe)
    return found.expand(len(x), -1, -1).unflatten(1, (height, width)).movedim(-1, 1)


@torch.no_grad()
def past_seen(program: Program, order: str, height: int, width: int) -> Tensor:
    """What each output depends on, whatever the weights are, bool ``(c, h, w, c, h, w)``: target, source.

    Args:
        program: of a network.
        order: ``"channel"`` or ``"pixel"``, see :class:`~pixelcnn.networks.Network`.
        height: rows of the image.
        width: its columns.

    Example:
        >>> from pixelcnn.engines.trace import trace
        >>> from pixelcnn.networks import PixelCNN
        >>> program = trace(PixelCNN(channels=1, out=1, width=2, depth=0, first_kernel=3))
        >>> past_seen(program, "channel", 1, 4)[0, 0, :, 0, 0].int().tolist()
        [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    """
    channels = program.width(0)
    colours = channels if order == "channel" else 1
    shape = (channels, height, width)
    images = torch.eye(channels * height * width, dtype=torch.bool).reshape(-1, *shape)
    given = {}
    for number, node in enumerate(program.nodes):
        if isinstance(node, Input):
            given[number] = images.movedim(1, -1).flatten(1, 2)
        elif isinstance(node, Condition):
            given[number] = torch.zeros(1, 1, node.width, dtype=torch.bool)
    nothing = torch.zeros(len(images), 1, 1, dtype=torch.bool)
    found = _Interpreter(program, (height, width), given, nothing, "seen").run()
    found = found.expand(len(images), height * width, -1)
    owner = torch.tensor(contiguous(found.shape[-1], colours), device=found.device)
    by_colour = torch.stack([found[..., owner == colour].any(-1) for colour in range(colours)])
    seen = by_colour.reshape(colours, *shape, height, width).permute(0, 4, 5, 1, 2, 3)
    return seen.expand(channels, -1, -1, -1, -1, -1)


class _Interpreter:
    """Computes the nodes of a program one after the other, recurrences line by line.

    Args:
        program: what is computed.
        image: rows and columns.
        given: values of its beginnings, ``(n, positions, features)``; one position for all of them.
        nothing: a zero for each image, ``(n, 1, 1)``.
        rule: the method of a primitive that says what is made of it.
    """

    def __init__(
        self,
        program: Program,
        image: tuple[int, int],
        given: Mapping[int, Tensor],
        nothing: Tensor,
        rule: Literal["compute", "seen"],
    ) -> None:
        self.program, self.image = program, image
        self.values, self.nothing, self.rule = dict(given), nothing, rule
        self.recurrences = {max(members): members for members in recurrences(program)}
        self.within = {number: last for last, group in self.recurrences.items() for number in group}
        self.needed_until: dict[int, int] = {}
        for number, node in enumerate(program.nodes):
            for source in node.sources:
                last = self.within.get(number, number)
                target = self.target(source)
                self.needed_until[target] = max(last, self.needed_until.get(target, 0))
        self.needed_until.pop(len(program.nodes) - 1, None)  # a recurrence may be the output

    def target(self, number: int) -> int:
        """The node whose values a node stands for."""
        node = self.program.nodes[number]
        return node.sources[0] if isinstance(node, Past) else number

    def run(self, observe: Callable[[int, Tensor], None] | None = None) -> Tensor:
        """The value of the last node, ``(n, positions, features)``."""
        for number, node in enumerate(self.program.nodes):
            if number in self.recurrences:
                self._recur(self.recurrences[number])
            elif not isinstance(node, Past) and number not in self.within | self.values:
                self.values[number] = self._made(node)
            made = self.recurrences.get(number, () if number in self.within else (number,))
            for each in sorted(made) if observe is not None else ():
                if each in self.values:
                    observe(each, self.values[each])  # type: ignore[misc]
            for source in {source for source, last in self.needed_until.items() if last == number}:
                self.values.pop(source, None)
        return self.values[len(self.program.nodes) - 1]

    def _made(self, node: Node, line: Tensor | None = None) -> Tensor:
        read = _At(self, node, line)
        return node.compute(read) if self.rule == "compute" else node.seen(read)

    def size(self, clock: int) -> tuple[int, int]:
        """Rows and columns of a grid."""
        height, width = self.image
        return -(-height // clock), -(-width // clock)

    def _recur(self, members: frozenset[int]) -> None:
        nodes = self.program.nodes
        rows, columns = self.size(nodes[max(members)].clock)
        for number in members:
            self.values[number] = self.nothing.repeat(1, rows * columns, nodes[number].width)
        for line in _lines(self.program, members, rows, columns):
            for number in sorted(members):
                found = self._made(nodes[number], line)
                self.values[number][:, line] = found


class _At:
    """What a node reads at some positions of its grid, all of them if ``line`` is None."""

    def __init__(self, interpreter: _Interpreter, node: Node, line: Tensor | None = None) -> None:
        self.interpreter, self.node, self.line = interpreter, node, line

    def place(self) -> tuple[Tensor, Tensor]:
        rows, columns = self.interpreter.size(self.node.clock)
        flat = torch.arange(rows * columns) if self.line is None else self.line
        return flat // columns, flat % columns

    def own(self, source: int) -> Tensor:
        values = self.interpreter.values[source]
        return values if self.line is None or values.shape[1] == 1 else values[:, self.line]

    def whole(self, source: int) -> Tensor:
        rows, columns = self.interpreter.size(self.interpreter.program.nodes[source].clock)
        values = self.interpreter.values[source].expand(-1, rows * columns, -1)
        return values.unflatten(1, (rows, columns))

    def at(
        self, source: int, down: int, right: int, *, stride: int, up: int, phase: tuple[int, int]
    ) -> Tensor:
        values = self.interpreter.values[self.interpreter.target(source)]
        rows, columns = self.interpreter.size(self.interpreter.program.nodes[source].clock)
        if values.shape[1] == 1:
            values = values.expand(-1, rows * columns, -1)
        if (down, right, stride, up) == (0, 0, 1, 1) and self.line is None:
            return values
        y, x = self.place()
        row, column = y * stride // up + down, x * stride // up + right
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        inside &= (y % up == phase[0]) & (x % up == phase[1])
        index = torch.where(inside, row * columns + column, 0).to(values.device)
        found = values[:, index]
        found[:, ~inside.to(values.device)] = 0
        return found


def _lines(program: Program, members: frozenset[int], rows: int, columns: int) -> Iterator[Tensor]:
    """Positions of a grid in lines, each of which reads earlier ones only; as few as there can be.

    A line is all positions of one ``a y + b x``: rows, columns, diagonals, or single positions.
    """
    offsets = []
    for number in members:
        node = program.nodes[number]
        if isinstance(node, Attend):
            raise Unlowerable(f"node %{number} attends within a recurrence")
        source = node.sources[0]
        within = source in members or isinstance(program.nodes[source], Past)
        if isinstance(node, Sum) and within:
            offsets += [(tap.down, tap.right) for tap in node.taps]
    flat = torch.arange(rows * columns)
    y, x = flat // columns, flat % columns
    for a, b in [(1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (2, -1), (columns, 1), (columns, -1)]:
        if all(a * down + b * right < 0 or (down, right) == (0, 0) for down, right in offsets):
            number_of_line = a * y + b * x
            order = number_of_line.argsort(stable=True)
            yield from order.split(
                number_of_line[order].unique_consecutive(return_counts=True)[1].tolist()
            )
            return
    raise Unlowerable(f"node %{max(members)} reads its past on both sides of its position")
