"""Files as somebody makes them who knows the format: every checksum is right, what they say is not."""

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

from pixelcnn.checkpoint import _digest

MARK = "forged-value-of-"


def taken_apart(content: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """What a model wrote into the header, the rest of the header, and the numbers."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    return json.loads(header.pop("__metadata__")["pixelcnn"]), header, content[8 + length :]


def put_together(ours: str, tensors: dict[str, Any], numbers: bytes) -> bytes:
    """A file of such parts; ``ours`` is JSON, or is not."""
    text = json.dumps({"__metadata__": {"pixelcnn": ours}} | tensors).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + numbers


def forged(source: Path, target: Path, values: dict[str, str]) -> None:
    """Writes a file again with other values in its header.

    Args:
        source: a model file.
        target: is replaced.
        values: JSON by the way to a key, as in ``{"record.data.name": "7"}``.
    """
    ours, tensors, numbers = taken_apart(source.read_bytes())
    for number, way in enumerate(values):
        *folders, key = way.split(".")
        place = ours
        for folder in folders:
            place = place[folder]
        place[key] = f"{MARK}{number}"
    try:
        told = json.loads(_filled(json.dumps(ours), values))
        ours["digest"] = _digest(told)
    except (ValueError, RecursionError):
        ours["digest"] = hashlib.sha256().hexdigest()  # no reader gets as far as that
    target.write_bytes(put_together(_filled(json.dumps(ours), values), tensors, numbers))


def _filled(text: str, values: dict[str, str]) -> str:
    for number, value in enumerate(values.values()):
        text = text.replace(f'"{MARK}{number}"', value)
    return text


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file."""
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png_file(
    width: int, height: int, pixels: bytes = b"", *more: bytes, depth: int = 8, colour: int = 0
) -> bytes:
    """A PNG file chunk by chunk, ``more`` before its pixels; it may declare more pixels than it has."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header), *more, png_chunk(b"IDAT", zlib.compress(pixels, 9))
    return b"\x89PNG\r\n\x1a\n" + b"".join([*chunks, png_chunk(b"IEND", b"")])
