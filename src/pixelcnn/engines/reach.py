"""How much of a value an engine keeps."""

from dataclasses import dataclass

from pixelcnn.program import Program


@dataclass
class Reach:
    """How far other nodes read a node's value from where they are: rows up, columns left and right."""

    up: int = 0
    left: int = 0
    right: int = 0


def reach_of(program: Program) -> list[Reach]:
    """The reach of every node."""
    reach = [Reach() for _ in program.nodes]
    for node in program.nodes:
        for tap in node.taps:
            source = reach[node.sources[0]]
            source.up = max(source.up, -tap.down)
            source.left, source.right = max(source.left, -tap.right), max(source.right, tap.right)
    return reach
