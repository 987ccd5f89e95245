"""Keys and values of all positions so far."""

from torch import Tensor
from torch.nn import functional

from pixelcnn.engines.cached.products import Operation
from pixelcnn.engines.cached.store import Store
from pixelcnn.program import Attend


class Memory:
    """What one ``attend`` node may attend to: its start token, then the positions in coding order.

    Args:
        store: of the program's values.
        node: the primitive.
        positions: of its grid.
    """

    def __init__(self, store: Store, node: Attend, positions: int) -> None:
        self.heads, self.count, self.n = node.heads, 1, store.n
        widths = [store.program.width(number) for number in node.sources[1:]]
        self.kept = [
            store.zeros(store.n, node.heads, positions + 1, width // node.heads) for width in widths
        ]
        for kept, token in zip(self.kept, node.start.split(widths), strict=True):
            kept[:, :, 0] = token.view(node.heads, -1)

    def attend(self, query: Tensor, out: Tensor) -> Operation:
        """Attention of the current position, ``(n, heads * d)``, to those before it."""
        split = query.view(self.n, self.heads, 1, -1)

        def apply() -> None:
            keys, values = (kept[:, :, : self.count] for kept in self.kept)
            found = functional.scaled_dot_product_attention(split, keys, values)
            out.copy_(found.reshape(out.shape))

        return apply

    def remember(self, key: Tensor, value: Tensor) -> Operation:
        """Adds the current position's key and value."""

        def apply() -> None:
            for kept, new in zip(self.kept, (key, value), strict=True):
                kept[:, :, self.count] = new.view(self.n, self.heads, -1)
            self.count += 1

        return apply


def memories(store: Store, rows: int) -> dict[int, Memory]:
    """What each ``attend`` node of a program may attend to, in an image of so many rows."""
    return {
        number: Memory(store, node, -(-rows // node.clock) * store.width(node.clock))
        for number, node in enumerate(store.program.nodes)
        if isinstance(node, Attend)
    }
