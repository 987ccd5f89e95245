"""The lowered form of a network: a flat, printable list of primitives.

A value is a vector of features at every position of a grid: the image's, or a coarser one of every k-th
row and column. Primitives read values at offsets (*taps*, *attend*) or at the position itself (everything
else). Each is one class, which says what it reads, when it can be computed and what it is; engines have one
function for each, by its name. When a value can be computed is derived from what it reads, not written: see
:mod:`pixelcnn.engines.stages`.
"""

from pixelcnn.program.beginnings import Condition, Given, Input, Lookup, Past, Position, check_past
from pixelcnn.program.elementwise import ELEMENTWISE, Elementwise
from pixelcnn.program.features import Attend, Cat, Norm, Slice
from pixelcnn.program.node import ROW_START, Node, Reader, Unlowerable
from pixelcnn.program.program import Program
from pixelcnn.program.sums import Depthwise, Sum, Tap, Taps

OTHERS: tuple[type[Node], ...] = (
    *(Input, Condition, Position, Past, Lookup),
    *(Taps, Depthwise, Slice, Cat, Norm, Attend),
)
PRIMITIVES: dict[str, type[Node]] = {kind.op: kind for kind in OTHERS} | ELEMENTWISE
"""Every primitive by its name."""

__all__ = [
    "ELEMENTWISE",
    "PRIMITIVES",
    "ROW_START",
    "Attend",
    "Cat",
    "Condition",
    "Depthwise",
    "Elementwise",
    "Given",
    "Input",
    "Lookup",
    "Node",
    "Norm",
    "Past",
    "Position",
    "Program",
    "Reader",
    "Slice",
    "Sum",
    "Tap",
    "Taps",
    "Unlowerable",
    "check_past",
]
