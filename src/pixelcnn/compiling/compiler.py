"""The C++ compiler of this machine: which one, what it makes a library for, and running it.

``CXX``, ``PATH`` and what else a compiler reads from the environment are trusted, as by every build.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared", "-ffp-contract=fast", "-pthread")
NAMES = ("c++", "g++", "clang++")

PATIENCE = 300.0
"""Seconds that a compiler may take."""
PASSING = ("no space left", "quota exceeded")
"""In what a compiler says: it did not fail for the source's sake, and may succeed next time."""


class NotBuilt(Exception):
    """A library cannot be had here; the message says why.

    Attributes:
        passing: whether it may be otherwise at the next try, with the same source and compiler.
    """

    def __init__(self, reason: str, *, passing: bool = True) -> None:
        super().__init__(reason)
        self.passing = passing


def find_compiler() -> str:
    """The path of ``$CXX``, or else of the first compiler that is installed.

    Of several words, as in ``ccache g++``, it is that of the last that is a program.

    Raises:
        NotBuilt: there is none.
    """
    given = os.environ.get("CXX")
    names = [*dict.fromkeys((given, *reversed(given.split())))] if given else [*NAMES]
    for name in names:
        if found := shutil.which(name):
            return os.path.abspath(found)
    raise NotBuilt(f"no C++ compiler ({', '.join(names)}) was found")


def key(sources: Mapping[str, bytes], compiler: str) -> str:
    """What a build depends on, as a short hash.

    Raises:
        NotBuilt: the compiler does not tell its version.
    """
    version = _run([compiler, "--version"], {})
    digest = hashlib.sha256()
    parts = [compiler, version, " ".join(FLAGS), platform.machine(), processor()]
    for part in (*(word.encode() for word in (*parts, *sources)), *sources.values()):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:24]


def processor() -> str:
    """Whose the processor is and what it can do, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("vendor_id", "model name", "flags", "Features")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def compile_in(folder: str, compiler: str, source: str, library: str) -> None:
    """Compiles a source file to a library beside it.

    Args:
        folder: of both; all that the compiler writes for itself goes there, too.
        compiler: path.
        source: file name.
        library: file name.

    Raises:
        NotBuilt: the compiler fails.
    """
    _run([compiler, *FLAGS, source, "-o", library], {"TMPDIR": "."}, folder)


def _run(command: list[str], environment: Mapping[str, str], folder: str | None = None) -> str:
    """What a command prints. However it ends, none of its processes is left."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C", **environment},
            cwd=folder,
            process_group=0,  # so that the compiler proper can be ended with its driver
        )
    except OSError as error:
        raise NotBuilt(f"{command[0]}: {error.strerror}") from error
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            told = f"{command[0]} took more than {PATIENCE:.0f} seconds"
            raise NotBuilt(told, passing=False) from error
        raise
    if process.returncode:
        raise _failure(command[0], process.returncode, err)
    return out


def _failure(compiler: str, code: int, said: str) -> NotBuilt:
    lines = said.strip().splitlines() or [f"exit code {code}"]
    told = next((line for line in lines if "error" in line), lines[-1])
    passing = any(sign in said.lower() for sign in PASSING)
    return NotBuilt(f"{compiler} failed: {told[:200]}", passing=passing)
