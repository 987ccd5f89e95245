"""``pixelcnn decompress``: the images of ``.pxc`` files, as they were."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options, words
from pixelcnn.cli.console import emit, progress, say
from pixelcnn.errors import ConfigError
from pixelcnn.folders import at_home
from pixelcnn.text import counted, printable

if TYPE_CHECKING:
    import numpy as np

    from pixelcnn.codec.container import Reader
    from pixelcnn.codec.entries import Entry
    from pixelcnn.model import PixelModel


def decompress(
    model: options.Model,
    packed: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE.pxc...",
            help="What 'pixelcnn compress' wrote; - is standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str | None,
        options.said(
            "-o",
            "--out",
            metavar="DIR|FILE",
            help="A folder for all that is in it; or the name of the one file that is in it.",
            default="beside FILE.pxc",
        ),
    ] = None,
    force: options.Force = False,
    stdout: options.Stdout = False,
    test: options.Test = False,
    listed: options.Listed = False,
    json: options.Json = False,
) -> None:
    """Decompress images to what they were.

    \b
    Examples:
      pixelcnn sample runs/digits-digits -o a.npy && pixelcnn compress runs/digits-digits a.npy
      pixelcnn decompress runs/digits-digits a.npy.pxc -o again.npy

    Arrays come back as .npy files, pictures as PNG files under their names with their folders. All
    checksums are compared before the first file is written, and the pixels of each before it appears.
    """
    from pixelcnn.cli import contents, models, output
    from pixelcnn.codec.archive import check_model

    if listed:
        contents.show(packed, json)
        return
    loaded = models.load(model, device="cpu")
    if test:
        contents.check(loaded, packed, json)
        return
    to = words.packed_to(out, stdout)
    written: list[str] = []
    results: list[Path] = []
    images, taken = 0, set[Path]()
    several = [name for name in packed if name != words.STDIN] if len(packed) > 1 else []
    for name in several:  # before the first of their files is written; a pipe is read but once
        with contents.reader(name) as reader:
            Place(reader, name, to).check(force, json, taken, model, packed)
            reader.check()
            check_model(loaded, reader)
    for name in packed:
        with contents.reader(name) as reader:
            place = Place(reader, name, to)
            if name == words.STDIN or not several:
                place.check(force, json, taken, model, packed)
            images += reader.entries.images
            some = _restore(loaded, reader, place)
            written += some
            results.append(Path(some[0]) if len(some) == 1 else place.folder)
    if json:
        emit({"written": written, "images": images})
        return
    say(f"{counted(images, 'image')} in {counted(len(written), 'file')}")
    for result in dict.fromkeys(results):
        output.done(result)


class Place:
    """Where the entries of a file go.

    Args:
        reader: of the file.
        name: of the file.
        out: what ``-o`` says.

    Raises:
        ConfigError: several files are in it, and only one has a place; or its name is that of another kind.
    """

    def __init__(self, reader: "Reader", name: str, out: str | None) -> None:
        from pixelcnn.data.files import PACKED
        from pixelcnn.data.picture import SUFFIXES

        self.entries = reader.entries
        path = at_home(name)
        stem = path.stem if path.suffix.lower() == PACKED else path.name
        self.stem = "images" if name == words.STDIN else stem
        first = next(iter(self.entries), None)
        several = len(self.entries) != 1 or (first is not None and len(self._names(first)) != 1)
        self.only, self.folder = None, Path(out or ("." if name == words.STDIN else path.parent))
        piped = self.folder == words.STDOUT
        into = bool(out) and not piped and (str(out).endswith("/") or self.folder.is_dir())
        if several and (piped or (out and self.folder.suffix and not into)):
            raise ConfigError(
                f"{printable(name)} holds {len(self.entries):,} files, {out} is one",
                hint="-o FOLDER/ takes all",
            )
        if not several and not into and (out is not None or name == words.STDIN):
            self.only = words.STDOUT if out is None else self.folder
            said, suffix = self.only.suffix.lower(), first and self._suffix(first)
            if suffix and said != suffix and said in {".npy", ".npz", *SUFFIXES}:
                raise ConfigError(
                    f"{printable(name)} comes back as a {suffix} file, not as {said} ({self.only})",
                    hint=f"-o NAME{suffix}, or -o FOLDER/",
                )

    def _suffix(self, entry: "Entry") -> str:
        from pixelcnn.codec.entries import PICTURE

        return ".png" if entry.form.kind == PICTURE else ".npy"

    def _names(self, entry: "Entry") -> list[str]:
        from pixelcnn.codec.entries import LIST

        if entry.name:
            return [entry.name]
        if entry.form.kind == LIST:
            return [
                f"{self.stem}/{entry.number:04d}-{index:04d}.npy" for index in range(entry.count)
            ]
        suffix = self._suffix(entry)
        return [self.stem if self.stem.lower().endswith(suffix) else self.stem + suffix]

    def targets(self, entry: "Entry") -> list[Path]:
        """The files of an entry."""
        names = self._names(entry)
        return [self.only] if self.only is not None else [self.folder / each for each in names]

    def check(
        self, force: bool, json: bool, taken: set[Path], model: str, read: Sequence[str]
    ) -> None:
        """Looks whether all files can be written, before any is.

        Args:
            force: whether files may be replaced, and bytes go to a terminal.
            json: whether stdout is for JSON.
            taken: the files of other ``.pxc`` files of the same command; these are added.
            model: as the user calls it.
            read: the ``.pxc`` files, likewise.

        Raises:
            ConfigError: one is there already, is read by the command, or would be written twice.
            OSError: one cannot be written.
        """
        from pixelcnn import files
        from pixelcnn.cli import output

        for entry in self.entries:
            for target in self.targets(entry):
                if target in taken and not files.is_direct(target):
                    raise ConfigError(
                        f"two files would come back as {target}",
                        hint="decompress one by one, with -o"
                        if self.only is None
                        else "-o FOLDER/ takes all",
                    )
                taken.add(target)
                output.check_target(
                    target, model, *read, json=json, replace=force, terminal=force, make=False
                )


def _restore(model: "PixelModel", reader: "Reader", place: Place) -> list[str]:
    """Writes all files of one; gives their names."""
    from pixelcnn import files
    from pixelcnn.codec.archive import unpack

    written: list[str] = []
    with progress("decompressing") as advance:
        for entry, pairs in groupby(unpack(model, reader, advance), lambda pair: pair[0]):
            contents = _contents(entry, (levels for _, levels in pairs))
            for target, content in zip(place.targets(entry), contents, strict=True):
                target.parent.mkdir(parents=True, exist_ok=True)
                files.write_atomically(target, content)
                written.append(str(target))
    return written


def _contents(entry: "Entry", levels: "Iterator[np.ndarray]") -> "Iterator[Any]":
    """The content of each file of an entry, in parts."""
    from dataclasses import replace

    from pixelcnn.cli import file_values
    from pixelcnn.codec.entries import LIST, MODES, PICTURE
    from pixelcnn.shapes import LAYOUTS

    form, shape = entry.form, entry.size.shape
    if form.kind == PICTURE:
        (some,) = levels
        yield [file_values.as_picture(form.restored(some)[0], [*MODES][form.type])]
    elif form.kind == LIST:
        single = replace(form, layout=LAYOUTS.index("chw"))
        for some in levels:
            for one in some:
                yield file_values.as_array(single, [one[None]], shape, 1)
    else:
        yield file_values.as_array(form, levels, shape, entry.count)
