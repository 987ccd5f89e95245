"""What lists call pictures: by names from another folder than theirs, or without suffix."""

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Sequence
from unicodedata import normalize

from pixelcnn.data.files import ImageFile


class KnownPictures:
    """Pictures by what a list may call them.

    Args:
        files: of a folder.
        stems: they may be called without suffix, too.

    Example:
        >>> from pathlib import Path
        >>> known = KnownPictures([ImageFile(Path(name), name) for name in ("cat/1.png", "dog/1.png")])
        >>> "cat/1.png" in known, "/data/pets/dog/1.png" in known, "1.png" in known
        (True, True, False)
    """

    def __init__(self, files: Sequence[ImageFile], *, stems: bool = False) -> None:
        self.stems = stems
        self.whole, self.tails = dict[str, ImageFile | None](), dict[str, ImageFile | None]()
        for file in files:
            names = {file.name, file.name.removesuffix(file.path.suffix) if stems else file.name}
            names |= {normalize("NFC", name) for name in names}  # macOS takes accents off letters
            for name in names:
                _add(self.whole, name, file)
                for tail in _tails(name):
                    _add(self.tails, tail, file)
        self.deepest = max((name.count("/") for name in self.whole), default=0)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def get(self, name: str) -> ImageFile | None:
        """The file whose name this is, or ends with, or that ends with this one's name if no other does."""
        name = plain_name(name)
        deep = "/".join(name.rsplit("/", self.deepest + 1)[-self.deepest - 1 :])
        tails = [name, deep, *_tails(deep)]
        return next(filter(None, map(self.whole.get, tails)), None) or self.tails.get(name)

    def all(self, names: Sequence[str]) -> list[ImageFile | None]:
        """The file that each name means; none where names of several folders could mean it.

        A folder that none of the names has found may be another one than it says, which no name has found,
        if a file is the only one that is called so.
        """
        plain = [plain_name(name) for name in names]
        found = [self.get(name) for name in plain]
        told = {_folder(name) for name, file in zip(plain, found, strict=True) if file}
        seen = {_folder(file.name) for file in found if file}
        for at, name in enumerate(plain):
            alone = self.tails.get(name.rpartition("/")[2])
            moved = alone is not None and _folder(alone.name) not in seen
            if found[at] is None and moved and _folder(name) not in told:
                found[at] = alone
        meant = defaultdict[str, set[str]](set)
        for name, file in zip(plain, found, strict=True):
            if file is not None:
                meant[file.name].add(name)
        return [
            file if file and (self.whole.get(name) is file or len(meant[file.name]) == 1) else None
            for name, file in zip(plain, found, strict=True)
        ]


def _add(known: dict[str, ImageFile | None], name: str, file: ImageFile) -> None:
    """Says whose name it is; nobody's if several have it."""
    known[name] = file if known.get(name, file) is file else None


def plain_name(name: str) -> str:
    """A path as it is said elsewhere, with ``/`` between its parts and none that says nothing.

    Example:
        >>> plain_name("../cats//1.png")
        'cats/1.png'
    """
    parts = posixpath.normpath(name.replace("\\", "/")).split("/")
    return "/".join(part for part in parts if part not in {"", ".."})


def _tails(name: str) -> Iterator[str]:
    """A path without its first folders, without one, two, and so on."""
    while "/" in name:
        name = name.partition("/")[2]
        yield name


def _folder(name: str) -> str:
    return name.rpartition("/")[0]
