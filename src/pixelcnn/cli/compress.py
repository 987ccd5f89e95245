"""``pixelcnn compress``: images as files that cost what a model says, and come back to the bit."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, say
from pixelcnn.errors import ConfigError, ModelError, PixelCNNError
from pixelcnn.folders import at_home
from pixelcnn.text import counted

if TYPE_CHECKING:
    from pixelcnn.cli.inputs import Asked
    from pixelcnn.model import PixelModel

TERMINAL = "-f writes there all the same; -o FILE writes a file"


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
        Path | None,
        options.said(
            "-o",
            "--out",
            metavar="FILE.pxc",
            help="One file for all inputs; - is standard output.",
            default="INPUT.pxc beside each input",
        ),
    ] = None,
    force: Annotated[
        bool, options.said("-f", "--force", help="Replace files that are there.", default="off")
    ] = False,
    stdout: Annotated[
        bool, options.said("-c", "--stdout", help="Write to standard output.", default="off")
    ] = False,
    keep: Annotated[
        bool, options.said("-k", "--keep", help="Keep the inputs; they always are.", default="on")
    ] = True,
    test: Annotated[
        bool,
        options.said(
            "-t",
            "--test",
            help="INPUTs are .pxc files: decode them, and write nothing.",
            default="off",
        ),
    ] = False,
    listed: Annotated[
        bool, options.said("-l", "--list", help="INPUTs are .pxc files: list them.", default="off")
    ] = False,
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
    from pixelcnn.cli import apart, contents, models

    if listed:
        contents.show(inputs, json)
        return
    loaded = models.load(model, device="cpu")
    if test:
        contents.check(loaded, inputs, json)
        return
    to = None if out is None else options.target(out)
    if stdout and to not in {None, options.STDOUT}:
        raise ConfigError("-c and -o would both say where to write", hint="leave out one of them")
    to = options.STDOUT if stdout else to
    if to is not None:
        apart.check_apart(to, model, *inputs)
    done = Compression(loaded, label, layout, verify, force, json)
    if shard is not None:
        done.each(options.shard(shard), inputs, to)
    else:
        done.all(inputs, to)
    done.say()


class Compression:
    """Inputs that are compressed one file after the other, and what is to be said of it.

    Args:
        model: that compresses.
        label: the class of all images.
        layout: axes of arrays.
        verify: whether all is decoded again.
        force: whether files may be replaced, and bytes go to a terminal.
        json: whether stdout is for JSON.
    """

    def __init__(
        self,
        model: "PixelModel",
        label: str | None,
        layout: str | None,
        verify: bool,
        force: bool,
        json: bool,
    ) -> None:
        self.model, self.label, self.layout = model, label, layout
        self.verify, self.force, self.json = verify, force, json
        self.written: list[str] = []
        self.skipped: list[str] = []
        self.files = self.images = self.before = self.after = 0

    def all(self, words: Sequence[str], out: Path | None) -> None:
        """Every input to a file of its own, or all of them to one."""
        from pixelcnn.cli import inputs

        targets = [(words, out)] if out is not None else [([w], _beside(w)) for w in words]
        for _, target in targets:
            self._check(target)
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
        from pixelcnn.cli import contents
        from pixelcnn.codec.archive import check_model

        assert isinstance(one.content, Path)
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
            check_new(target, self.force)
        return target.stat().st_mtime >= one.content.stat().st_mtime

    def _check(self, target: Path) -> None:
        from pixelcnn.cli import output

        if target == options.STDOUT:
            check_stdout(self.force, self.json)
            return
        output.make_way(target, json=self.json)
        check_new(target, self.force)

    def _write(self, asked: "Sequence[Asked]", target: Path) -> None:
        from pixelcnn import files
        from pixelcnn.cli import inputs
        from pixelcnn.codec.archive import pack

        with progress("reading") as advance:
            found = inputs.prepared(self.model, asked, self.label, self.layout, advance)
        with progress("compressing") as advance:
            parts = pack(self.model, found, verify=self.verify, callback=advance)
            counted = self._counted(parts)
            if target == options.STDOUT:
                to_stdout(counted)
            else:
                files.write_atomically(target, counted)
        self.written.append(str(target))
        self.files += len(asked)
        self.images += sum(each.entry.count for each in found)
        self.before += inputs.sized(asked)

    def _counted(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        for part in parts:
            self.after += len(part)
            yield part

    def say(self) -> None:
        """One line on stderr, and the names of the files on stdout; or all as JSON."""
        from pixelcnn.cli import contents, output

        if self.json:
            emit(self.facts())
            return
        if self.skipped:
            say(f"{counted(len(self.skipped), 'file')} there already, and good")
        if self.files or not self.skipped:
            say(contents.line(self.files, self.before, self.after))
        for name in self.written:
            if name != str(options.STDOUT):
                output.done(Path(name))

    def facts(self) -> dict[str, Any]:
        """Keys of ``--json``."""
        return {
            "written": self.written,
            "skipped": self.skipped,
            "files": self.files,
            "images": self.images,
            "bytes_before": self.before,
            "bytes_after": self.after,
            "verified": self.verify,
        }


def _beside(word: str) -> Path:
    """Where an input is compressed to, unless that is said."""
    if word == options.STDIN:
        return options.STDOUT
    path = at_home(word)
    if not path.name or path.name == "..":
        path = path.resolve()
    return path.with_name(
        path.name.replace(":", "-") + ".pxc" if not path.exists() else f"{path.name}.pxc"
    )


def check_new(target: Path, force: bool) -> None:
    """Refuses to replace a file without ``-f``; what is no regular file is written into.

    Raises:
        ConfigError: it is there.
    """
    from pixelcnn import files

    if not force and target.exists() and not files.is_direct(target):
        raise ConfigError(f"{target} is there already", hint="-f replaces it, -o names another")


def check_stdout(force: bool, json: bool) -> None:
    """Refuses to write bytes to a terminal without ``-f``, or where JSON is to come, or nothing can.

    Raises:
        ConfigError: it does.
        OSError: standard output is closed.
    """
    from pixelcnn import files

    if json:
        raise ConfigError("-c and --json would both be stdout", hint="choose a file with -o")
    if not force and sys.stdout.isatty():
        raise ConfigError("standard output is a terminal, and these are bytes", hint=TERMINAL)
    files.check_target(options.STDOUT)


def to_stdout(parts: Iterator[bytes]) -> None:
    """Writes bytes to standard output."""
    sys.stdout.flush()
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
