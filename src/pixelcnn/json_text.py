"""JSON that every reader takes: without the NaN and Infinity that Python would write."""

import json
import math
from collections.abc import Mapping
from typing import Any


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
