"""Attention to all positions so far, how many of which only the device knows."""

import torch
from torch import Tensor
from torch.nn import functional

from pixelcnn.engines.cached import memory
from pixelcnn.engines.cached.products import Operation
from pixelcnn.engines.cached.store import Store
from pixelcnn.engines.cuda.places import Where
from pixelcnn.program import Attend


class Memory(memory.Memory):
    """What one ``attend`` node may attend to, where a mask tells visited positions from the others.

    Args:
        store: of the program's values.
        node: the primitive.
        grid: its rows and columns.
        where: the current position.
    """

    def __init__(self, store: Store, node: Attend, grid: tuple[int, int], where: Where) -> None:
        (rows, self.columns), self.clock, self.where = grid, node.clock, where
        super().__init__(store, node, rows * self.columns)
        self.numbers = torch.arange(rows * self.columns + 1, device=where.row.device)

    def attend(self, query: Tensor, out: Tensor) -> Operation:
        split = query.unflatten(-1, (self.heads, 1, -1))

        def apply() -> None:
            before = (self.numbers < self._count()).view(1, 1, 1, -1)
            keys, values = self.kept
            found = functional.scaled_dot_product_attention(split, keys, values, before)
            out.copy_(found.reshape(out.shape))

        return apply

    def remember(self, key: Tensor, value: Tensor) -> Operation:
        def apply() -> None:
            count = self._count()
            for kept, new in zip(self.kept, (key, value), strict=True):
                kept.index_copy_(2, count, new.unflatten(-1, (self.heads, 1, -1)))

        return apply

    def _count(self) -> Tensor:
        """The start token and the positions before the current one, int64 ``(1,)``."""
        row, column = self.where.cell(self.clock)
        return row * self.columns + column + 1
