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
def codes() -> dict[str, dict[str, int]]:
    """The numbers of a plan's words, by group and by name; the source has the only list of them.

    Raises:
        NotBuilt: see :func:`library`.
    """
    tell = library().pixelcnn_codes
    tell.restype = ctypes.c_char_p
    lines = [line.split() for line in tell().decode().lower().splitlines()]
    return {group: {name: number for number, name in enumerate(names)} for group, *names in lines}


def code(group: str, name: str) -> int:
    """The number of one word."""
    return codes()[group][name]


@functools.cache
def lanes() -> int:
    """Outputs that are computed together."""
    return int(library().pixelcnn_lanes())
