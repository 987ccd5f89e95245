"""What is in ``.pxc`` files: how they are opened, listed and tested."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from pixelcnn.cli import words
from pixelcnn.cli.console import emit, progress, result, say, table
from pixelcnn.codec.container import SIGNATURE, VERSION, Reader
from pixelcnn.codec.entries import MODES, PICTURE, Entry, Form, Listing
from pixelcnn.data.files import PACKED
from pixelcnn.data.opening import opened
from pixelcnn.errors import DataError, ModelError
from pixelcnn.folders import at_home, is_there
from pixelcnn.text import counted, printable

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel

BACK = {"array": "array", "list": "array of a list", "file": ".npy file", "picture": ".png file"}
"""What an input comes back as, by its kind."""
SHOWN = 50
"""Entries that are listed unless the list is for a program."""
UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


@contextlib.contextmanager
def reader(name: str) -> Iterator[Reader]:
    """A file, or standard input, whose errors name it.

    Raises:
        DataError: it cannot be read, or is damaged.
    """
    where = "standard input" if name == words.STDIN else printable(name)
    with contextlib.ExitStack() as stack:
        try:
            yield Reader(stack.enter_context(_stream(name)))
        except (DataError, ModelError) as error:
            raise type(error)(f"{where} {error}", hint=error.hint) from error


@contextlib.contextmanager
def _stream(name: str) -> Iterator[BinaryIO]:
    """Bytes that can be read from any place; those of a pipe go to a temporary file."""
    if name != words.STDIN:
        with opened(at_home(name)) as stream:
            yield stream
        return
    with tempfile.TemporaryFile() as kept:
        while part := sys.stdin.buffer.read(2**20):
            kept.write(part)
        if not kept.tell():
            raise DataError("is empty", hint=words.PIPE)
        yield kept


def is_packed(name: str) -> bool:
    """Whether there is a file of this name that begins as such a file does, or is called like one."""
    path = at_home(name)
    if not (is_there(path) and path.is_file()):
        return False
    if path.suffix.lower() == PACKED:
        return True
    with path.open("rb") as stream:
        return stream.read(len(SIGNATURE)) == SIGNATURE


def facts(name: str, opened_as: Reader) -> dict[str, Any]:
    """What a file says of itself, without the model."""
    entries = opened_as.entries
    return {
        "file": name,
        "version": VERSION,
        "model": opened_as.fingerprint.hex(),
        "bytes": opened_as.size,
        "files": len(entries),
        "images": entries.images,
        "labelled": entries.labelled,
    }


def described(entry: Entry) -> dict[str, Any]:
    """One entry under the keys of ``--json``."""
    height, width = entry.size.tile
    tiles = {"tiles": entry.size.tiles, "tile": (height, width)} if entry.size.tiles > 1 else {}
    labels = {"labels": list(entry.labels)} if entry.labels else {}
    back = {"kind": kind(entry.form), "type": type_of(entry.form)}
    return (
        {"name": entry.name, "images": entry.count, "shape": entry.size.shape, **back}
        | tiles
        | labels
    )


def kind(form: Form) -> str:
    """What an input was."""
    return ("array", "list", "file", "picture")[form.kind]


def type_of(form: Form) -> str:
    """The type of its values, or the mode of a picture."""
    return [*MODES][form.type] if form.kind == PICTURE else form.dtype.name


def show(names: Sequence[str], json: bool) -> None:
    """Lists what files hold, without the model."""
    found = []
    for name in names:
        with reader(name) as opened_as:
            entries = opened_as.entries
            opened_as.check()
            said = facts(name, opened_as)
            if json:
                found.append(said | {"entries": [described(entry) for entry in entries]})
            else:
                _show(said, entries)
    if json:
        emit(found[0] if len(found) == 1 else {"files": found})


def _show(said: dict[str, Any], entries: Listing) -> None:
    result(
        f"{said['file']}: {counted(said['images'], 'image')}, {amount(said['bytes'])}, model {said['model']}"
    )
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        if len(rows) == SHOWN:
            break
        tiles = f"{entry.size.tiles} tiles" if entry.size.tiles > 1 else ""
        back = f"{type_of(entry.form)} {BACK[kind(entry.form)]}"
        rows.append((entry.name or "-", f"{entry.count:,}", str(entry.size.shape), back, tiles))
    table("", ("name", "images", "size", "comes back as", ""), rows, right=(1,))
    if len(entries) > SHOWN:
        result(f"… and {len(entries) - SHOWN:,} more, all of which --json lists")


def check(model: "PixelModel", names: Sequence[str], json: bool) -> None:
    """Decodes files and compares all that can be compared; writes nothing.

    Raises:
        DataError: one is damaged.
        ModelError: one is of another model.
    """
    from pixelcnn.codec.archive import unpack

    found = []
    for name in names:
        with reader(name) as opened_as, progress("testing") as advance:
            for entry, levels in unpack(model, opened_as, advance):
                entry.form.restored(levels)
            found.append(facts(name, opened_as))
        said = found[-1]
        say(f"{name}: {counted(said['images'], 'image')} as they were")
    if json:
        emit(found[0] if len(found) == 1 else {"files": found})


def amount(size: int) -> str:
    """Bytes as people say it, in powers of ten.

    Example:
        >>> amount(999), amount(12_345_678), amount(999_960), amount(10**18)
        ('999 B', '12.3 MB', '1.0 MB', '1.0 EB')
    """
    value, unit = float(size), 0
    while value >= 999.95 and unit + 1 < len(UNITS):
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {UNITS[unit]}" if unit else f"{size} B"


def line(files: int, before: int, after: int) -> str:
    """What compression has done, in one line.

    Example:
        >>> line(1_234, 12_345_678, 1_210_000)
        '1,234 files 12.3 MB -> 1.2 MB (9.8 %)'
        >>> line(1, 0, 3_000)  # a named data set: what it takes elsewhere is not known
        '1 file -> 3.0 kB'
    """
    share = f" ({100 * after / before:.1f} %)" if before else ""
    size = f" {amount(before)}" if before else ""
    return f"{counted(files, 'file')}{size} -> {amount(after)}{share}"
