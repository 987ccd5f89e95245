"""Checkpoints of a training: written whole or not at all, and known to be whole when read.

A file is what ``torch.save`` writes, followed by 40 bytes: a mark and the SHA-256 of what precedes it.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pixelcnn.conditioning import statistics_for
from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.folders import read_inside, write_inside
from pixelcnn.model import PixelModel
from pixelcnn.statistics import Statistics

MARK, FORMAT = b"pxcktp", b"02"
DIGEST = hashlib.sha256().digest_size
KEEP = 2


def write(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint; whoever reads the path sees the old file or the new one.

    Raises:
        ResourceError: the disk is full.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()  # shares its memory
    write_inside(path, (content, MARK, FORMAT, hashlib.sha256(content).digest()))


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint file.

    Raises:
        ModelError: cut short, damaged, of another format, or not one of ours.
    """
    content = read_inside(path)
    rest, digest = content[:-DIGEST], content[-DIGEST:]
    body, mark = rest[: -len(MARK + FORMAT)], rest[-len(MARK + FORMAT) :]
    if not mark.startswith(MARK) or hashlib.sha256(body).digest() != digest:
        raise ModelError(f"{path.name}: damaged checkpoint", hint="an earlier one may be whole")
    if not mark.endswith(FORMAT):
        found = mark.removeprefix(MARK).decode(errors="replace")
        raise ModelError(
            f"{path.name}: checkpoint format {found}, this version reads format {FORMAT.decode()}",
            hint="go on with the version of pixelcnn that environment.json names",
        )
    return _loaded(path, body)


def _loaded(path: Path, body: bytes) -> dict[str, Any]:
    """What was saved: a folder may come from anybody, and anybody can compute a digest."""
    reason = "PyTorch cannot read it without running code"
    try:
        members = zipfile.ZipFile(io.BytesIO(body)).infolist()
        packed = any(each.compress_type != zipfile.ZIP_STORED for each in members)
        if packed or sum(each.file_size for each in members) > len(body):
            reason = "it unpacks to more than it holds"
            raise ValueError(reason)
        loaded = torch.load(io.BytesIO(body), "cpu", weights_only=True)
        if not isinstance(loaded, dict):
            reason = f"it holds a {type(loaded).__name__}"
            raise TypeError(reason)
    except Exception as error:  # PyTorch's reader raises nearly anything
        raise ModelError(
            f"{path.name}: not a checkpoint of a training: {reason}",
            hint="an earlier one may be whole",
        ) from error
    return loaded


def name(step: int) -> str:
    """File name of the checkpoint of a step.

    Example:
        >>> name(1200)
        'step-00001200.ckpt'
    """
    return f"step-{step:08d}.ckpt"


def existing(folder: Path) -> list[Path]:
    """Checkpoints in a folder, the latest first."""
    found = [
        path for path in folder.glob("step-*.ckpt") if re.fullmatch(r"step-\d+\.ckpt", path.name)
    ]
    return sorted(found, key=lambda path: int(path.stem.removeprefix("step-")), reverse=True)


def prune(folder: Path) -> None:
    """Deletes all but the last checkpoints."""
    for path in existing(folder)[KEEP:]:
        if not path.is_dir():
            path.unlink(missing_ok=True)


def latest(folder: Path, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The content of the latest whole checkpoint of a folder; says which damaged ones it passed over.

    Raises:
        ModelError: there are checkpoints, but none can be used.
    """
    failure: Exception | None = None
    for path in existing(folder):
        try:
            return read(path)
        except (ModelError, OSError) as error:
            say(f"{error}; trying the one before")
            failure = error
    if failure is not None:
        raise ModelError(
            f"no checkpoint can be used: {failure}",
            hint=getattr(failure, "hint", "") or "start anew in another folder with --run",
        ) from failure
    return None


def settled(model: PixelModel, train: ImageSet, state: dict[str, Any] | None) -> Statistics | None:
    """Those of the condition that a training has, or had when it was started.

    Args:
        model: that is trained.
        train: on what.
        state: of the checkpoint that it goes on from, if there is one.

    Raises:
        ConfigError: it was started on other values.
    """
    fresh = statistics_for(model, train)
    if model.network.condition in (None, "label") or state is None:
        return fresh
    stored = state.get("condition")
    if stored is None:
        return None  # an older run, which took the values as they were
    before = Statistics.from_config(stored, model.network.condition_size)
    ours = model.statistics is None and fresh is not None  # else they are those of a parent
    if ours and fresh is not None and (before.low, before.high) != (fresh.low, fresh.high):
        raise ConfigError(
            f"the run was started on other conditions, {before.described()}, than"
            f" {fresh.described()}",
            hint="give the same data with --data, or choose another folder with --run",
        )
    return before
