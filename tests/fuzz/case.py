"""One case of a campaign: what is handed to the tool, and the rules that hold for whatever it answers."""

import abc
import contextlib
import dataclasses
import functools
import io
import json
import os
import random
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import typer

import pixelcnn
from pixelcnn.cli import app
from pixelcnn.errors import PixelCNNError

CODES = frozenset((0, 2, 3, 4, 5, 130, 143))
"""Ends of a command that are promised; 1 stands for a failure that nobody foresaw."""
ERROR, BUG = "pixelcnn: error: ", "this is a bug"
EXHAUSTED = f"{ERROR}out of memory"
PACKAGE = str(Path(pixelcnn.__file__).parent)


class Fault(Exception):
    """A promise that was not kept: its kind, and what happened."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        try:
            return json.loads(self.out)
        except ValueError as error:
            raise Fault("stdout", f"no JSON object: {self.out[:200]!r}") from error


@dataclasses.dataclass(frozen=True)
class Verdict:
    """How a case ended: the exit code of a refusal, or 0; of a fault the kind and what happened."""

    code: int = 0
    kind: str = ""
    detail: str = ""


class Case:
    """One case: its random numbers, its folder, and the rules for every use of the tool in it.

    Attributes:
        seed: of the run.
        number: of the case in its campaign.
        draw: random numbers that depend on the seed, the campaign and the number alone.
        folder: empty, and the working folder while the case runs.
        code: the worst exit code so far.
    """

    def __init__(self, campaign: str, seed: int, number: int, folder: Path) -> None:
        self.seed, self.number, self.folder = seed, number, folder
        self.draw = random.Random(f"{seed} {campaign} {number}")
        self.code = 0

    def tell(self, line: str) -> None:
        """Notes what is done, for whoever replays the case; it is read even if the process ends here."""
        with notes_of(self.folder).open("a", encoding="utf-8") as file:
            file.write(line.encode("unicode_escape").decode() + "\n")

    def write(self, name: str, content: bytes) -> Path:
        """A file in the case's folder."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def command(self, *words: object) -> Outcome:
        """Runs ``pixelcnn`` with some words in this process, and holds it to the rules of every command.

        Raises:
            Fault: an exit code that is not promised, a bug that the tool itself calls one, memory that ran
                out, more than one error, or a control character on the terminal.
        """
        spelt = [str(word) for word in words]
        self.tell("pixelcnn " + " ".join(ascii(word)[1:-1][:200] for word in spelt))
        outcome = in_process(spelt)
        self.tell(f"exit {outcome.code}: {outcome.err.strip()[:1_000]}")
        judge(outcome)
        self.code = self.code or outcome.code
        return outcome

    def call(self, action: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Calls a function of the package; its value, or None where it refused.

        Raises:
            Fault: an exception that is none of the package's.
        """
        name = getattr(action, "__name__", str(action))
        try:
            return action(*arguments, **named)
        except PixelCNNError as error:
            self.tell(f"{name}: {type(error).__name__}: {str(error)[:500]!r}")
            self.code = self.code or error.exit_code
            return None
        except MemoryError as error:
            raise Fault(
                "memory", f"{name}: {error or 'exhausted'} at {innermost(error)}"
            ) from error
        except Exception as error:
            detail = f"{name}: {type(error).__name__}: {str(error)[:200]} at {innermost(error)}"
            raise Fault("exception", detail) from error


class Campaign(abc.ABC):
    """Attacks of one kind."""

    name: ClassVar[str]
    about: ClassVar[str]
    """What is attacked, in a few words."""
    full: ClassVar[int]
    """Cases of a full run."""
    few: ClassVar[int] = 3
    """Cases that show in a moment that the campaign itself works; 0 where no moment is enough."""
    inputs: ClassVar[int] = 1
    """Inputs that one case tries, all counted."""
    seconds: ClassVar[float] = 20.0
    """That one case may take."""
    room: ClassVar[int] = 2**29
    """Bytes of memory that one case may need beyond what the process held before it."""

    def prepare(self, folder: Path) -> None:  # noqa: B027  # most need it, not all
        """Makes what all cases start from; the folder is the campaign's own."""

    @abc.abstractmethod
    def run(self, case: Case) -> None:
        """Tries one case.

        Raises:
            Fault: a promise that was not kept.
        """


def notes_of(folder: Path) -> Path:
    """Where a case says what it does: beside its folder."""
    return folder.with_name(f"{folder.name}.txt")


def attempt(campaign: Campaign, seed: int, number: int, folder: Path) -> Verdict:
    """Runs one case in this process, in a new folder."""
    folder.mkdir(parents=True)
    case, before = Case(campaign.name, seed, number, folder), Path.cwd()
    os.chdir(folder)
    try:
        with memory_bound(campaign.room):
            campaign.run(case)
        return Verdict(case.code)
    except Fault as fault:
        return Verdict(case.code, fault.kind, fault.detail)
    except Exception as error:
        case.tell(traceback.format_exc())
        return Verdict(case.code, "campaign", f"{type(error).__name__}: {error}")
    finally:
        os.chdir(before)


def clear(folder: Path) -> None:
    """Removes a case's folder, whatever modes and links it holds, and what was said about it."""
    notes_of(folder).unlink(missing_ok=True)
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def command_line() -> Any:
    """The command as its entry point runs it."""
    return typer.main.get_command(app)


def in_process(words: list[str]) -> Outcome:
    """Runs ``pixelcnn`` in this process, with streams like those of its entry point."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2)]
    out, err = streams
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command_line().main(words, standalone_mode=False)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            detail = f"{type(error).__name__} left the command at {innermost(error)}"
            raise Fault("exception", detail) from error
    for stream in streams:
        stream.flush()
    said = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in streams]
    return Outcome(code, *said)


def judge(outcome: Outcome) -> None:
    """Holds a command's end to what is promised of every command.

    Raises:
        Fault: a promise that was not kept.
    """
    lines = [line for line in outcome.err.splitlines() if line.startswith(ERROR)]
    if BUG in outcome.err or "Traceback" in outcome.err:
        raise Fault("bug", lines[0][:200] if lines else repr(outcome.err[:200]))
    if outcome.code not in CODES:
        raise Fault("exit code", f"{outcome.code}: {lines[0][:200] if lines else ''}")
    if len(lines) > 1:
        raise Fault("errors", f"{len(lines)} of them: {lines[1][:200]}")
    if lines and lines[0].startswith(EXHAUSTED) and "batch size" not in lines[0]:
        raise Fault("memory", lines[0])
    for stream in (outcome.out, outcome.err):
        if odd := control_characters(stream):
            raise Fault("terminal", f"{odd!a} in {around(stream, odd[0])!a}")


def control_characters(text: str) -> str:
    r"""Characters that a terminal may obey, each once; a newline is none of them.

    Example:
        >>> control_characters("two\nlines"), ascii(control_characters("\x1b[2J and \x9b1m"))
        ('', "'\\x1b\\x9b'")
    """
    return "".join(sorted({c for c in text if not c.isprintable() and c != "\n"}))


def around(text: str, character: str) -> str:
    """A character and what stands beside it."""
    at = text.index(character)
    return text[max(0, at - 60) : at + 30]


def innermost(error: BaseException) -> str:
    """The place in the package's source that an exception came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f.filename.startswith(PACKAGE)]
    return f"{Path(ours[-1].filename).relative_to(PACKAGE)}:{ours[-1].name}" if ours else "?"


@contextlib.contextmanager
def memory_bound(room: int) -> Iterator[None]:
    """Measures the most memory that a block needs, where the system tells (Linux).

    Raises:
        Fault: more than ``room`` bytes beyond what the process held before.
    """
    if sys.platform != "linux":
        yield
        return
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    yield
    if (grown := resident("VmHWM") - before) > room:
        raise Fault("memory", f"{grown >> 20} MiB at once, {room >> 20} are allowed")


def resident(key: str) -> int:
    """Bytes of this process in memory: ``VmRSS`` now, ``VmHWM`` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
