"""What is computed at a position, in few launches: of small kernels each costs a GPU the same."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from pixelcnn.engines.cached.operations import Operations
from pixelcnn.engines.cached.products import Operation
from pixelcnn.engines.cuda.memory import Memory
from pixelcnn.engines.cuda.places import Window
from pixelcnn.engines.stages import Schedule
from pixelcnn.program import Attend, Depthwise, Sum, Taps
from pixelcnn.program.elementwise import Relu
from pixelcnn.shapes import ImageShape


class Steps(Operations):
    """The computations of a position, bound to places in a window.

    A product takes its bias along, and the relu that follows it.

    Args:
        times: when each feature is computed.
        window: the places of the program's values.
        shape: of the image.
    """

    def __init__(self, times: Schedule, window: Window, shape: ImageShape) -> None:
        super().__init__(times, window.store, {})
        for number, node in enumerate(self.program.nodes):
            if isinstance(node, Attend):
                grid = -(-shape.height // node.clock), window.rows.width(node.clock)
                self.memories[number] = Memory(self.store, node, grid, window.where)
        self.followed = dict(self._followed())

    def _followed(self) -> Iterator[tuple[int, int]]:
        """Products whose value nothing but a relu reads, and that relu."""
        nodes = self.program.nodes
        for number in range(len(nodes)):
            readers = [other for other, reader in enumerate(nodes) if number in reader.sources]
            if len(readers) == 1 and isinstance(nodes[readers[0]], Relu) and self._is_whole(number):
                yield number, readers[0]

    def _is_whole(self, number: int) -> bool:
        """Whether a product is that of a single step, with nothing of its row in it."""
        node, stage = self.program.nodes[number], self.stages[number]
        fits = isinstance(node, Taps) and node.bias is not None and number not in self.store.rows
        return fits and bool((stage == stage[0]).all()) and bool(self.times.is_step(stage)[0])

    def _position(self, number: int, stage: int, row: int, column: int) -> Iterator[Operation]:
        if number not in self.followed.values():
            yield from super()._position(number, stage, row, column)

    def _taps(
        self, number: int, node: Sum, stage: int, row: int, column: int
    ) -> Iterator[Operation]:
        if isinstance(node, Depthwise) or node.bias is None or number in self.times.waiting:
            yield from super()._taps(number, node, stage, row, column)
            return
        place = self.store.at(self.followed.get(number, number), column)
        relu = number in self.followed
        for run, kernel, views in self._read(number, node, stage, row, column):
            yield from self._product(views, kernel.weight, node.bias[run], place[:, run], relu)

    def _product(
        self, views: list[Tensor], weight: Tensor, bias: Tensor, out: Tensor, relu: bool
    ) -> Iterator[Operation]:
        """Values, side by side, times a weight, and a bias."""
        if not views:
            yield partial(out.copy_, torch.relu(bias) if relu else bias)
            return
        read = views[0]
        if len(views) > 1:
            read = self.store.scratch(self.store.n, len(weight))
            yield partial(torch.cat, views, -1, out=read)
        product = torch.ops.aten._addmm_activation if relu else torch.addmm
        yield partial(product, bias, read, weight, out=out)
