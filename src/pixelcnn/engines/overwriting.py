"""What functions in place overwrite: whose memory a value lies in, and what of it is no more what it was."""

from typing import Any

from pixelcnn.engines.frames import Framed
from pixelcnn.engines.sizes import Spread, Value
from pixelcnn.program import Program, Slice, Unlowerable

Held = Value | Framed | Spread
"""What lies in memory, or looks at what does."""


class Memory:
    """The memory of values; parts that are taken or cropped look at that of the whole.

    Args:
        program: whose nodes the values are.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.wholes: dict[int, int] = {}
        self.overwritten: list[tuple[int, range]] = []
        self.held: list[object] = []  # so that none takes another one's id

    def share(self, part: Value, whole: object) -> None:
        """Says that a value is a part of another one."""
        if isinstance(whole, Held) and part.number not in self.wholes:
            self.held.append(whole)
            self.wholes[part.number] = self._place(whole)[0]

    def overwrite(self, value: Held) -> None:
        """Says that a value was overwritten."""
        self.held.append(value)
        self.overwritten.append(self._place(value))

    def check_read(self, name: str, *values: Any) -> None:
        """Refuses what was overwritten, under whatever name.

        Raises:
            Unlowerable: a value, or a part of it, was.
        """
        for value in values:
            if isinstance(value, tuple) and not isinstance(value, Value):
                self.check_read(name, *value)
            if not isinstance(value, Held):
                continue
            number, features = self._place(value)
            for other, gone in self.overwritten:
                if other == number and set(features) & set(gone):
                    raise Unlowerable(f"{name} reads a value that was overwritten in place")

    def _place(self, value: Held) -> tuple[int, range]:
        """Whose memory a value lies in, and which of its features."""
        if isinstance(value, Framed) and not value.is_crop:
            return id(value), range(1)
        number, start = value.number, 0
        while isinstance(node := self.program.nodes[number], Slice):
            number, start = node.sources[0], start + node.start
        whole = self.wholes.get(number, number)
        return whole, range(start, start + self.program.width(value.number))
