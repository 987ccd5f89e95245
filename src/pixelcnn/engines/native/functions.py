"""Elementwise functions as the words of a plan."""

from pixelcnn.engines.native.build import code
from pixelcnn.engines.native.layout import Pool
from pixelcnn.program import Elementwise, Node, Table


def function_words(node: Node, features: list[int], pool: Pool) -> list[int]:
    """A function's number, and where what it takes is.

    Args:
        node: an elementwise one.
        features: which of its features are computed, in the order they are.
        pool: takes constants and parameters in.
    """
    assert isinstance(node, Elementwise)
    words = [code("operation", node.op)]
    if node.parameter is not None:
        words.append(pool.add(node.parameter.cpu()[features]))
    if node.constants:
        words.append(pool.add(node.constants))
    if isinstance(node, Table):
        words.append(pool.shared(node.table))
    return words


def table_gate_words(product: Node, table: Node, pool: Pool) -> list[int]:
    """The same of a rounded product with what a table gives."""
    assert isinstance(product, Elementwise) and isinstance(table, Table)
    constants = pool.add((*product.constants, *table.constants))
    return [code("operation", "table_gate"), constants, pool.shared(table.table)]
