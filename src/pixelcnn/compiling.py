"""Compiles C++ of this package once for this machine, into the user's cache.

A library's name ends in a hash of its sources, the compiler and the processor; so a change of any of them
builds anew, and two processes that build at once write the same file. The folder belongs to the user alone.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared", "-ffp-contract=fast", "-pthread")
COMPILERS = ("c++", "g++", "clang++")

logger = logging.getLogger("pixelcnn")


_failures: dict[Path, str] = {}
"""Why libraries could not be built, so that a failing compiler runs once."""


class NotBuilt(Exception):
    """A library cannot be had here; the message says why."""


def load(name: str, sources: Mapping[str, bytes]) -> ctypes.CDLL:
    """A library, built if need be.

    Args:
        name: the library's, for its file and the log.
        sources: see :func:`sources_of`; the first is compiled.

    Raises:
        NotBuilt: no compiler, or one that fails; or ``PIXELCNN_NATIVE=0`` asks that nothing be compiled.
    """
    if os.environ.get("PIXELCNN_NATIVE") == "0":
        raise NotBuilt("PIXELCNN_NATIVE=0")
    compiler = find_compiler()
    target = cache_folder() / f"{name}-{key(sources, compiler)}.so"
    if target in _failures:
        raise NotBuilt(_failures[target])
    if not target.is_file():
        logger.info("building the native %s, once", name)
        try:
            _build(sources, compiler, target)
        except NotBuilt as error:
            _failures[target] = str(error)
            raise
    try:
        return ctypes.CDLL(str(target))
    except OSError as error:
        raise NotBuilt(f"{target.name} cannot be loaded: {error}") from error


def sources_of(package: str, file: str) -> dict[str, bytes]:
    """A C++17 file and all headers beside it, by name.

    Args:
        package: where they are.
        file: the one that includes the headers, and nothing else of this package.
    """
    folder = resources.files(package)
    headers = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".h"))
    return {name: (folder / name).read_bytes() for name in (file, *headers)}


def find_compiler() -> str:
    """The path of ``$CXX``, or else of the first compiler that is installed.

    Raises:
        NotBuilt: there is none.
    """
    names = [os.environ["CXX"]] if os.environ.get("CXX") else list(COMPILERS)
    for name in names:
        if found := shutil.which(name):
            return found
    raise NotBuilt(f"no C++ compiler ({', '.join(names)}) was found")


def cache_folder() -> Path:
    """A private folder in the user's cache.

    Raises:
        NotBuilt: it cannot be made, or belongs to somebody else.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "pixelcnn" / "native"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
    except OSError as error:
        raise NotBuilt(f"no cache folder: {error}") from error
    if hasattr(os, "getuid"):
        if status.st_uid != os.getuid():
            raise NotBuilt(f"the cache folder {folder} belongs to another user")
        if stat.S_IMODE(status.st_mode) & 0o022:
            folder.chmod(0o700)
    return folder


def key(sources: Mapping[str, bytes], compiler: str) -> str:
    """What a build depends on, as a short hash.

    Raises:
        NotBuilt: the compiler does not tell its version.
    """
    version = _run([compiler, "--version"])
    digest = hashlib.sha256()
    parts = [compiler, version, " ".join(FLAGS), platform.machine(), processor()]
    for part in (*(word.encode() for word in (*parts, *sources)), *sources.values()):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:24]


def processor() -> str:
    """What the processor can do, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def _build(sources: Mapping[str, bytes], compiler: str, target: Path) -> None:
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            folder, made = Path(scratch), Path(scratch) / "library.so"
            for name, source in sources.items():
                (folder / name).write_bytes(source)
            _run([compiler, *FLAGS, str(folder / next(iter(sources))), "-o", str(made)])
            os.replace(made, target)
    except OSError as error:
        raise NotBuilt(f"{target.name} cannot be written: {error}") from error


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuilt(f"{command[0]}: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["failed"]
        told = next((line for line in lines if "error" in line), lines[-1])
        raise NotBuilt(f"{command[0]} failed: {told[:200]}")
    return done.stdout
