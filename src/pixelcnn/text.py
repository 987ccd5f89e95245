"""Text that others wrote, such as file names, made fit for a terminal, a page and a spreadsheet.

A terminal obeys control characters: they can hide lines, change its title, even have it type. Format
characters (Unicode's Cf) turn the direction of text, so that a name reads as another. Both are spelt out;
letters of all scripts, marks and spaces stay.
"""

import html
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
FORMULA = ("=", "+", "-", "@")
"""How a cell begins that a spreadsheet takes for a formula."""


def in_terminal() -> bool:
    """Whether what goes to stderr is seen in a terminal; a process without a console has no stderr."""
    ask = getattr(sys.stderr, "isatty", None)
    return ask is not None and bool(ask())


def printable(text: str) -> str:
    r"""Text in one line: what is no letter, mark, digit, sign or space is spelt out.

    Example:
        >>> print(printable("two" + chr(10) + "lines" + chr(27) + "[2J" + chr(0x202E) + "gnp.exe"))
        two\nlines\x1b[2J\u202egnp.exe
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _shown(c) else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """The same for several lines, whose ends stay."""
    return "\n".join(map(printable, text.split("\n")))


MOST_SAID = 300
"""Characters of what somebody else's code raises that are passed on."""


def one_line(text: str) -> str:
    r"""Newlines and other white space become blanks, control characters are spelt out.

    Example:
        >>> print(one_line("a\nb\x1b[2J"))
        a b\x1b[2J
    """
    return printable(" ".join(text.split()))


def escaped(text: str) -> str:
    """Text for a page in HTML or SVG.

    Example:
        >>> escaped("<b>" + chr(27))
        '&lt;b&gt;\\\\x1b'
    """
    return html.escape(printable_lines(text))


def cell(text: str) -> str:
    """Text for a cell of a table: a spreadsheet shows it, and never computes it.

    An apostrophe before a text that begins as a formula does is what OWASP recommends ("CSV injection"), and
    what spreadsheets themselves write; another program takes it off again. Numbers are no text.

    Example:
        >>> cell("=1+1.png"), cell("-5.png"), cell("a=b.png")
        ("'=1+1.png", "'-5.png", 'a=b.png')
    """
    shown = printable(text)
    begins = unicodedata.normalize("NFKC", shown.lstrip())  # full-width signs count, too
    return f"'{shown}" if begins.startswith(FORMULA) else shown


def counted(number: int, what: str) -> str:
    """So many things.

    Example:
        >>> counted(1, "file"), counted(1_234, "file")
        ('1 file', '1,234 files')
    """
    return f"{number:,} {what}{'s' * (number != 1)}"


def as_word(path: object) -> str:
    """A path as a word of a command line, to be pasted: quoted where a shell wants it, and never an option.

    Example:
        >>> as_word("runs/mine"), as_word("my photos"), as_word("-x")
        ('runs/mine', "'my photos'", './-x')
    """
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def place(name: str, names: Sequence[str]) -> int | None:
    """Where a name stands, however its accents are composed; the case of letters counts only if it has to.

    Example:
        >>> place("MASS", ["age", "mass"]), place("Age", ["age", "AGE"])
        (1, None)
    """
    composed = [unicodedata.normalize("NFC", each) for each in (name, *names)]
    for wanted, *known in (composed, map(str.casefold, composed)):
        if known.count(wanted) == 1:
            return known.index(wanted)
    return None


def by_reason(found: Iterable[tuple[T, str]]) -> dict[str, list[T]]:
    """What each reason is given for, in the order of the reasons.

    Example:
        >>> by_reason([(3, "is empty"), (5, "is cut short"), (7, "is empty")])
        {'is empty': [3, 7], 'is cut short': [5]}
    """
    reasons: dict[str, list[T]] = {}
    for item, reason in found:
        reasons.setdefault(reason, []).append(item)
    return reasons


def _shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"
