"""Elementwise functions as the words of a plan."""

from torch import Tensor

from pixelcnn.engines.native.build import code
from pixelcnn.engines.native.layout import Pool
from pixelcnn.program import Node


def function_words(node: Node, features: list[int], pool: Pool) -> list[int]:
    """A function's number, and where what it takes is.

    Args:
        node: an elementwise one.
        features: which of its features are computed, in the order they are.
        pool: takes constants and parameters in.
    """
    words = [code("operation", node.op)]
    constants, each = _taken(node)
    if each is not None:
        words.append(pool.add(each.cpu()[features]))
    if constants:
        words.append(pool.add(constants))
    return words


def _taken(node: Node) -> tuple[list[float], Tensor | None]:
    """The constants of a function, and what it takes for each feature."""
    if node.parameter is None:
        return [1.0] if node.op == "elu" else [], None
    if node.parameter.dim():
        return [], node.parameter
    return [float(node.parameter)], None
