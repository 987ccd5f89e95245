"""JSON that every reader takes, written and read: without the NaN and Infinity that Python has."""

import json
import math
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 200
"""Of lists and objects in each other; a model that was trained on from others holds their records."""


def plain(value: Any) -> Any:
    """A value in JSON types; what is not finite becomes None, and an object its text.

    Example:
        >>> plain({"stderr": float("nan"), "shape": (1, 8, 8), 2: {"most": math.inf}})
        {'stderr': None, 'shape': [1, 8, 8], '2': {'most': None}}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return plain(value.item()) if hasattr(value, "item") else str(value)


def json_text(value: Any, indent: int | None = None) -> str:
    """What :func:`plain` makes of a value, as text: in one line, or indented for those who read it.

    Example:
        >>> json_text({"nats": float("nan")})
        '{"nats": null}'
    """
    return json.dumps(plain(value), indent=indent, allow_nan=False)


def strict_json(content: bytes | str) -> Any:
    """JSON as the standard has it, and no more of it than one can go on with.

    Raises:
        ValueError: not JSON in UTF-8; a number that is not finite, or of thousands of digits; half a
            character; lists in lists in lists.
        RecursionError: the same, by the thousand.

    Example:
        >>> strict_json('{"nats": [1e3, null]}')
        {'nats': [1000.0, None]}
        >>> strict_json('{"nats": NaN}')
        Traceback (most recent call last):
        ValueError: a number is not finite
    """
    value = json.loads(content if isinstance(content, str) else content.decode("utf-8"))
    _check_plain(value)
    return value


def _check_plain(value: Any) -> None:
    """Goes through all values without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, str):
                item.encode("utf-8")  # half of a surrogate pair has no encoding
            elif isinstance(item, float) and not math.isfinite(item):
                raise ValueError("a number is not finite")
            elif isinstance(item, dict):
                deeper += [*item, *item.values()]
            elif isinstance(item, list):
                deeper += item
        level = deeper
        if not level:
            return
    raise ValueError("lists and objects lie too deep in each other")
