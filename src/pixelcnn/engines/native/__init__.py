"""The program in C++: the fastest engine on a CPU, for the primitives and outputs it knows."""

import ctypes
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pixelcnn.compiling import NotBuilt
from pixelcnn.cores import cores
from pixelcnn.engines.guard import Drawer
from pixelcnn.engines.native.build import code, library, why_not
from pixelcnn.engines.native.plan import Plan, obstacle, plan
from pixelcnn.errors import ModelError, ResourceError
from pixelcnn.model import PixelModel
from pixelcnn.program import Condition, Program
from pixelcnn.shapes import Position

__all__ = ["NativeEngine", "NotBuilt", "Plan", "Tables", "library", "obstacle", "plan", "why_not"]

MESSAGE = 256
RUNS, SHORT = 16, 2**33
"""Calls in which images are drawn, at most, since between two of them an interrupt is heard; and products of
one that is not worth another, some tenths of a second."""
Arithmetic = Literal["single", "half", "double", "integer", "long"]


class Tables(NamedTuple):
    """What the counts of a twin's output are looked up in, see :mod:`pixelcnn.codec.frequencies`.

    Attributes:
        numbers: int64, all tables one after the other.
        limit: no parameter is larger, nor smaller than its negative.
    """

    numbers: np.ndarray
    limit: int


