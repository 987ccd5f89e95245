"""The native engine's library, built on first use, and the names that it gives to numbers."""

import ctypes
import functools

from pixelcnn import compiling
from pixelcnn.compiling import NotBuilt

POINTER, LONG, INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
FUNCTIONS: dict[str, tuple[type, ...]] = {
    "open": (POINTER, LONG, POINTER, LONG, INT, INT, INT, POINTER, LONG, POINTER),
    "step": (POINTER, POINTER, INT, INT, INT, POINTER),
    "fill": (POINTER, POINTER, POINTER, POINTER, ctypes.c_double, INT, INT, INT),
    "tables": (POINTER, POINTER, LONG, INT, POINTER, LONG),
    "code": (POINTER, POINTER, INT, INT, INT),
    "words": (POINTER, POINTER, POINTER),
}
"""What the library does, and what that is given; a place for a message, and its size, come last."""
OTHERS = ("codes", "lanes", "together", "close")
"""What else it has."""


def library() -> ctypes.CDLL:
    """The native engine, built if need be.

    Raises:
        NotBuilt: see :func:`pixelcnn.compiling.load`.
    """
    found, reason = _tried()
    if found is None:
        raise NotBuilt(reason)
    return found


def why_not() -> str:
    """Why there is no native engine in this process; empty if there is one."""
    return _tried()[1]


@functools.cache
def _tried() -> tuple[ctypes.CDLL | None, str]:
    """The library, or why there is none, for good: what failed once is not tried at every call."""
    sources = compiling.sources_of("pixelcnn.engines.native", "engine.cpp")
    names = [f"pixelcnn_{name}" for name in (*FUNCTIONS, *OTHERS)]
    try:
        found = compiling.load("engine", sources, names)
    except NotBuilt as error:
        return None, str(error)
    for name, types in FUNCTIONS.items():
        getattr(found, f"pixelcnn_{name}").argtypes = (*types, POINTER, LONG)
    found.pixelcnn_codes.restype = ctypes.c_char_p
    return found, ""


@functools.cache
def _told() -> dict[str, list[str]]:
    told = library().pixelcnn_codes().decode()
    lines = [line.split() for line in told.lower().splitlines()]
    return {group: words for group, *words in lines}


def codes(group: str) -> dict[str, int]:
    """The numbers of a group of a plan's words by name: the source has the only list of them.

    Args:
        group: operation, kind, storage, start, output or arithmetic.

    Raises:
        NotBuilt: see :func:`library`.
    """
    return {name: number for number, name in enumerate(_told()[group])}


def code(group: str, name: str) -> int:
    """The number of one word."""
    return codes(group)[name]


@functools.cache
def lanes() -> int:
    """Outputs that are computed together."""
    return int(library().pixelcnn_lanes())
