"""Images of one shape as one stream of 32-bit words, and back: position after position, all images of each.

The stream is that of constriction's range coder with words of 32 bits, a state of 64 and frequencies of 24.
"""

import logging
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixelcnn.codec.fixed import LONG, SINGLE
from pixelcnn.codec.frequencies import Frequencies, frequencies_of
from pixelcnn.codec.numbers import Damaged
from pixelcnn.codec.twin import Twin
from pixelcnn.engines import parallel
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.native import Arithmetic, NativeEngine, obstacle
from pixelcnn.errors import ModelError
from pixelcnn.model import PixelModel
from pixelcnn.program import Dense, Sum
from pixelcnn.shapes import ImageShape, coding_order

NONE = "is damaged: words that no encoder wrote"
WORD = 2**15
"""Whole numbers below are integers of 16 bits."""
BATCH = 32
"""Images that are computed at once where all of their positions are."""


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
        return frequencies_of(self.output, self.twin.scale, self.twin.limit)

    @cached_property
    def native(self) -> Arithmetic | None:
        """What the native engine sums in; None where it cannot compute the twin.

        It stores values as floats, whatever it sums in.
        """
        if obstacle(self, self.twin.program):  # type: ignore[arg-type]
            return None
        nodes = list(zip(self.twin.program.nodes, self.twin.limits, strict=True))
        read = (self.twin.limits[node.sources[0]] for node, _ in nodes if isinstance(node, Sum))
        words = max(read, default=0) < WORD
        if max(self.twin.limits) < SINGLE:
            return "integer" if words else "single"
        stored = max(limit for node, limit in nodes if not isinstance(node, Sum))
        if stored >= SINGLE or any(isinstance(node, Dense) for node, _ in nodes):
            return None
        return "long" if words and max(self.twin.limits) < LONG else "double"

    def start(self, n: int, condition: Tensor | None) -> CachedEngine:
        """A walker at the first position of n images."""
        return CachedEngine(self, self.twin.program, n, condition)  # type: ignore[arg-type]

    def start_native(self, n: int, condition: Tensor | None) -> NativeEngine:
        """The same in C++, if it can be."""
        kind = self.native or "single"
        return NativeEngine(self, self.twin.program, n, condition, arithmetic=kind)  # type: ignore[arg-type]

    def parameters(self, levels: Tensor, condition: Tensor | None, batch_size: int) -> Tensor:
        """The parameters of whole images at once, int32 ``(n, out, h, w)``."""
        found = torch.empty(len(levels), self.network.out, *self.shape[1:], dtype=torch.int32)
        for start in range(0, len(levels), batch_size):
            part = slice(start, start + batch_size)
            some = None if condition is None else condition[part]
            found[part] = parallel.compute(self.twin.program, self.encode(levels[part]), some).int()
        return found


log = logging.getLogger("pixelcnn")

FEW_SUB_PIXELS = 5_000
"""Of a stream that is decoded in no time, whatever decodes it."""
SLOW = "decoding by PyTorch, without compiled code, takes about a hundred times as long"
"""What is said where they are more."""


def encode(model: Integers, levels: Tensor, condition: Tensor | None = None) -> np.ndarray:
    """The words of some images.

    Args:
        model: in whole numbers.
        levels: integers ``(n, c, h, w)``.
        condition: labels ``(n,)``.
    """
    if model.native:
        engine = model.start_native(len(levels), condition)
        return engine.encode(levels, model.frequencies.tables)
    stream = library()
    coder, law = stream.queue.RangeEncoder(), stream.model.Categorical(perfect=False)
    whole = model.parameters(levels, condition, BATCH)
    for channel, row, column in coding_order(model.shape):
        before = levels[:, :channel, row, column]
        counts = model.frequencies(whole[:, :, row, column], before)
        coder.encode(levels[:, channel, row, column].numpy().astype(np.int32), law, _given(counts))
    return coder.get_compressed()


def decode(model: Integers, words: np.ndarray, n: int, condition: Tensor | None = None) -> Tensor:
    """The images of some words, int64 ``(n, c, h, w)``.

    Args:
        model: in whole numbers.
        words: of one stream.
        n: images in it.
        condition: as in encoding.

    Raises:
        Damaged: no encoder wrote these words.
    """
    if model.native:
        engine = model.start_native(n, condition)
        try:
            return engine.decode(words, model.frequencies.tables)
        except ModelError as error:
            raise Damaged(NONE) from error
    if n * model.shape.dimensions > FEW_SUB_PIXELS:
        log.warning(SLOW)
    levels = torch.zeros(n, *model.shape, dtype=torch.int64)
    # What an encoder wrote is read to its end, and one word further at most.
    words = np.concatenate([words, np.zeros(2, np.uint32)])
    stream = library()
    coder, law = stream.queue.RangeDecoder(words), stream.model.Categorical(perfect=False)
    walker = model.start(n, condition)
    for position in coding_order(model.shape):
        channel, row, column = position
        parameters = walker.parameters(levels, position)
        counts = model.frequencies(parameters, levels[:, :channel, row, column])
        try:
            found = coder.decode(law, _given(counts))
        except AssertionError as error:  # the library's word for it
            raise Damaged(NONE) from error
        if coder.maybe_exhausted():
            raise Damaged(NONE)
        levels[:, channel, row, column] = torch.from_numpy(found.astype(np.int64))
    return levels


def library() -> Any:
    """The range coder where there is no native engine, which has its own."""
    from constriction import stream

    return stream


def _given(counts: Tensor) -> np.ndarray:
    """Frequencies as the coder takes them: it adds 1 to each, and scales what it is given to the rest."""
    return (counts - 1).numpy().astype(np.float64)
