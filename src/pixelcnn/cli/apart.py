"""What a command writes lies apart from what it reads."""

import os
from pathlib import Path

from pixelcnn import files
from pixelcnn.data.picture import SUFFIXES
from pixelcnn.errors import ConfigError
from pixelcnn.folders import BEST
from pixelcnn.text import printable


def check_apart(target: Path, model: str, *read: str | None) -> None:
    """Refuses to replace a file that the same command reads, or to write among the pictures that it reads.

    A new picture in such a folder is let pass; the next time it would be read, and then it is there.

    Args:
        target: file or folder that is to be written; looked at before it is made.
        model: as the user calls it.
        read: data and other files likewise; what is no path is passed over.

    Raises:
        ConfigError: the target is one of them, or lies in one.

    Example:
        >>> check_apart(Path("samples.png"), "mnist", "hf:ada/cats", None)
    """
    if not os.path.exists(target) or files.is_direct(target):
        return
    model, *words = [os.path.expanduser(word) for word in (model, *read) if word]
    for path in (model, os.path.join(model, BEST), *words):
        if os.path.isfile(path) and os.path.samefile(path, target):
            raise ConfigError(
                f"{target} is read by this command", hint="choose another name with --out"
            )
    for folder in filter(os.path.isdir, words):
        if _is_among(target, folder):
            raise ConfigError(
                f"{target} lies in {printable(folder)}, whose pictures this command reads",
                hint="choose a place beside it with --out",
            )


def _is_among(target: Path, folder: str) -> bool:
    """Whether a target would be one of the pictures of a folder, or hold some."""
    shown = os.path.isdir(target) or target.suffix.lower() in SUFFIXES
    return shown and Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder))
