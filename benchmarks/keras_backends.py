"""The Keras tutorial's loop as a contender: each backend in an environment of its own, under ``.bench``."""

import contextlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.timing import Action
from benchmarks.workers import Unavailable, Worker, worker

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

MODES = [(backend, False) for backend in BACKENDS] + [("tensorflow", True)]
"""Backends, and whether XLA is asked for: else steps are as Keras has them; tensorflow takes part twice."""

SECONDS = 1800
"""An installation that takes longer has failed."""


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


def seconds(loop: Worker, n: int) -> Action:
    """The loop over all pixels of n images, extrapolated from one of them."""
    return lambda: loop.ask(str(n)) * PASSES


def train_step(loop: Worker, n: int) -> Action:
    """One training step on n images."""
    return lambda: loop.ask(f"train {n}")


@contextlib.contextmanager
def loop(backend: str, *, xla: bool = False) -> Iterator[Worker]:
    """Keras with a backend, ready and warm; it ends with the context.

    Args:
        backend: one of :data:`BACKENDS`.
        xla: compile training steps, even where Keras would not.

    Raises:
        Unavailable: the backend cannot be had or does not run.
    """
    command = [str(environment(backend)), "-I", str(LOOP), *(["xla"] if xla else [])]
    name = f"Keras, {backend}{' with XLA' if xla else ''}"
    variables = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with worker(name, command, variables) as running:
        running.ask("1")
        yield running


@contextlib.contextmanager
def loops(modes: Iterable[tuple[str, bool]]) -> Iterator[list[Worker]]:
    """All loops that can be had here; of others it says why not.

    Args:
        modes: backends, and whether XLA is asked for, see :func:`loop`.
    """
    with contextlib.ExitStack() as stack:
        found = []
        for backend, xla in modes:
            try:
                found.append(stack.enter_context(loop(backend, xla=xla)))
            except Unavailable as reason:
                print(f"Keras with {backend} is left out: {reason}")
        yield found
