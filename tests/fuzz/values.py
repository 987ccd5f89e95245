"""Values that nobody expects: of JSON, of TOML, of options, and names of files."""

import math
import random
from typing import Any

ESCAPE = "\x1b]0;owned\x07\x1b[2J"
"""Sets the title of a terminal and clears it."""
PATHS = (
    "/dev/zero", "/dev/null", "/dev/stdin", "/etc/passwd", "/proc/self/mem", "../../x", "~", "~nobody/x", ".",
    "/", "a\0b", "x" * 300, "runs", "C:\\x", "file:///etc/passwd", "http://127.0.0.1:1/x",
)  # fmt: skip
TEXTS: tuple[str, ...] = (
    "", " ", "a", "none", "null", "true", "nan", "inf", "-", "--", "-1", "0", "1", "1e400", "0x10", "1_000",
    "9" * 5_000, "٣", "½", "digits", "auto", "\n", "a\nb", "\x7f", "\x9b2J", ESCAPE, "\u202etxt.exe",
    "\ud800",
    "é" * 300, "😀", "x" * 100_000, "=1+1", "%s%n", "{0}", "${HOME}", "<script>", *PATHS,
)  # fmt: skip
WHOLE = (
    0, 1, -1, 2, 3, 5, 7, 8, 16, 63, 64, 65, 127, 128, 255, 256, 257, 1_000, 4_096, 16_384, 16_385, 65_535,
    65_536, 65_537, 1_000_000, 1_000_001, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    -(2**63),
    10**30, 10**400,
)  # fmt: skip
REAL = (0.0, -0.0, 0.5, 1.0, 1.5, -0.5, 3.0, 1e-320, 1e308, math.inf, -math.inf, math.nan)


def nested(draw: random.Random, depth: int = 3) -> Any:
    """A list or table of such values, perhaps inside one another."""
    size = draw.choice([0, 1, 2, 3, 4, 65])
    below = [json_value(draw, depth - 1) for _ in range(size)]
    if draw.random() < 0.6:
        return below
    return {draw.choice(TEXTS): item for item in below}


def deep(levels: int = 900) -> Any:
    """Lists in lists."""
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


def json_value(draw: random.Random, depth: int = 3) -> Any:
    """Any value of JSON, most of them odd; Python's reader takes NaN and infinity, too."""
    kind = draw.randrange(12)
    if kind < 4:
        return draw.choice(WHOLE)
    if kind < 6:
        return draw.choice(REAL)
    if kind < 8:
        return draw.choice(TEXTS)
    if kind < 10 and depth > 0:
        return nested(draw, depth) if draw.random() < 0.95 else deep()
    return draw.choice([None, True, False])


def near(draw: random.Random, value: Any) -> Any:
    """Something like a value that is there: of the same type, but larger, smaller, longer or shorter."""
    if isinstance(value, bool) or value is None:
        return draw.choice([True, False, None, 0, 1, "true"])
    if isinstance(value, int):
        return draw.choice([value + 1, value - 1, 2 * value, -value, value * 10**6, *WHOLE])
    if isinstance(value, float):
        return draw.choice([value * 10, -value, value + 1, *REAL])
    if isinstance(value, str):
        return draw.choice([value.upper(), value[:-1], value + " ", value * 50, *TEXTS])
    if isinstance(value, list) and value:
        kind = draw.randrange(5)
        if kind == 0:
            return value[:-1]
        if kind == 1:
            return value * draw.choice([2, 3, 100])
        if kind == 2:
            return value[::-1]
        at = draw.randrange(len(value))
        return [*value[:at], near(draw, value[at]), *value[at + 1 :]]
    return json_value(draw)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in nested tables and lists, as keys to follow; of a list its first few items.

    Example:
        >>> places({"a": [1, 2], "b": {"c": 3}})
        [('a',), ('a', 0), ('a', 1), ('b',), ('b', 'c')]
    """
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = list(enumerate(value))[:3]
    found = []
    for key, below in items:
        found += [(*path, key), *places(below, (*path, key))]
    return found


def altered(draw: random.Random, tree: Any) -> str:
    """Changes one thing in nested tables, in place, and says what.

    Args:
        draw: decides what becomes of what.
        tree: JSON that belongs to the caller alone.
    """
    found = places(tree)
    if not found:
        return "nothing is left to change"
    path = draw.choice(found)
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    key, where = path[-1], "/".join(map(str, path))
    kind = draw.randrange(10)
    if kind == 0 and isinstance(parent, dict):
        del parent[key]
        return f"{where} is gone"
    if kind == 1 and isinstance(parent, dict):
        more = draw.choice([*TEXTS[:12], "name", "width", "levels"])
        parent[more] = json_value(draw)
        return f"{where} has {more[:40]!r} beside it"
    parent[key] = near(draw, parent[key]) if kind < 6 else json_value(draw)
    return f"{where} is {repr_of(parent[key])}"


def repr_of(value: Any) -> str:
    """A value in at most a few words."""
    try:
        text = ascii(value)
    except (RecursionError, ValueError):  # lists too deep, numbers too long
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
