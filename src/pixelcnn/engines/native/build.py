"""The native engine's library, built on first use."""

import ctypes
import functools
from importlib import resources

from pixelcnn import compiling
from pixelcnn.compiling import NotBuilt


@functools.cache
def library() -> ctypes.CDLL:
    """The native engine, built if need be.

    Raises:
        NotBuilt: see :func:`pixelcnn.compiling.load`.
    """
    source = (resources.files("pixelcnn.engines.native") / "engine.cpp").read_bytes()
    return compiling.load("engine", source)


def why_not() -> str:
    """Why there is no native engine here; empty if there is one."""
    try:
        library()
    except NotBuilt as error:
        return str(error)
    return ""
