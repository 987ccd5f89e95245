"""Writing TOML, as far as recipes need it: tables of plain values. Reading is the standard library's."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from pixelcnn.errors import ConfigError


def dumps(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Tables of plain values as TOML; values that are None are left out.

    Example:
        >>> print(dumps({"data": {"name": "mnist", "threshold": 0.33}}), end="")
        [data]
        name = "mnist"
        threshold = 0.33
    """
    blocks = []
    for name, table in tables.items():
        lines = [f"{key} = {literal(value)}" for key, value in table.items() if value is not None]
        blocks.append("\n".join([f"[{name}]", *lines]) + "\n")
    return "\n".join(blocks)


def literal(value: Any) -> str:
    """A value as TOML writes it.

    Example:
        >>> literal([0.9, 1e-08]), literal(True), literal('a "b"')
        ('[0.9, 1e-08]', 'true', '"a \\\\"b\\\\""')
    """
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)
        return text if any(mark in text for mark in ".en") else text + ".0"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    assert isinstance(value, int), f"recipes hold plain values, not {type(value).__name__}"
    return str(value)


def parse_value(text: str) -> Any:
    """The value of a ``--set``: TOML, or else the text itself, so that words need no quotes.

    ``none`` is nothing, which TOML has no word for.

    Example:
        >>> parse_value("0.5"), parse_value("[1, 2]"), parse_value("cosine"), parse_value("none")
        (0.5, [1, 2], 'cosine', None)
    """
    if text == "none":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def loads(text: str, name: str) -> dict[str, Any]:
    """Parses TOML.

    Raises:
        ConfigError: with the line; ``name`` says of what.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from error
