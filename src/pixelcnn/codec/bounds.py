"""Proof that an integer program is exact: how large its numbers can become, from its own weights and tables.

It is no part of how a twin is made, but a second reading of what was made: every number is whole, no sum or
product outgrows what a float64 holds, and every table has an entry for whatever it may be asked.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pixelcnn.codec.fixed import DIGITS, EXACT, LIMIT
from pixelcnn.codec.weights import sizes
from pixelcnn.errors import ModelError
from pixelcnn.program import Program, Requantise, Unlowerable
from pixelcnn.program.integers import square_root

Limits = Sequence[int]


def bounds(program: Program, levels: int) -> list[int]:
    """The largest absolute value that each node of an integer program can have, whatever the image.

    Of a sum, that of any partial sum, in whatever order its terms are added.

    Args:
        program: in whole numbers.
        levels: of the images.

    Raises:
        Unlowerable: a number that is not whole, or one that could outgrow float64; names the node.

    Example:
        >>> program = Program()
        >>> x = program.input(1)
        >>> y = program.elementwise("add", x, x)
        >>> bounds(program, 256)
        [255, 510]
    """
    found: list[int] = []
    for number, node in enumerate(program.nodes):
        try:
            if node.op == "input":
                limit = levels - 1
            elif node.op == "past":
                limit = _cut_off(program, node.sources[0])
            elif node.op not in RULES:
                raise Unlowerable("no rule says how large it becomes")
            else:
                limit = RULES[node.op](node, [found[source] for source in node.sources])
            if limit >= EXACT:
                raise Unlowerable(f"numbers up to 2^{math.log2(limit):.1f}")
        except Unlowerable as error:
            raise Unlowerable(f"%{number} ({node.op}) is not exact: {error}") from error
        found.append(limit)
    for node in program.nodes:
        if node.op == "past" and found[node.sources[0]] > _cut_off(program, node.sources[0]):
            raise Unlowerable(f"%{node.sources[0]} outgrows what its past was taken for")
    return found


def check_arithmetic() -> None:
    """Computes a product of matrices, roots and roundings whose results are known.

    Raises:
        ModelError: float64 is not what integer forms rest on: a setting, or a machine, that rounds otherwise.
    """
    one, odd = torch.tensor([[2.0**25 + 1, 2.0**25 - 1]], dtype=torch.float64), 3.0
    found = [
        *(one @ one.T).flatten().tolist(),
        *torch.tensor([0.5, 1.5, 2.5, -0.5], dtype=torch.float64).round().tolist(),
        *(torch.tensor([1.0, 2.0], dtype=torch.float64) / odd).tolist(),
        *square_root(torch.tensor([2.0, 3.0], dtype=torch.float64)).tolist(),
    ]
    expected = [2.0**51 + 2, 0.0, 2.0, 2.0, 0.0, 1 / odd, 2 / odd, math.sqrt(2.0), math.sqrt(3.0)]
    if found != expected:
        raise ModelError(
            f"float64 is not computed in full here: {found} instead of {expected}",
            hint="compressed images need exact sums: leave reduced precision off",
        )


def _cut_off(program: Program, number: int) -> int:
    """Where a node cuts its values off, for those that read its past before it is known."""
    node = program.nodes[number]
    return int(node.constants[0]) if isinstance(node, Requantise) else LIMIT


def _whole(values: Tensor | None) -> int:
    """The largest absolute value of whole numbers; 0 of nothing."""
    if values is None or not values.numel():
        return 0
    values = values.double()
    if not bool((values == values.round()).all()) or not bool(values.isfinite().all()):
        raise Unlowerable("a number that is not whole")
    return int(values.abs().max())


def _sum(node: Any, read: Limits) -> int:
    """Of each output all weights' sizes times the largest input, and its bias."""
    weights = [node.weight] if node.op == "dense" else [tap.weight for tap in node.taps]
    for each in (*weights, node.bias):
        _whole(each)
    bias = torch.zeros(node.width) if node.bias is None else node.bias
    total = sizes([weight.double() for weight in weights])
    return int((total * read[0] + bias.double().abs()).max())


def _requantise(node: Any, read: Limits) -> int:
    _product(node.parameter, read[0])
    return int(node.constants[0])


def _rounded_mul(node: Any, read: Limits) -> int:
    _product(torch.tensor(node.constants[0], dtype=torch.float64), read[0] * read[1])
    return int(node.constants[1])


def _product(factors: Tensor, most: int) -> None:
    """Products of factors, each a whole number over a power of two, with whole numbers are exact."""
    mantissas, _ = torch.frexp(factors.double())
    numbers, bits = mantissas.abs(), 0
    while bool((numbers != numbers.round()).any()):
        numbers, bits = numbers * 2, bits + 1
    if bits + most.bit_length() > DIGITS:
        raise Unlowerable(f"products of {bits} and {most.bit_length()} bits")


def _table(node: Any, read: Limits) -> int:
    limit = int(node.constants[0])
    if len(node.table) != 2 * limit + 1 or read[0] > limit:
        raise Unlowerable(f"a table of {len(node.table):,} entries for numbers up to {read[0]:,}")
    return _whole(node.table)


def _norm(node: Any, read: Limits) -> int:
    """The sum of squares is exact; what follows are single operations, and the result is cut off."""
    size = max(node.groups.count(group) for group in set(node.groups))
    most = read[0] * 2 * size if node.centred else read[0]
    if most**2 * size >= EXACT:
        raise Unlowerable(f"squares of {size} numbers up to {most:,}")
    return int(node.limit)


def _position(node: Any, read: Limits) -> int:
    return _whole(node.rows) + _whole(node.columns)


RULES: dict[str, Callable[[Any, Limits], int]] = {
    "condition": lambda node, read: _whole(node.weight),
    "position": _position,
    "lookup": lambda node, read: _whole(node.table),
    "taps": _sum,
    "depthwise": _sum,
    "dense": _sum,
    "flatten": lambda node, read: read[0],
    "unflatten": lambda node, read: read[0],
    "slice": lambda node, read: read[0],
    "cat": lambda node, read: max(read),
    "add": lambda node, read: sum(read),
    "sub": lambda node, read: sum(read),
    "relu": lambda node, read: read[0],
    "requantise": _requantise,
    "rounded_mul": _rounded_mul,
    "rounded_norm": _norm,
    "table": _table,
}
"""How large the result of a primitive can be, by its name. There are no others but inputs and pasts."""
