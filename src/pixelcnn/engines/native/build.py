"""The native engine's library, built on first use, and the names that it gives to numbers."""

import ctypes
import functools

from pixelcnn import compiling
from pixelcnn.compiling import NotBuilt


@functools.cache
def library() -> ctypes.CDLL:
    """The native engine, built if need be.

    Raises:
        NotBuilt: see :func:`pixelcnn.compiling.load`.
    """
    return compiling.load("engine", compiling.sources_of("pixelcnn.engines.native", "engine.cpp"))


def why_not() -> str:
    """Why there is no native engine here; empty if there is one."""
    try:
        library()
    except NotBuilt as error:
        return str(error)
    return ""


@functools.cache
def _told() -> dict[str, list[str]]:
    tell = library().pixelcnn_codes
    tell.restype = ctypes.c_char_p
    lines = [line.split() for line in tell().decode().lower().splitlines()]
    return {group: words for group, *words in lines}


def codes(group: str) -> dict[str, int]:
    """The numbers of a group of a plan's words by name: the source has the only list of them.

    Args:
        group: operation, kind, storage, start or output.

    Raises:
        NotBuilt: see :func:`library`.
    """
    return {name: number for number, name in enumerate(_told()[group])}


def signature(operation: str) -> tuple[int, int, bool]:
    """What an elementwise function takes: values, constants, and whether a number a feature."""
    values, constants, each = map(int, _told()["takes"][code("operation", operation)].split(","))
    return values, constants, bool(each)


def code(group: str, name: str) -> int:
    """The number of one word."""
    return codes(group)[name]


@functools.cache
def lanes() -> int:
    """Outputs that are computed together."""
    return int(library().pixelcnn_lanes())
