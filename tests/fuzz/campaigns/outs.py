"""``--out`` at what is no ordinary file: pipes, devices, links, other modes, odd names."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from cli.conftest import make_tiny
from fuzz import children
from fuzz.case import Campaign, Case, Fault, in_process, judge
from pixelcnn import checkpoint

FULL, NULL = os.makedev(1, 7), os.makedev(1, 3)
"""Linux's /dev/full and /dev/null: nodes of our own, since a tool that fails would destroy the system's."""
NAMES = (
    "a b", "-n", "é", "a\nb", "a\x1b[2Jb", "\udcff", "x" * 240, "x" * 260, "'", "*", "%s", "..", ".", "",
    " ", "#",
    "\u202etxt", "~", "a\\b", "con", "a;b", "$(x)", "sub/x", "sub/../x", "./x", "a\x7fb",
)  # fmt: skip
SUFFIXES = (".png", ".npy", ".npz", ".gif", ".PNG", "", ".jpg", ".csv")
TARGETS = (
    "pipe", "null", "full", "link", "chain", "nowhere", "loop", "folder", "private", "readonly",
    "stdout", "locked", "name"
)  # fmt: skip


class Outs(Campaign):
    """What the user names is written to as it is: never replaced by something of another kind."""

    name = "outs"
    about = "--out at pipes, devices, links, modes and odd names (sample, complete, score)"
    full = 500
    few = 4

    def prepare(self, folder: Path) -> None:
        self.model, self.given = folder / "m.safetensors", folder / "given.png"
        checkpoint.save(make_tiny(), self.model)
        Image.new("L", (8, 8), 100).save(self.given)
        np.save(folder / "given.npy", np.zeros((2, 8, 8), np.uint8))
        self.images = folder / "given.npy"
        self.plain = {}
        for command, suffix in self.writers():
            path = folder / f"plain-{command}{suffix}"
            assert in_process(self.words(command, path)).code == 0
            self.plain[command, suffix] = path.read_bytes()

    def writers(self) -> Iterator[tuple[str, str]]:
        """Commands, and what they write."""
        yield from (("sample", suffix) for suffix in (".png", ".npy", ".npz", ".gif"))
        yield from (("complete", ".png"), ("score", ".csv"))

    def words(self, command: str, path: Path | str) -> list[str]:
        """A command that writes to a path."""
        rest = {
            "sample": ["-n", "1", "--engine", "full"],
            "complete": [str(self.given), "-n", "1", "--engine", "full"],
            "score": [str(self.images)],
        }
        return [command, str(self.model), *rest[command], "--out", str(path)]

    def run(self, case: Case) -> None:
        target = TARGETS[case.number % len(TARGETS)]
        command, suffix = case.draw.choice(list(self.writers()))
        case.tell(f"{command} to {target}{suffix}")
        umask = os.umask(0o022)
        os.umask(umask)
        getattr(self, f"_{target}")(case, command, suffix)
        now = os.umask(umask)
        if now != umask:
            raise Fault("process", f"the umask is {now:o}, was {umask:o}")

    def _written(self, case: Case, command: str, suffix: str, path: Path, target: Path) -> None:
        """Writes to a path, which has to give these bytes in the target, or refuse."""
        outcome = case.command(*self.words(command, path))
        found = target.read_bytes() if target.exists() else b""
        if outcome.code == 0 and found != self.plain[command, suffix]:
            raise Fault("content", f"exit 0, and {target.name} holds something else")

    def _pipe(self, case: Case, command: str, suffix: str) -> None:
        path, read = case.folder / f"x{suffix}", []
        os.mkfifo(path)
        reader = threading.Thread(target=lambda: read.append(path.read_bytes()), daemon=True)
        reader.start()
        outcome = case.command(*self.words(command, path))
        kept = stat.S_ISFIFO(path.lstat().st_mode)
        if not kept:
            raise Fault("content", "a pipe is replaced by a file")
        if outcome.code:
            path.write_bytes(b"")  # lets the reader go
        reader.join(5)
        if outcome.code == 0 and read != [self.plain[command, suffix]]:
            raise Fault("content", "what comes out of a pipe is not what a file would hold")

    def _device(self, case: Case, command: str, suffix: str, device: int, code: int) -> None:
        path = case.folder / f"x{suffix}"
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, device)
            with path.open("wb"):
                pass
        except PermissionError:
            case.tell("only root makes devices, and only where the file system lets it")
            return
        outcome = case.command(*self.words(command, path))
        if not stat.S_ISCHR(path.lstat().st_mode):
            raise Fault("content", "a device is replaced by a file")
        if outcome.code != code:
            raise Fault("exit code", f"{outcome.code} from a device, not {code}")

    def _null(self, case: Case, command: str, suffix: str) -> None:
        self._device(case, command, suffix, NULL, 0)

    def _full(self, case: Case, command: str, suffix: str) -> None:
        self._device(case, command, suffix, FULL, 5)

    def _link(self, case: Case, command: str, suffix: str) -> None:
        target, path = case.write(f"target{suffix}", b"old"), case.folder / f"x{suffix}"
        path.symlink_to(target.name)
        self._written(case, command, suffix, path, target)
        if not path.is_symlink():
            raise Fault("content", "a link is replaced by a file")

    def _chain(self, case: Case, command: str, suffix: str) -> None:
        (case.folder / "far").mkdir()
        target = case.write(f"far/target{suffix}", b"old")
        (case.folder / f"y{suffix}").symlink_to(f"far/{target.name}")
        path = case.folder / f"x{suffix}"
        path.symlink_to(f"y{suffix}")
        self._written(case, command, suffix, path, target)

    def _nowhere(self, case: Case, command: str, suffix: str) -> None:
        target, path = case.folder / f"made{suffix}", case.folder / f"x{suffix}"
        path.symlink_to(target.name)
        self._written(case, command, suffix, path, target)

    def _loop(self, case: Case, command: str, suffix: str) -> None:
        path = case.folder / f"x{suffix}"
        path.symlink_to(path.name)
        if case.command(*self.words(command, path)).code == 0:
            raise Fault("exit code", "0, and the link leads to itself")

    def _folder(self, case: Case, command: str, suffix: str) -> None:
        path = case.folder / f"x{suffix}"
        path.mkdir()
        if case.command(*self.words(command, path)).code == 0:
            raise Fault("exit code", "0, and there is a folder")

    def _private(self, case: Case, command: str, suffix: str) -> None:
        path, mode = (
            case.write(f"x{suffix}", b"old"),
            case.draw.choice([0o600, 0o640, 0o666, 0o755]),
        )
        path.chmod(mode)
        self._written(case, command, suffix, path, path)
        if (now := stat.S_IMODE(path.stat().st_mode)) != mode:
            raise Fault("content", f"a file of mode {mode:o} has mode {now:o}")

    def _readonly(self, case: Case, command: str, suffix: str) -> None:
        path = case.write(f"x{suffix}", b"old")
        path.chmod(0o444)
        self._written(case, command, suffix, path, path)

    def _locked(self, case: Case, command: str, suffix: str) -> None:
        place = case.folder / "locked"
        place.mkdir()
        place.chmod(0o500)
        self._written(case, command, suffix, place / f"x{suffix}", place / f"x{suffix}")

    def _name(self, case: Case, command: str, suffix: str) -> None:
        name = f"{case.draw.choice(NAMES)}{case.draw.choice([suffix, *SUFFIXES])}"
        case.command(*self.words(command, name))

    def _stdout(self, case: Case, command: str, suffix: str) -> None:
        """A link to the command's own stdout, as /dev/stdout is one, in a process of its own."""
        path, into = case.folder / f"x{suffix}", case.write("stdout", b"")
        path.symlink_to("/proc/self/fd/1")

        def write() -> int:
            os.dup2(os.open(into, os.O_WRONLY), 1)
            outcome = in_process(self.words(command, path))
            judge(outcome)
            return outcome.code

        code = children.run(write)
        if not path.is_symlink():
            raise Fault("content", "/dev/stdout would be replaced by a file")
        if code not in (0, 2) or (
            code == 0 and not into.read_bytes().startswith(self.plain[command, suffix])
        ):
            raise Fault("content", f"exit {code}, and stdout is not what a file would hold")
