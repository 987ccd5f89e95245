"""The folder of a run: who may use it, and where things lie in it."""

import contextlib
import os
import platform
import re
import socket
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pixelcnn import checkpoint
from pixelcnn.errors import DISK_FULL, ConfigError, ModelError, ResourceError, writing
from pixelcnn.folders import (
    BEST,
    at_home,
    check_folder,
    hold,
    open_inside,
    read_inside,
    write_inside,
)
from pixelcnn.json_text import json_text, strict_json
from pixelcnn.training.processes import Processes
from pixelcnn.training.recipe import Recipe, parse

OURS = ("checkpoints", "samples", "tensorboard")
"""The folders in a run folder that nobody else has business in."""

IMAGES = {"train": "training images", "val": "validation images"}
PARTS = IMAGES | {
    "train_condition": "labels or conditions of the training images",
    "val_condition": "labels or conditions of the validation images",
}
CONTENT = "content.json"
"""Content hashes of the images of a training, and of what a model is given with them."""
SHOWN = 16
"""Digits of a content hash that messages show."""
PACKAGES = ("pixelcnn", "torch", "numpy", "accelerate", "safetensors", "pillow")

AGAIN = "continue with --resume (in Python resume=True)"
"""How a training goes on, unless whoever started it says it otherwise."""


class InUse(ConfigError):
    """A run folder in which another process trains."""


