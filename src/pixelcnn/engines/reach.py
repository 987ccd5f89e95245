"""How much of a value an engine keeps."""

from dataclasses import dataclass

from pixelcnn.program import Program


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


def reach_of(program: Program) -> list[Reach]:
    """The reach of every node."""
    reach = [Reach() for _ in program.nodes]
    for node in program.nodes:
        for tap in node.taps:
            reach[node.sources[0]].widen(Reach(-tap.down, -tap.right, tap.right))
    return reach
