"""The Keras tutorial's loop as a contender: each backend in an environment of its own, under ``.bench``."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import TracebackType

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


class Loop:
    """A running loop that waits for its turn; a context, so that it ends.

    Raises:
        Unavailable: the backend cannot be had or does not start.
    """

    def __init__(self, backend: str) -> None:
        python = environment(backend)
        settings = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.name = f"Keras loop, {backend}"
        self.process = subprocess.Popen(
            [str(python), "-I", str(LOOP)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=settings,
        )
        if not self._answer().startswith("ready"):
            self.close()
            raise Unavailable(f"Keras with {backend} does not start")

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def seconds(self, n: int) -> Action:
        """The loop over all pixels of n images, extrapolated from one of them."""

        def run() -> float:
            assert self.process.stdin is not None
            self.process.stdin.write(f"{n}\n")
            self.process.stdin.flush()
            return float(self._answer()) * PASSES

        return run

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> "Loop":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