class RunFolder:
    """A run folder, held by one process at a time.

    The path may lead to the folder by links; in it none is followed, as it may come from anybody.

    Use as a context: entering makes the folder and locks it, leaving unlocks it. The lock is the operating
    system's (flock), so it ends with its process, however that ends. A run that is refused, or that fails
    before :meth:`begin`, leaves no trace.

    Args:
        path: the folder.
        resume: go on with what the folder holds; otherwise a folder with content is refused.
        again: how a training in it goes on, in the words of hints.

    Attributes:
        recipe: the resolved one.
        samples: sample grids.
        best: the model that validated best.
        last: the model as training left it.
        checkpoints: what resuming needs.
        best_before: the best as of the last checkpoint, where a stopped run has found a better one since.

    Raises:
        InUse: on entering; another process trains there.
        ConfigError: on entering; the path is a file, cannot be written, or holds a run, or a link, see
            :func:`pixelcnn.folders.check_folder`.
        ResourceError: on entering; the disk is full.
    """

    def __init__(self, path: str | Path, *, resume: bool = False, again: str = AGAIN) -> None:
        self.path, self.resume, self.again = at_home(path), resume, again
        self.recipe, self.samples = self.path / "recipe.toml", self.path / "samples"
        self.best, self.last = self.path / BEST, self.path / "last.safetensors"
        self.checkpoints = self.path / "checkpoints"
        self.best_before = self.checkpoints / BEST
        self._lock: int | None = None
        self._holds = False
        self._made: list[Path] = []

    def check(self) -> None:
        """Refuses what entering refuses, as far as looking tells; makes and locks nothing."""
        if self.path.is_dir():
            self._check_content()
        elif os.path.lexists(self.path):
            raise ConfigError(
                f"run folder {self.path} is a file", hint="choose another folder with --run"
            )

    def __enter__(self) -> "RunFolder":
        self.check()
        try:
            with writing(f"run folder {self.path}", other="folder with --run"):
                self._made = [p for p in (self.path, *self.path.parents) if not p.exists()]
                self.path.mkdir(parents=True, exist_ok=True)
                self._take_lock()
            self._check_content()  # again: somebody may have been faster
        except BaseException:
            self.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def begin(self, recipe: str, content: Mapping[str, str]) -> None:
        """Lays the folder out for a training: its recipe, the versions in use, places for what comes.

        Args:
            recipe: as TOML.
            content: content hashes, see :func:`pixelcnn.training.record.content_of`.

        Until then nothing but the lock is written, so that a start that fails leaves nothing behind. The
        recipe comes first: what else is there belongs to a run that can be resumed.

        Raises:
            ConfigError: the folder's training was started on other images, labels or conditions.
        """
        self.check_content(content)
        for leftover in (*self.path.glob(".*.tmp"), *self.path.glob("*/.*.tmp")):
            leftover.unlink(missing_ok=True)
        write_inside(self.recipe, recipe.encode())
        self.checkpoints.mkdir(exist_ok=True)
        self.samples.mkdir(exist_ok=True)
        write_inside(self.path / CONTENT, (json_text(content, indent=2) + "\n").encode())
        environment = json_text(versions(), indent=2) + "\n"
        write_inside(self.path / "environment.json", environment.encode())

    def content(self) -> dict[str, str]:
        """The content hashes of the folder's training; empty if it tells of none."""
        with contextlib.suppress(OSError, ValueError):
            found = strict_json(read_inside(self.path / CONTENT).decode())
            if isinstance(found, dict) and all(isinstance(found.get(part), str) for part in IMAGES):
                return {part: found[part] for part in PARTS if isinstance(found.get(part), str)}
        for path in (self.best, self.last):  # a run of an older version
            with contextlib.suppress(ModelError):
                found = checkpoint.describe(path)["record"].get("content_hash", {})
                return {part: found[part] for part in PARTS if part in found}
        return {}

    def check_content(self, now: Mapping[str, str]) -> None:
        """Compares the images of a training that goes on with those that it was started on.

        Args:
            now: content hashes, see :func:`pixelcnn.training.record.content_of`.

        Raises:
            ConfigError: they are others; a best validation on other images means nothing.
        """
        for part, before in self.content().items():
            today = now.get(part, "none")
            if today != before:
                raise ConfigError(
                    f"{self.path} was started on other {PARTS[part]}: their content hash is"
                    f" {before[:SHOWN]}, that of today's {today[:SHOWN]}",
                    hint="give the same data with --data, or choose another folder with --run",
                )

    def stored(self) -> Recipe:
        """The recipe that the folder holds.

        Raises:
            ConfigError: it is none, or no file of the folder's own.
        """
        try:
            text = read_inside(self.recipe).decode()
        except UnicodeDecodeError as error:
            raise ConfigError(f"recipe {self.path}: not valid TOML: {error}") from error
        return parse(text, str(self.path))

    def release(self) -> None:
        """Lets other processes use the folder."""
        if self._lock is not None:
            if self._holds:
                os.ftruncate(self._lock, 0)
                if [item.name for item in self.path.iterdir()] == ["run.lock"]:
                    (self.path / "run.lock").unlink()
            os.close(self._lock)
            self._lock, self._holds = None, False
        for folder in self._made:
            with contextlib.suppress(OSError):  # it is in use
                folder.rmdir()
        self._made = []

    def _take_lock(self) -> None:
        self._lock = lock = open_inside(self.path / "run.lock", os.O_RDWR | os.O_CREAT)
        try:
            self._holds = hold(lock)
        except BlockingIOError as error:
            holder = os.read(lock, 256).decode(errors="replace").strip() or "unknown"
            raise InUse(
                f"run folder {self.path} is in use by process {holder}",
                hint="wait for it, or choose another folder with --run",
            ) from error
        if self._holds:
            os.ftruncate(lock, 0)
            os.write(lock, f"{os.getpid()} on {socket.gethostname()}\n".encode())

    def _check_content(self) -> None:
        names = (item.name for item in self.path.iterdir())
        content = sorted(
            name for name in names if name != "run.lock" and not re.fullmatch(r"\..*\.tmp", name)
        )
        if content and not os.path.lexists(self.recipe):
            raise ConfigError(
                f"{self.path} is not a run folder: it holds {content[0]}, but no recipe.toml",
                hint="choose another folder with --run",
            )
        if content and not self.resume:
            raise ConfigError(
                f"run folder {self.path} already holds {content[0]}",
                hint="continue it with --resume (in Python resume=True), or choose another folder with"
                " --run (in Python run=)",
            )
        check_folder(self.path, OURS)


@contextlib.contextmanager
def held(folder: RunFolder, processes: Processes) -> Iterator[RunFolder]:
    """A folder that the main process holds for all of them; the others never write there.

    Raises:
        ConfigError: as entering the folder does.
        Followed: in the others, in its place.
        ResourceError: the disk is full, now or later.
    """
    with room(folder.again), contextlib.ExitStack() as stack:

        def enter() -> None:
            stack.enter_context(folder)

        processes.on_main(enter)
        yield folder


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result; nothing about machine or user."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@contextlib.contextmanager
def room(again: str) -> Iterator[None]:
    """Says in one line that the disk is full, and how to go on once there is space.

    Raises:
        ResourceError: instead of what the system raises.
    """
    hint = f"free some space and {again}"
    try:
        yield
    except ResourceError as error:
        if not isinstance(error.__cause__, OSError):  # it is memory that ran out
            raise
        raise ResourceError(str(error), hint=hint) from error
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        name = Path(error.filename).name if error.filename else "to the run folder"
        raise ResourceError(f"disk full: cannot write {name}", hint=hint) from error
