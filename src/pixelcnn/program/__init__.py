"""The lowered form of a network: a flat, printable list of primitives.

A value is a vector of features at every position of a grid: the image's, or a coarser one of every k-th
row and column; or it is one vector for the whole image, whose features are *units*. Primitives read values at
offsets (*taps*, *attend*) or at the position itself (everything else). Each is one class, which says what it
reads, when it can be computed and what it is; engines have one function for each, by its name. When a value
can be computed is derived from what it reads, not written: see :mod:`pixelcnn.engines.stages`.
"""

from pixelcnn.program.beginnings import Condition, Given, Input, Lookup, Past, Position, check_past
from pixelcnn.program.elementwise import ELEMENTWISE, Elementwise
from pixelcnn.program.features import Attend, Cat, Norm, Slice
from pixelcnn.program.integers import INTEGERS, Requantise, RoundedMul, RoundedNorm, Table
from pixelcnn.program.node import ROW_START, UNITS, Node, Reader, Unlowerable
from pixelcnn.program.program import Program
from pixelcnn.program.sums import Depthwise, Sum, Tap, Taps
from pixelcnn.program.units import Dense, FlatCondition, Flatten, Unflatten, walk_stage

OTHERS: tuple[type[Node], ...] = (
    *(Input, Condition, Position, Past, Lookup),
    *(Taps, Depthwise, Slice, Cat, Norm, Attend),
    *(Flatten, FlatCondition, Dense, Unflatten),
    RoundedNorm,
)
PRIMITIVES: dict[str, type[Node]] = {kind.op: kind for kind in OTHERS} | ELEMENTWISE | INTEGERS
"""Every primitive by its name."""

__all__ = [
    "ELEMENTWISE",
    "INTEGERS",
    "PRIMITIVES",
    "ROW_START",
    "UNITS",
    "Attend",
    "Cat",
    "Condition",
    "Dense",
    "Depthwise",
    "Elementwise",
    "FlatCondition",
    "Flatten",
    "Given",
    "Input",
    "Lookup",
    "Node",
    "Norm",
    "Past",
    "Position",
    "Program",
    "Reader",
    "Requantise",
    "RoundedMul",
    "RoundedNorm",
    "Slice",
    "Sum",
    "Table",
    "Tap",
    "Taps",
    "Unflatten",
    "Unlowerable",
    "check_past",
    "walk_stage",
]