class NativeEngine(Drawer):
    """Walks a program over the positions of n images.

    Computes in float32, sums included unless they are told otherwise. Every number depends on the model and
    the image alone: it is the same for any n, number of threads, and whether levels are drawn inside or given
    from outside.

    Args:
        model: in evaluation mode, on the CPU.
        program: of its network.
        n: number of images, at least 1.
        condition: checked by the model.
        threads: among which images are divided; torch's number if None.
        arithmetic: of sums over taps: ``single``; ``half`` to multiply in bfloat16 and sum in float32, about
            twice as fast where the processor has it, with parameters off by some 1e-2; or, for plans in whole
            numbers, ``integer`` to multiply numbers of 16 bits where the processor does that faster, ``long``
            to do so where sums are larger than floats, and ``double`` for still larger ones; the sums of the
            last two are rounded before they are stored.

    Raises:
        NotBuilt: there is no native engine here.
        Unlowerable: the output is not one that the native engine draws from.
        ResourceError: not enough memory.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: PixelModel,
        program: Program,
        n: int,
        condition: Tensor | None,
        *,
        threads: int | None = None,
        arithmetic: Arithmetic = "single",
    ) -> None:
        self._handle = ctypes.c_void_p()
        self._library = library()
        self.model, self.n = model, n
        self.threads = threads or min(torch.get_num_threads(), cores())
        layout = plan(model, program)
        self._conditions = values = condition_values(program, layout, condition)
        self._error = ctypes.create_string_buffer(MESSAGE)
        self._call(
            "open",
            *(layout.words.ctypes, len(layout.words), layout.weights.ctypes, len(layout.weights)),
            *(n, self.threads, code("arithmetic", arithmetic)),
            *(values.ctypes, len(values), ctypes.byref(self._handle)),
        )
        self._levels = np.zeros((n, *model.shape), np.int32)
        self._out = np.zeros((n, model.network.out), np.float32)
        self._step = self._levels.ctypes.data, self._out.ctypes.data
        self._products = len(layout.weights) * n * model.shape.height * model.shape.width

    def __del__(self) -> None:
        if self._handle:
            self._library.pixelcnn_close(self._handle)

    @property
    def together(self) -> int:
        """Rows of an image that advance together in :meth:`fill`, by threads without an image of their own.

        As many as fit behind each other: each begins when the row above it is finished as far to the right
        as it is read.
        """
        return int(self._library.pixelcnn_together(self._handle))

    def parameters(self, levels: Tensor, position: Position) -> Tensor:
        """Parameters of one pixel, float32 ``(n, out)``, given the levels ``(n, c, h, w)`` before it."""
        channel, row, column = position
        if channel > 0:
            self._take(levels, Position(channel - 1, row, column))
        elif column > 0:
            self._take(levels, Position(-1, row, column - 1))
        elif row > 0:
            self._take(levels, Position(-1, row - 1, -1))
        before, after = self._step
        self._call("step", self._handle, before, *position, after)
        return torch.from_numpy(self._out.copy())

    @property
    def stride(self) -> int:
        """Of so many rows that an interrupt is heard in between."""
        runs = min(RUNS, 1 + self._products // SHORT)
        return -(-self.model.shape.height // runs)

    def rows(
        self, given: Tensor, known: Tensor, uniforms: Tensor, temperature: float, step: int = 1
    ) -> Iterator[tuple[int, Tensor]]:
        """See :class:`~pixelcnn.engines.guard.Drawer`; more rows at a time where some advance together."""
        levels = np.array(given.numpy(), np.int32, order="C")
        fixed = np.ascontiguousarray(known.numpy(), np.uint8)
        chances = np.ascontiguousarray(uniforms.numpy(), np.float64)
        height, together = self.model.shape.height, self.together
        few = 1 if together == 1 else 8 * together  # they begin and end one after the other
        step = max(step, few)
        for row in range(0, height, step):
            done = min(row + step, height)
            arrays = (each.ctypes for each in (levels, fixed, chances))
            self._call("fill", self._handle, *arrays, temperature, row, done, self.threads)
            yield done, torch.from_numpy(levels).long()

    def encode(self, levels: Tensor, tables: Tables) -> np.ndarray:
        """The words of a range coder for all images, of a plan in whole numbers.

        Args:
            levels: ``(n, c, h, w)``.
            tables: of the output.

        Returns:
            uint32: :mod:`pixelcnn.codec.coding` says what they mean.
        """
        held = np.array(levels.numpy(), np.int32, order="C")
        self._code(held, tables, None)
        count = ctypes.c_int64()
        self._call("words", self._handle, None, ctypes.byref(count))
        words = np.empty(count.value, np.uint32)
        self._call("words", self._handle, words.ctypes, ctypes.byref(count))
        return words

    def decode(self, words: np.ndarray, tables: Tables) -> Tensor:
        """The images of some words, int64 ``(n, c, h, w)``; see :meth:`encode`.

        Raises:
            ModelError: no encoder wrote these words.
        """
        levels = np.zeros((self.n, *self.model.shape), np.int32)
        self._code(levels, tables, np.ascontiguousarray(words, np.uint32))
        return torch.from_numpy(levels).long()

    def _code(self, levels: np.ndarray, tables: Tables, words: np.ndarray | None) -> None:
        """Encodes levels, or decodes words into them, a row at a time: so it can be interrupted."""
        numbers = np.ascontiguousarray(tables.numbers, np.int64)
        given = (None, 0) if words is None else (words.ctypes, len(words))
        table = numbers.ctypes, len(numbers), tables.limit
        self._call("tables", self._handle, *table, *given)
        for row in range(self.model.shape.height):
            self._call("code", self._handle, levels.ctypes, row, row + 1, self.threads)

    def _take(self, levels: Tensor, position: Position) -> None:
        """Copies what was chosen at the last position; channel -1 stands for all channels."""
        channel, row, column = position
        at = slice(None) if channel < 0 else channel
        self._levels[:, at, row, column] = levels[:, at, row, column].numpy()

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self._library, f"pixelcnn_{name}")(*arguments, self._error, MESSAGE)
        if code:
            message = f"native engine: {self._error.value.decode()}"
            if code == 2:
                raise ResourceError(message, hint="fewer images at once (batch_size) need less")
            raise ModelError(message)


def condition_values(program: Program, layout: Plan, condition: Tensor | None) -> np.ndarray:
    """What a plan's engine keeps of a condition: values of labels and vectors, and a map as it is.

    Returns:
        float32: of each condition node of a label or vector ``(n, width)``, features in storage order; of
        a map ``(n, h, w, size)``; all of them flattened, one after the other.
    """
    parts = []
    for number, order in layout.conditions:
        assert condition is not None
        node = program.nodes[number]
        assert isinstance(node, Condition)
        # One image at a time: the digits of torch's matrix products depend on the number of rows.
        images = condition.split(len(condition) if node.kind == "label" else 1)
        values = torch.cat([node.values(image) for image in images]).float().cpu().numpy()
        parts.append(np.ascontiguousarray(values[:, order]).ravel())
    if layout.has_map:
        assert condition is not None
        parts.append(condition.float().movedim(1, -1).contiguous().cpu().numpy().ravel())
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.float32), *parts])
