"""The cache of native libraries: cut, flipped, swapped, linked, with odd modes and owners."""

import inspect
import os
from pathlib import Path

from fuzz import children, mutation
from fuzz.case import Campaign, Case, Fault
from pixelcnn import compiling
from pixelcnn.compiling import NotBuilt

SOURCES = {"answer.cpp": b'extern "C" int answer() { return 42; }\n'}
FOREIGN = {"answer.cpp": b'extern "C" int answer() { return 666; }\n'}
TAKEN = len(inspect.signature(compiling.load).parameters)
FUNCTIONS = (("answer",),)[: TAKEN - 2]
"""What the library has, where the loader wants to know."""
RIGHT, OTHER, REFUSED = 0, 66, 67
"""How a process ends that loads the library: with ours, with another one, with a reason."""


def load(sources: dict[str, bytes] = SOURCES) -> int:
    """Loads the library and asks it, in a process of its own, as what is loaded stays."""
    try:
        answer = compiling.load("answer", sources, *FUNCTIONS).answer()
    except NotBuilt:
        return REFUSED
    return RIGHT if answer == 42 else OTHER


class Libraries(Campaign):
    """Whatever lies in the cache, ours is built anew or there is a reason; nothing else is ever run."""

    name = "libraries"
    about = "damaged and foreign libraries in the native cache"
    full = 200
    few = 2

    def prepare(self, folder: Path) -> None:
        self.base = folder / "cache"
        os.environ["XDG_CACHE_HOME"] = str(self.base)
        if (code := children.run(load)) != RIGHT:
            raise Fault("campaign", f"no library is built here: {code}")
        os.environ["XDG_CACHE_HOME"] = str(folder / "foreign")
        children.run(lambda: load(FOREIGN))
        (self.foreign,) = (folder / "foreign").rglob("*.so")

    def run(self, case: Case) -> None:
        import shutil

        shutil.copytree(self.base, case.folder / "cache")
        os.environ["XDG_CACHE_HOME"] = str(case.folder / "cache")
        (library,) = (case.folder / "cache").rglob("*.so")
        kind = KINDS[case.number % len(KINDS)]
        case.tell(kind)
        getattr(self, f"_{kind}")(case, library)
        for turn in range(2):
            code = children.run(load)
            if code < 0 or code not in (RIGHT, REFUSED):
                said = "another library runs" if code == OTHER else f"the process ends with {code}"
                raise Fault("content" if code == OTHER else "crash", f"{kind}: {said}")
            case.tell(f"load {turn}: {code}")

    def _damaged(self, case: Case, library: Path) -> None:
        library.write_bytes(mutation.mutated(case.draw, library.read_bytes()))

    def _cut(self, case: Case, library: Path) -> None:
        library.write_bytes(mutation.truncate(case.draw, library.read_bytes()))

    def _swapped(self, case: Case, library: Path) -> None:
        library.write_bytes(self.foreign.read_bytes())

    def _linked(self, case: Case, library: Path) -> None:
        library.unlink()
        library.symlink_to(self.foreign)

    def _writable(self, case: Case, library: Path) -> None:
        library.write_bytes(self.foreign.read_bytes())
        library.chmod(case.draw.choice([0o666, 0o777, 0o644]))
        library.parent.chmod(case.draw.choice([0o777, 0o755, 0o700]))

    def _moved(self, case: Case, library: Path) -> None:
        folder = library.parent
        folder.rename(case.folder / "elsewhere")
        (case.folder / "elsewhere" / library.name).write_bytes(self.foreign.read_bytes())
        folder.symlink_to(case.folder / "elsewhere")

    def _blocked(self, case: Case, library: Path) -> None:
        library.unlink()
        case.draw.choice(
            [library.mkdir, lambda: os.mkfifo(library), lambda: library.symlink_to("/dev/zero")]
        )()

    def _files(self, case: Case, library: Path) -> None:
        for path in sorted(library.parent.rglob("*")):
            if path.is_file() and case.draw.random() < 0.5:
                path.write_bytes(mutation.mutated(case.draw, path.read_bytes()))


KINDS = ("damaged", "cut", "swapped", "linked", "writable", "moved", "blocked", "files")
