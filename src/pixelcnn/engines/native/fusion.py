"""Which primitives the native engine computes in one go."""

from dataclasses import dataclass, field

from torch import Tensor

from pixelcnn.program import Program

ACTIVATIONS = ("relu", "elu", "silu", "tanh", "sigmoid")
"""Functions that are applied to a sum before it is stored."""


SUMS = ("taps", "depthwise")
"""Primitives that are sums over taps."""


@dataclass(frozen=True)
class Ending:
    """What happens to the sums of a node of taps before they are stored as another node's value.

    Attributes:
        taps: the node that is summed.
        activation: a function of the sum; empty if none.
        residual: a node that is added after it; None if none.
    """

    taps: int
    activation: str = ""
    residual: int | None = None


@dataclass
class Fusion:
    """What is computed together.

    Attributes:
        inside: nodes that are never stored, since the only node that reads them is computed with them.
        endings: of the nodes that hold the result of a product.
        gates: for a node that is tanh of one value times sigmoid of another, the two.
    """

    inside: set[int] = field(default_factory=set)
    endings: dict[int, Ending] = field(default_factory=dict)
    gates: dict[int, tuple[int, int]] = field(default_factory=dict)


def fuse(program: Program, stages: list[Tensor], orders: list[Tensor]) -> Fusion:
    """The fusion of a program.

    Args:
        program: a network's.
        stages: when each feature of each node is computed.
        orders: in which order the features of each node are stored.
    """
    return _Fuser(program, stages, orders).fusion


class _Fuser:
    def __init__(self, program: Program, stages: list[Tensor], orders: list[Tensor]) -> None:
        self.program, self.stages, self.orders = program, stages, orders
        self.fusion = Fusion()
        self.readers: list[list[int]] = [[] for _ in program.nodes]
        for number, node in enumerate(program.nodes):
            for source in node.sources:
                self.readers[source].append(number)
        for number, node in enumerate(program.nodes):
            if node.op == "slice" and self._only_read_in_place(number):
                self.fusion.inside.add(number)
            if node.op == "mul":
                self._gate(number)
        for number, node in enumerate(program.nodes):
            if node.op in SUMS:
                self._ending(number)

    def _only_read_in_place(self, number: int) -> bool:
        """Whether all that read a slice can as well read what it is a part of."""
        ops = {self.program.nodes[reader].op for reader in self.readers[number]}
        return bool(ops) and not ops & {*SUMS, "norm"}

    def _only_reader(self, number: int, ops: tuple[str, ...]) -> int | None:
        """The one node that reads a value, if it is of a kind and computed at the same time."""
        if len(self.readers[number]) != 1 or number == len(self.program.nodes) - 1:
            return None
        reader = self.readers[number][0]
        same = self.stages[number].equal(self.stages[reader])
        same = same and self.orders[number].equal(self.orders[reader])
        return reader if same and self.program.nodes[reader].op in ops else None

    def _gate(self, number: int) -> None:
        first, second = self.program.nodes[number].sources
        tanh, sigmoid = self.program.nodes[first], self.program.nodes[second]
        readers = [self._only_reader(source, ("mul",)) for source in (first, second)]
        if (tanh.op, sigmoid.op) == ("tanh", "sigmoid") and readers == [number, number]:
            self.fusion.gates[number] = tanh.sources[0], sigmoid.sources[0]
            self.fusion.inside.update((first, second))

    def _ending(self, number: int) -> None:
        last, activation, residual = number, "", None
        reader = self._only_reader(last, ACTIVATIONS)
        if reader is not None and reader not in self.fusion.inside:
            self.fusion.inside.add(last)
            last, activation = reader, self.program.nodes[reader].op
        reader = self._only_reader(last, ("add",))
        if reader is not None and reader not in self.fusion.endings:
            others = [source for source in self.program.nodes[reader].sources if source != last]
            if len(others) == 1 and self._can_be_added(others[0], reader):
                self.fusion.inside.add(last)
                last, residual = reader, others[0]
        self.fusion.endings[last] = Ending(number, activation, residual)

    def _can_be_added(self, number: int, to: int) -> bool:
        """Whether a value has a place of its own, in the order of the one it is added to."""
        if getattr(self.program.nodes[number], "kind", "map") != "map":  # one place for a whole row
            return False
        same_order = self.orders[number].equal(self.orders[to])
        return same_order and number not in self.fusion.inside
