"""Recurrences that run from right to left through a finished row."""

from typing import NamedTuple

from pixelcnn.program import Program


class Scan(NamedTuple):
    """Nodes that must be computed together, a column at a time."""

    members: frozenset[int]

    @property
    def last(self) -> int:
        """The node after which the scan can run."""
        return max(self.members)


def scans_of(program: Program) -> list[Scan]:
    """The right-to-left recurrences of a program, none of which share a node."""
    scans: list[Scan] = []
    for number, node in enumerate(program.nodes):
        if node.op == "past" and _read_to_the_right(program, number):
            members = _between(program, number, node.sources[0])
            for other in [scan for scan in scans if scan.members & members]:
                members |= other.members
                scans.remove(other)
            scans.append(Scan(members))
    return scans


def _read_to_the_right(program: Program, number: int) -> bool:
    readers = (node for node in program.nodes if number in node.sources)
    return any(tap.down == 0 and tap.right > 0 for node in readers for tap in node.taps)


def _between(program: Program, past: int, target: int) -> frozenset[int]:
    """Nodes up to a target that depend on its past."""
    members = {past}
    for number, node in enumerate(program.nodes[: target + 1]):
        if node.op != "past" and members.intersection(node.sources):
            members.add(number)
    return frozenset(members - {past})
