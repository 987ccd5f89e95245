"""Damage to bytes: what a disk, a transfer or an attacker does to a file of any kind."""

import random
import struct
from collections.abc import Callable, Sequence

LONGEST = 4_096
"""Bytes that one mutation moves or makes up at most."""
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Where counters of 8, 16 and 32 bits turn over."""

Mutation = Callable[[random.Random, bytes], bytes]


def place(draw: random.Random, content: bytes, regions: Sequence[tuple[int, int]] = ()) -> int:
    """A place in some bytes; every region is as likely as any other, whatever its size."""
    low, high = draw.choice(regions) if regions else (0, len(content))
    return min(draw.randrange(low, max(low + 1, high)), max(0, len(content) - 1))


def flip(draw: random.Random, content: bytes, regions: Sequence[tuple[int, int]] = ()) -> bytes:
    """One bit turned.

    Example:
        >>> flip(random.Random(0), b"abc") != b"abc", len(flip(random.Random(0), b"abc"))
        (True, 3)
    """
    if not content:
        return content
    at = place(draw, content, regions)
    return content[:at] + bytes([content[at] ^ 1 << draw.randrange(8)]) + content[at + 1 :]


def truncate(draw: random.Random, content: bytes) -> bytes:
    """The beginning, of any length."""
    return content[: draw.randrange(len(content) + 1)]


def drop_beginning(draw: random.Random, content: bytes) -> bytes:
    """The end, of any length."""
    return content[draw.randrange(len(content) + 1) :]


def extend(draw: random.Random, content: bytes) -> bytes:
    """More at the end: zeros, noise, or the beginning once more."""
    size = draw.randrange(1, 64)
    return content + draw.choice([bytes(size), draw.randbytes(size), content[:LONGEST]])


def insert(draw: random.Random, content: bytes) -> bytes:
    """Some bytes in between."""
    at = place(draw, content)
    return content[:at] + draw.randbytes(draw.randrange(1, 9)) + content[at:]


def remove(draw: random.Random, content: bytes) -> bytes:
    """Some bytes less in between."""
    at = place(draw, content)
    return content[:at] + content[at + draw.randrange(1, 65) :]


def overwrite(draw: random.Random, content: bytes) -> bytes:
    """Some bytes become noise, zeros or ones."""
    at, size = place(draw, content), draw.randrange(1, 65)
    kind = draw.choice([draw.randbytes(size), bytes(size), b"\xff" * size])
    return (content[:at] + kind + content[at + size :])[: len(content)]


def number(draw: random.Random, content: bytes) -> bytes:
    """A number, wherever one may be, becomes one where counters turn over."""
    at = place(draw, content)
    order, width = draw.choice("<>"), draw.choice("BHI")
    size = struct.calcsize(width)
    chosen = draw.choice([n for n in NUMBERS if n < 256**size])
    return content[:at] + struct.pack(order + width, chosen) + content[at + size :]


def splice(draw: random.Random, content: bytes) -> bytes:
    """A piece is copied to somewhere else."""
    start, at = place(draw, content), place(draw, content)
    piece = content[start : start + draw.randrange(1, min(LONGEST, len(content) + 1) + 1)]
    return content[:at] + piece + content[at + draw.choice([0, len(piece)]) :]


def swap(draw: random.Random, content: bytes) -> bytes:
    """The two parts change places."""
    at = place(draw, content)
    return content[at:] + content[:at]


MUTATIONS: tuple[Mutation, ...] = (
    flip, flip, flip, truncate, drop_beginning, extend, insert, remove, overwrite, number, splice, swap
)  # fmt: skip


def mutated(draw: random.Random, content: bytes, most: int = 3) -> bytes:
    """Content damaged once or a few times.

    Args:
        draw: decides how.
        content: what is damaged.
        most: mutations at most.
    """
    for _ in range(draw.choice(range(1, most + 1))):
        content = draw.choice(MUTATIONS)(draw, content)
    return content


TOKENS = (
    b"", b"\0", b"\n", b"\r", b",", b",,", b'"', b"'", b"=", b"-1", b"0", b"nan", b"inf", b"1e309",
    b"65535", b"65536", b"99999999999999999999", b"9" * 4_400, b"0x10", b"1.5", b" ", b"\t", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\x1b[2J", b"=1+1", b"@x", b"#", b"[", b"]", b"{", b"}", b"\xc3\x28",
    b"\xf0\x9f\x98\x80",
    b"[" * 3_000,
)  # fmt: skip
"""What readers of texts stumble over."""


def mutated_text(draw: random.Random, content: bytes) -> bytes:
    """A text damaged as one: a token in place of another, a line repeated, dropped or moved; or as bytes."""
    kind = draw.randrange(4)
    if kind == 0:
        return mutated(draw, content)
    lines = content.split(b"\n")
    at = draw.randrange(len(lines))
    if kind == 1:
        fields = lines[at].split(b",")
        fields[draw.randrange(len(fields))] = draw.choice(TOKENS)
        lines[at] = b",".join(fields)
    elif kind == 2:
        spot = place(draw, content)
        return content[:spot] + draw.choice(TOKENS) + content[spot + draw.randrange(4) :]
    else:
        lines[at : at + draw.randrange(2)] = [draw.choice(lines)] * draw.randrange(3)
    return b"\n".join(lines)
