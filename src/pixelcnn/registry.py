"""Named families that anyone can add to: networks and outputs."""

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from pixelcnn.annotations import SHOWN, shown
from pixelcnn.errors import ConfigError, UnknownName

T = TypeVar("T")
FEW, NEAR = 12, 5
"""Names that one line holds, and how many of those where there are more."""


def closest(name: str, known: list[str]) -> str:
    """``" Did you mean 'x'?"`` for a near miss, else an empty string.

    Example:
        >>> closest("bernouli", ["bernoulli", "categorical"])
        " Did you mean 'bernoulli'?"
    """
    near = difflib.get_close_matches(name[:SHOWN], known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def known(name: str, names: list[str]) -> str:
    """Names to choose from, in a line: all of a few, of many those that are nearest to a name.

    Example:
        >>> known("x", ["round", "square"])
        'known: round, square'
        >>> known("sky", ["ski", "sky-2"] + [f"row {number}" for number in range(99)])
        'known: sky-2, ski and 99 more'
    """
    if len(names) <= FEW:
        return f"known: {', '.join(names)}"
    near = difflib.get_close_matches(name[:SHOWN], names, n=NEAR, cutoff=0.5) or names[:NEAR]
    return f"known: {', '.join(near)} and {len(names) - len(near)} more"


class Registry(Generic[T]):
    """Classes under their public names.

    Example:
        >>> shapes = Registry[object]("shape")
        >>> @shapes.register("round")
        ... class Round: ...
        >>> shapes["round"].__name__, shapes.name_of(Round), list(shapes)
        ('Round', 'round', ['round'])
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator; the name is the one used in files and on the command line.

        A class that is defined anew, as by a notebook's cell that runs again or by ``reload``, takes
        the place of the one before.

        Raises:
            ConfigError: another class has this name.
        """

        def add(item: type[T]) -> type[T]:
            known = self._items.get(name, item)
            if _defined(known) != _defined(item):
                raise ConfigError(
                    f"{self.kind} {name!r} is registered twice",
                    hint=f"choose another name than that of {'.'.join(_defined(known))}",
                )
            self._items[name] = item
            return item

        return add

    def __getitem__(self, name: str) -> type[T]:
        if not isinstance(name, str) or name not in self._items:
            names, near = list(self), name if isinstance(name, str) else ""
            raise UnknownName(
                f"no {self.kind} called {shown(name)}.{closest(near, names)}",
                hint=f"{known(near, names)}, and those of your own that have been imported",
            )
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def name_of(self, item: type) -> str:
        """The name a class, or one that has taken its place since, was registered under."""
        for name, known in self._items.items():
            if known is item or _defined(known) == _defined(item):
                return name
        raise UnknownName(
            f"{item.__name__} is not a registered {self.kind}",
            hint=f"give it a name above its class, as by @{self.kind.upper()}S.register('my-{self.kind}'),"
            f" see docs/extending.md; known: {', '.join(self)}",
        )


def _defined(item: type) -> tuple[str, str]:
    """Where a class is defined."""
    return item.__module__, item.__qualname__
