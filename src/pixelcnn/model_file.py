"""The two parts of a model file: a header that says what it holds, and the numbers.

Nothing in a file is trusted. Its header must be plain JSON, and must account for every byte of the file
before any of them is read: so what is allocated is never more than what is there.
"""

import contextlib
import json
import math
import struct
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pixelcnn.errors import ModelError, PixelCNNError

KEY = "pixelcnn"
MAX_HEADER = 16 * 2**20
MAX_DEPTH = 200
"""Of lists and objects in each other; a model that was trained on from others holds their records."""

FLOATS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
"""Types of weights."""
INTEGERS = {
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types that a network's own buffers may have besides."""
KINDS = FLOATS | INTEGERS


class Layout(NamedTuple):
    """Where the numbers of a tensor lie.

    Attributes:
        dtype: of the tensor.
        shape: of the tensor.
        begin: its first byte, from the end of the header.
        end: its last byte and one.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def numbers(self) -> int:
        """How many there are."""
        return math.prod(self.shape)


class ModelFile(NamedTuple):
    """An open file whose header is known to fit it.

    Attributes:
        path: for messages.
        file: stands anywhere.
        start: where the numbers begin.
        text: what a model wrote into the header, as JSON.
        tensors: the layout of each.
    """

    path: Path
    file: BufferedReader
    start: int
    text: str
    tensors: dict[str, Layout]

    def numbers_of(self, name: str) -> Tensor:
        """A tensor, read.

        Raises:
            ModelError: the file has become shorter.
        """
        layout = self.tensors[name]
        tensor = torch.empty(layout.shape, dtype=layout.dtype, device="cpu")
        content = tensor.reshape(-1).view(torch.uint8).numpy().data
        self.file.seek(self.start + layout.begin)
        if self.file.readinto(content) != layout.end - layout.begin:
            raise damaged(self.path, f"it ends within `{name}`")
        return tensor


def damaged(path: Path, reason: str) -> ModelError:
    """What is said of a file that is not whole."""
    return ModelError(
        f"{path}: damaged or not a model file: {' '.join(reason.split())[:200]}",
        hint="give a .safetensors file that pixelcnn wrote, or a run folder; for weights from elsewhere see"
        " docs/from-the-tutorials.md",
    )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[ModelFile]:
    """Opens a model file and checks its layout.

    Raises:
        ModelError: it cannot be read, is damaged, or is of another kind.
    """
    try:
        with path.open("rb") as file:
            yield _described(path, file)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error


def _described(path: Path, file: BufferedReader) -> ModelFile:
    try:
        size = file.seek(0, 2)
        file.seek(0)
        (length,) = struct.unpack("<Q", file.read(8))
        if length > MAX_HEADER:
            raise damaged(path, "it does not begin as one")
        if length > size - 8:
            raise damaged(path, "it ends within its header")
        header = strict_json(file.read(length))
        ours = header.pop("__metadata__")[KEY]
        if not isinstance(ours, str):
            raise damaged(path, "no model header")
        tensors = {name: _layout(path, name, value) for name, value in header.items()}
    except (OSError, PixelCNNError):
        raise
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise damaged(path, f"no model header ({type(error).__name__})") from error
    _check_cover(path, tensors, size - 8 - length)
    return ModelFile(path, file, 8 + length, ours, tensors)


def _layout(path: Path, name: str, value: Mapping[str, Any]) -> Layout:
    """What the header says of a tensor."""
    kind, shape, (begin, end) = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelError(
            f"{path}: `{name[:100]}` holds {str(kind)[:20]} numbers, which no weights are",
            hint=f"weights are {', '.join(FLOATS)}",
        )
    whole = [*shape, begin, end]
    if len(value) != 3 or not all(type(each) is int and 0 <= each < 2**63 for each in whole):
        raise damaged(path, f"`{name}` has no shape, or no place")
    layout = Layout(KINDS[kind], tuple(shape), begin, end)
    if layout.numbers * layout.dtype.itemsize != end - begin:
        raise damaged(path, f"`{name}` needs another number of bytes than it has")
    return layout


def _check_cover(path: Path, tensors: Mapping[str, Layout], size: int) -> None:
    """Every byte behind the header belongs to one tensor."""
    reached = 0
    for name, layout in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if layout.begin != reached:
            raise damaged(path, f"a gap or an overlap before `{name}`")
        reached = layout.end
    if reached != size:
        raise damaged(path, f"{size} bytes of numbers where its header promises {reached}")


def strict_json(content: bytes | str) -> Any:
    """JSON as the standard has it, and no more of it than one can go on with.

    Raises:
        ValueError: not JSON in UTF-8; a number that is not finite, or of thousands of digits; half a
            character; lists in lists in lists.
        RecursionError: the same, by the thousand.

    Example:
        >>> strict_json('{"nats": [1e3, null]}')
        {'nats': [1000.0, None]}
        >>> strict_json('{"nats": NaN}')
        Traceback (most recent call last):
        ValueError: a number is not finite
    """
    value = json.loads(content if isinstance(content, str) else content.decode("utf-8"))
    _check_plain(value)
    return value


def _check_plain(value: Any) -> None:
    """Goes through all values without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, str):
                item.encode("utf-8")  # half of a surrogate pair has no encoding
            elif isinstance(item, float) and not math.isfinite(item):
                raise ValueError("a number is not finite")
            elif isinstance(item, dict):
                deeper += [*item, *item.values()]
            elif isinstance(item, list):
                deeper += item
        level = deeper
        if not level:
            return
    raise ValueError("lists and objects lie too deep in each other")
