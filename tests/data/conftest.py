"""Fixtures shared by the tests of the data package."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Writer = Callable[..., Path]


@pytest.fixture
def write_image(tmp_path: Path) -> Writer:
    """Writes an image below ``tmp_path``: noise of a mode and size, or the given pixels."""

    def write(
        name: str, mode: str = "L", size: Any = (6, 5), pixels: Any = None, **options: Any
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if pixels is None:
            height, width = size
            noise = np.random.default_rng(len(name)).integers(0, 256, (height, width, 4), np.uint8)
            image = Image.fromarray(noise, "RGBA").convert("RGB").convert(mode)
        else:
            image = Image.fromarray(np.asarray(pixels))
        image.save(path, **options)
        return path

    return write


def png(width: int, height: int, pixels: bytes = b"", *, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG file chunk by chunk; it may declare more pixels than it has."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.fixture
def make_png() -> Callable[..., bytes]:
    """See :func:`png`."""
    return png
