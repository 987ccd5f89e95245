"""The Keras tutorial's loop as a contender: each backend in an environment of its own, under ``.bench``."""

import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.timing import Action

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".bench"
LOOP = Path(__file__).with_name("keras_loop.py")
PASSES = 28 * 28
VERSION = "keras>=3.9"

BACKENDS: dict[str, tuple[str, ...]] = {
    "jax": ("jax",),
    "tensorflow": ("tensorflow-cpu",) if sys.platform == "linux" else ("tensorflow",),
    "torch": (),
}
"""What each needs beside Keras; PyTorch is taken from this environment."""

SECONDS = 1800
"""An installation that takes longer has failed."""


class Unavailable(Exception):
    """A backend cannot be had here; the message says why."""


def environment(backend: str) -> Path:
    """The interpreter of a backend's environment, made if need be.

    Raises:
        Unavailable: it cannot be made.
    """
    folder = FOLDER / f"keras-{backend}"
    python, done = folder / "bin" / "python", folder / "installed"
    if done.is_file():
        return python
    print(f"benchmarks: installing Keras with {backend} into {folder}, once", file=sys.stderr)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    if backend == "torch":
        libraries = next((folder / "lib").glob("python*/site-packages"))
        (libraries / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    _run([str(python), "-m", "pip", "install", "--quiet", VERSION, *BACKENDS[backend]])
    done.touch()
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["failed"]
        errors = [line for line in lines if "error" in line.lower()]
        raise Unavailable((errors or lines)[-1][:200])


class Loop(NamedTuple):
    """A running loop that waits for its turn."""

    name: str
    process: subprocess.Popen[str]
    errors: IO[str]

    def turn(self, n: int) -> float:
        """Seconds of one pixel of n images.

        Raises:
            Unavailable: the loop has ended.
        """
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{n}\n")
            self.process.stdin.flush()
        return float(self.answer())

    def answer(self) -> str:
        """A line from the loop.

        Raises:
            Unavailable: it has ended instead; the message is its last.
        """
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            return line
        self.errors.seek(0)
        raise Unavailable((self.errors.read().strip().splitlines() or ["it ended"])[-1][:200])

    def seconds(self, n: int) -> Action:
        """The loop over all pixels of n images, extrapolated from one of them."""
        return lambda: self.turn(n) * PASSES


@contextlib.contextmanager
def loop(backend: str) -> Iterator[Loop]:
    """Keras with a backend, ready and warm; it ends with the context.

    Raises:
        Unavailable: the backend cannot be had or does not run.
    """
    python = environment(backend)
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [str(python), "-I", str(LOOP)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        try:
            running = Loop(f"Keras loop, {backend}", process, errors)
            running.answer()
            running.turn(1)
            yield running
        finally:
            process.kill()
            process.communicate()
