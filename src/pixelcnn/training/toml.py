"""TOML, as far as recipes need it: tables of plain values. What parses it is the standard library's."""

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixelcnn.annotations import shown
from pixelcnn.errors import ConfigError

MAX_SIZE = 1_000_000
"""Bytes of a file, and characters of a text."""
MAX_DOTS = 100
"""In a line; the parser takes the square of the length of a dotted key in memory."""
NUMBERS = re.compile(r"[-+.\deE]+( *, *[-+.\deE]+)+")
"""A list without its brackets."""
LIMIT = "a recipe has at most 1 MB"
FORM = "write [table] and key = value, texts in double quotes"


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
    """A plain value as TOML writes it: finite numbers, texts and lists as JSON does.

    Raises:
        ConfigError: a text that is no Unicode.

    Example:
        >>> literal([0.9, 1e-08]), literal(True), literal('a "b"')
        ('[0.9, 1e-08]', 'true', '"a \\\\"b\\\\""')
    """
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # the name of a file may be no text
        hint = "give the file another name"
        raise ConfigError(f"{shown(value)} is no text that a recipe can hold", hint=hint) from None
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    """A character of a string; what a terminal would obey, or not show, is escaped."""
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def parse_value(text: str) -> Any:
    """The value of a ``--set``: TOML, or else the text itself, so that words need no quotes.

    ``none`` is nothing, which TOML has no word for; numbers with commas between them are a list.

    Example:
        >>> parse_value("0.5"), parse_value("[1, 2]"), parse_value("cosine"), parse_value("none")
        (0.5, [1, 2], 'cosine', None)
        >>> parse_value("0.9, 0.99")
        [0.9, 0.99]
    """
    if text == "none":
        return None
    written = f"[{text}]" if NUMBERS.fullmatch(text) else text
    try:
        table = loads(f"value = {written}", "the value")
    except ConfigError:
        return text
    return table["value"] if len(table) == 1 else text


def loads(text: str, name: str) -> dict[str, Any]:
    """Parses TOML.

    Raises:
        ConfigError: with the line; ``name`` says of what.
    """
    if len(text) > MAX_SIZE:
        raise ConfigError(f"{name}: {len(text):,} characters are too many", hint=LIMIT)
    if max(line.count(".") for line in text.split("\n")) > MAX_DOTS:
        raise ConfigError(f"{name}: not valid TOML: nested too deep", hint=FORM)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{name}: not valid TOML: nested too deep", hint=FORM) from None
    except ValueError as error:  # a TOMLDecodeError, or an integer of thousands of digits
        reason = (
            str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a number is too long"
        )
        raise ConfigError(f"{name}: not valid TOML: {reason}", hint=FORM) from error


def read(path: Path) -> str:
    """The text of a TOML file, whether it is TOML or not.

    Raises:
        ConfigError: no regular file, one that is too large, or no UTF-8.
        OSError: the system cannot read it.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ConfigError(f"{path} is no regular file", hint="give a .toml file")
        content = file.read(MAX_SIZE + 1)
    if len(content) > MAX_SIZE:
        raise ConfigError(f"{path} is larger than {MAX_SIZE:,} bytes", hint=LIMIT)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not valid TOML: {error.reason}", hint="save it as UTF-8"
        ) from error
