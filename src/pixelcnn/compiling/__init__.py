"""Compiles C++ of this package once for this machine, into the user's cache, and loads what was compiled.

A library's name ends in a hash of its sources, the compiler and the processor, so a change of any of them
builds anew. What the cache holds is not believed: see :mod:`pixelcnn.compiling.cache`.
"""

import ctypes
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from importlib import resources

from pixelcnn.compiling.compiler import FLAGS, NotBuilt, find_compiler, key, processor

__all__ = ["FLAGS", "NotBuilt", "find_compiler", "key", "load", "processor", "sources_of"]

logger = logging.getLogger("pixelcnn")

_one_at_a_time, _told = threading.Lock(), set[str]()


def load(name: str, sources: Mapping[str, bytes], functions: Sequence[str]) -> ctypes.CDLL:
    """A library, built if need be. Why one cannot be had is logged, each reason once.

    Args:
        name: the library's, for its file and the log.
        sources: see :func:`sources_of`; the first is compiled.
        functions: that it has.

    Raises:
        NotBuilt: no compiler, or one that fails; no cache that is the user's alone; or ``PIXELCNN_NATIVE=0``
            asks that nothing be compiled.
    """
    if os.environ.get("PIXELCNN_NATIVE") == "0":
        raise NotBuilt("PIXELCNN_NATIVE=0")
    with _one_at_a_time:
        try:
            if os.name != "posix":
                raise NotBuilt("C++ is compiled on Linux and macOS only")
            from pixelcnn.compiling.cache import obtain

            compiler = find_compiler()
            return obtain(name, key(sources, compiler), sources, compiler, functions)
        except NotBuilt as error:
            if str(error) not in _told:
                _told.add(str(error))
                logger.info("PyTorch computes, without compiled code: %s", error)
            raise


def sources_of(package: str, file: str) -> dict[str, bytes]:
    """A C++17 file, all headers beside it, and those of vectors that lie here, by name.

    Args:
        package: where they are.
        file: the one that includes the headers, and nothing else of this package.
    """
    folders = [resources.files(place) for place in (package, __name__)]
    found = [folders[0] / file]
    for folder in folders:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
        found += [entry for entry in entries if entry.name.endswith(".h")]
    return {entry.name: entry.read_bytes() for entry in found}
