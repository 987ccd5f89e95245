"""Images of one shape as one stream of 32-bit words, and back: position after position, all images of each.

The stream is that of constriction's range coder with words of 32 bits, a state of 64 and frequencies of 24.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from constriction import stream
from torch import Tensor

from pixelcnn.codec.fixed import SINGLE
from pixelcnn.codec.frequencies import Frequencies
from pixelcnn.codec.twin import Twin
from pixelcnn.engines import Walker, native, parallel
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.model import PixelModel
from pixelcnn.shapes import ImageShape, Position, coding_order

LAW = stream.model.Categorical(perfect=False)
BATCH = 32
"""Images that are computed at once where all of their positions are."""
Callback = Callable[[int, int], None]


class Integers:
    """A model in whole numbers, as far as programs and engines ask.

    Args:
        model: whose twin it is.
        twin: of its program.
        shape: of the images; the model's own, or others where its network has no fixed size.
    """

    dtype, device, divisor = torch.float64, torch.device("cpu"), 1

    def __init__(self, model: PixelModel, twin: Twin, shape: ImageShape) -> None:
        self.network, self.output, self.shape, self.twin = model.network, model.output, shape, twin

    @property
    def levels(self) -> int:
        """Levels lie in ``[0, levels)``."""
        return self.output.levels

    def encode(self, levels: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Levels as they are."""
        return levels.to(dtype or self.dtype)

    @cached_property
    def frequencies(self) -> Frequencies:
        """What levels count."""
        return Frequencies(self.output, self.twin.scale, self.twin.limit)

    @cached_property
    def native(self) -> bool:
        """Whether the native engine computes it: it has all primitives, and float32 all numbers."""
        return self.twin.largest < SINGLE and not native.obstacle(self, self.twin.program)  # type: ignore[arg-type]

    def start(self, n: int, condition: Tensor | None) -> Walker:
        """A walker at the first position of n images, of the fastest engine."""
        kind: Any = native.NativeEngine if self.native else CachedEngine
        walker: Walker = kind(self, self.twin.program, n, condition)
        return walker

    def parameters(self, levels: Tensor, condition: Tensor | None, batch_size: int) -> Tensor:
        """The parameters of whole images at once, int32 ``(n, out, h, w)``."""
        found = torch.empty(len(levels), self.network.out, *self.shape[1:], dtype=torch.int32)
        for start in range(0, len(levels), batch_size):
            part = slice(start, start + batch_size)
            some = None if condition is None else condition[part]
            found[part] = parallel.compute(self.twin.program, self.encode(levels[part]), some).int()
        return found


def encode(model: Integers, levels: Tensor, condition: Tensor | None = None) -> np.ndarray:
    """The words of some images.

    Args:
        model: in whole numbers.
        levels: integers ``(n, c, h, w)``.
        condition: labels ``(n,)``.
    """
    coder = stream.queue.RangeEncoder()
    for position, counts in _counts(model, levels, condition):
        channel, row, column = position
        coder.encode(levels[:, channel, row, column].numpy().astype(np.int32), LAW, _law(counts))
    words: np.ndarray = coder.get_compressed()
    return words


def _counts(
    model: Integers, levels: Tensor, condition: Tensor | None
) -> Iterator[tuple[Position, Tensor]]:
    """The frequencies of each position of known images."""
    walker = model.start(len(levels), condition) if model.native else None
    whole = None if walker else model.parameters(levels, condition, BATCH)
    for position in coding_order(model.shape):
        channel, row, column = position
        if walker is not None:
            parameters = walker.parameters(levels, position)
        else:
            assert whole is not None
            parameters = whole[:, :, row, column]
        yield position, model.frequencies(parameters, levels[:, :channel, row, column])


def decode(
    model: Integers,
    words: np.ndarray,
    n: int,
    condition: Tensor | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """The images of some words, int64 ``(n, c, h, w)``; whatever words there are, levels come out.

    Args:
        model: in whole numbers.
        words: of one stream.
        n: images in it.
        condition: as in encoding.
        callback: called with rows done and rows in all.
    """
    levels = torch.zeros(n, *model.shape, dtype=torch.int64)
    coder = stream.queue.RangeDecoder(words)
    walker = model.start(n, condition)
    for position in coding_order(model.shape):
        channel, row, column = position
        parameters = walker.parameters(levels, position)
        counts = model.frequencies(parameters, levels[:, :channel, row, column])
        found = coder.decode(LAW, _law(counts))
        levels[:, channel, row, column] = torch.from_numpy(found.astype(np.int64))
        if (
            callback is not None
            and column + 1 == model.shape.width
            and channel + 1 == model.shape[0]
        ):
            callback(row + 1, model.shape.height)
    return levels


def _law(counts: Tensor) -> np.ndarray:
    """Frequencies as the coder takes them: it adds 1 to each, and scales what it is given to the rest."""
    return (counts - 1).numpy().astype(np.float64)
