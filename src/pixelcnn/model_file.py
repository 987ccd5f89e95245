"""What a model file says that it holds, before any of its numbers are read.

Nothing in a file is trusted. The library that reads its header holds it to account for every byte of the
file, each once: so what is allocated is never more than what is there.
"""

import math
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from pixelcnn.errors import ModelError

KEY = "pixelcnn"

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
    """Type and shape of a tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        """How many there are."""
        return math.prod(self.shape)


class ModelFile(NamedTuple):
    """What the header of a file says.

    Attributes:
        path: for messages.
        text: what a model wrote into the header, as JSON.
        tensors: the layout of each.
    """

    path: Path
    text: str
    tensors: dict[str, Layout]

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(each.numbers * each.dtype.itemsize for each in self.tensors.values())


def damaged(path: Path, reason: str) -> ModelError:
    """What is said of a file that is not whole."""
    return ModelError(
        f"{path}: damaged or not a model file: {' '.join(reason.split())[:200]}",
        hint="give a .safetensors file that pixelcnn wrote, or a run folder; for weights from elsewhere see"
        " docs/from-the-tutorials.md",
    )


def header_of(path: Path) -> ModelFile:
    """Reads the header of a model file.

    Raises:
        ModelError: it cannot be read, is damaged, or is of another kind.
    """
    try:
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get(KEY)
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            kinds = {name: (part.get_dtype(), part.get_shape()) for name, part in parts.items()}
    except SafetensorError as error:
        raise damaged(
            path, str(error).removeprefix("Error while deserializing header: ")
        ) from error
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    if text is None:
        raise damaged(path, "no model header")
    for name, (kind, _) in kinds.items():
        if kind not in KINDS:
            raise ModelError(
                f"{path}: `{name[:100]}` holds {kind} numbers, which no weights are",
                hint=f"weights are {', '.join(FLOATS)}",
            )
    layouts = {name: Layout(KINDS[kind], tuple(shape)) for name, (kind, shape) in kinds.items()}
    return ModelFile(path, text, layouts)
