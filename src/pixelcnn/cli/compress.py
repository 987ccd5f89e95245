"""``pixelcnn compress``: images as files that cost what a model says, and come back to the bit."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelcnn.cli import options, words
from pixelcnn.cli.console import emit, progress, say
from pixelcnn.errors import ConfigError, ModelError, PixelCNNError
from pixelcnn.folders import at_home
from pixelcnn.text import counted

if TYPE_CHECKING:
    from pixelcnn.cli.inputs import Asked
    from pixelcnn.model import PixelModel

NUMBERS = ("files", "images", "bytes_before", "bytes_after")


def compress(
    model: options.Model,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Picture files, folders, .npy or .npz files, a named data set as mnist:test, or - for "
            "standard input.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str | None,
        options.said(
            "-o",
            "--out",
            metavar="FILE.pxc",
            help="One file for all inputs; - is standard output.",
            default="INPUT.pxc beside each input",
        ),
    ] = None,
    force: options.Force = False,
    stdout: options.Stdout = False,
    keep: Annotated[
        bool, options.said("-k", "--keep", help="Keep the inputs; they always are.", default="on")
    ] = True,
    test: options.Test = False,
    listed: options.Listed = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify",
            help="Decode all of it again and compare, before a file is there.",
        ),
    ] = True,
    label: options.TakenAs = None,
    layout: options.Layout = None,
    shard: Annotated[
        str | None,
        options.said(
            metavar="I/N",
            help="Only every N-th file, from the I-th on, each to a .pxc file of its own beside it; those "
            "that are done are skipped.",
            default="all",
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Compress images without loss, to the bits of their likelihood.

    \b
    Examples:
      pixelcnn sample runs/digits-digits -o drawn && pixelcnn compress runs/digits-digits drawn
      pixelcnn compress runs/digits-digits digits:val -o digits.pxc --no-verify

    Inputs stay. A .npy file comes back as it is, pictures as PNG files of the same pixels. What the model
    cannot stand for, as a photograph for a model of two levels, is refused. Large images become tiles.
    """
    from pixelcnn.cli import contents, models, output

    if listed:
        contents.show(inputs, json)
        return
    loaded = models.load(model, device="cpu")
    if test:
        contents.check(loaded, inputs, json)
        return
    said = words.packed_to(out, stdout)
    to = None if said is None else Path(said)
    if to is not None:
        output.refuse_read(to, model, *inputs)
    done = Compression(loaded, label, layout, verify, force, json)
    if shard is not None:
        done.each(words.shard(shard), inputs, to)
    else:
        done.all(inputs, to)
    done.say()


@dataclasses.dataclass
class Compression:
    """Inputs that are compressed one file after the other, and what is to be said of it.

    Attributes:
        model: that compresses.
        label: the class of all images.
        layout: axes of arrays.
        verify: whether all is decoded again.
        force: whether files may be replaced, and bytes go to a terminal.
        json: whether stdout is for JSON.
        written: files.
        skipped: files that were there already.
        counts: keys of ``--json`` that are numbers.
    """

    model: "PixelModel"
    label: str | None
    layout: str | None
    verify: bool
    force: bool
    json: bool
    written: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)
    counts: Counter[str] = dataclasses.field(default_factory=Counter)

    def all(self, words: Sequence[str], out: Path | None) -> None:
        """Every input to a file of its own, or all of them to one."""
        from pixelcnn.cli import inputs, output

        targets = [(words, out)] if out is not None else [([w], _beside(w)) for w in words]
        for _, target in targets:
            output.check_target(target, json=self.json, replace=self.force, terminal=self.force)
        for some, target in targets:
            found = [one for word in some for one in inputs.of(self.model, word, self.label)]
            self._write(found, target)

    def each(self, part: tuple[int, int], words: Sequence[str], out: Path | None) -> None:
        """Every n-th file to one of its own, unless that is there and good."""
        from pixelcnn.cli import inputs

        if out is not None:
            raise ConfigError("--shard writes a file for each input", hint="leave out -o and -c")
        index, count = part
        found = [one for word in words for one in inputs.of(self.model, word, self.label)]
        if any(not isinstance(one.content, Path) for one in found):
            raise ConfigError("--shard takes files and folders", hint="give them by name")
        for one in found[index - 1 :: count]:
            assert isinstance(one.content, Path)
            target = _beside(str(one.content))
            if target.exists() and not self.force and self._is_done(one, target):
                self.skipped.append(str(target))
            else:
                self._write([one], target)

    def _is_done(self, one: "Asked", target: Path) -> bool:
        """Whether a file is whole and no older than its input; refuses a whole one of something else."""
        from pixelcnn.cli import contents, output
        from pixelcnn.codec.archive import check_model

        try:
            with contents.reader(str(target)) as reader:
                reader.check()
                ours = [entry.name for entry in reader.entries] == [one.name]
                check_model(self.model, reader)
        except ModelError:
            ours = False
        except PixelCNNError:
            return False
        if not ours:
            output.check_target(target, replace=False)
        return target.stat().st_mtime >= max(each.stat().st_mtime for each in one.entries)

    def _write(self, asked: "Sequence[Asked]", target: Path) -> None:
        from pixelcnn import files
        from pixelcnn.cli import inputs
        from pixelcnn.codec.archive import pack

        with progress("reading") as advance:
            found = inputs.prepared(self.model, asked, self.label, self.layout, advance)
        with progress("compressing") as advance:
            parts = pack(self.model, found, verify=self.verify, callback=advance)
            files.write_atomically(target, self._counted(parts))
        self.written.append(str(target))
        images = sum(each.entry.count for each in found)
        self.counts.update(
            files=len(asked), images=images, bytes_before=sum(each.size for each in asked)
        )

    def _counted(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        for part in parts:
            self.counts["bytes_after"] += len(part)
            yield part

    def say(self) -> None:
        """One line on stderr, and the names of the files on stdout; or all as JSON."""
        from pixelcnn.cli import contents, output

        numbers = {key: self.counts[key] for key in NUMBERS}
        if self.json:
            lists = {"written": self.written, "skipped": self.skipped}
            emit({**lists, **numbers, "verified": self.verify})
            return
        if self.skipped:
            say(f"{counted(len(self.skipped), 'file')} there already, and good")
        if self.written or not self.skipped:
            files, _, before, after = numbers.values()
            say(contents.line(files, before, after))
        for name in self.written:
            output.done(Path(name))


def _beside(word: str) -> Path:
    """Where an input is compressed to, unless that is said."""
    if word == words.STDIN:
        return words.STDOUT
    path = at_home(word)
    if not path.name or path.name == "..":
        path = path.resolve()
    name = path.name if path.exists() else path.name.replace(":", "-")  # of a named data set
    return path.with_name(f"{name}.pxc")
