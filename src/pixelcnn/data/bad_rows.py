"""What to say of rows of a table that cannot be used, and what to do about them."""

import logging
import re

from pixelcnn.data.parsing import SEPARATORS, Dialect
from pixelcnn.data.reading import typed
from pixelcnn.errors import DataError
from pixelcnn.text import by_reason, counted

log = logging.getLogger("pixelcnn")

Bad = list[tuple[int, str]]
"""Numbers of lines that are no rows, with the reason."""
NAMED, REASONS, MANY = 3, 4, 10
"""Bad rows of one reason that a message names, reasons that it names, and rows that are not bad by chance."""
NOTHING = re.compile(r"'(?:nan|na|n/a|null|none)?' in column (\d+)", re.IGNORECASE)
"""A bad value that stands for none."""
WORD = re.compile(r"'(?!nan')[a-z][^']*' in column (\d+)", re.IGNORECASE)
"""A bad value that is a word."""
WHOLE = re.compile(r"'[0-9]+\.0*' in column")
"""A bad value that is a whole number, as pandas writes those of a column with a gap."""
REAL = re.compile(r"'[+-]?[0-9]*[.,]?[0-9]+(e[+-]?[0-9]+)?(\.\.\.)?' in column", re.IGNORECASE)
"""A bad value that is a number nevertheless, perhaps shortened."""


def refuse_rows(bad: Bad, where: str, skip_bad: bool, dialect: Dialect) -> None:
    """Names bad rows by line, and raises unless they are to be skipped."""
    count, named = counted(len(bad), "bad row"), _named(bad)
    comma = dialect.separator == b","
    kind = "" if comma else f" (columns separated by {SEPARATORS[dialect.separator]})"
    if not skip_bad:
        raise DataError(f"{where}: {count}{kind}: {named}", hint=_remedy(bad, dialect))
    log.warning("%s: %s skipped%s: %s", where, count, kind, named)


def _remedy(bad: Bad, dialect: Dialect) -> str:
    """What to do about bad rows, by what they have in common."""
    hint = "mend or remove these lines, or leave them out: --skip-bad (in Python skip_bad=True)"
    nothing, words = (
        {found[found.lastindex or 0] for _, reason in bad if (found := kind.match(reason))}
        for kind in (NOTHING, WORD)
    )
    real = [] if dialect.real else [reason for _, reason in bad if REAL.match(reason)]
    many = len(bad) >= MANY
    if many and len(nothing) == 1:
        hint = f"remove column {nothing.pop()}, or say what stands for nothing: frame.fillna(0); else {hint}"
    elif many and len(words) == 1:
        hint = f"classes are whole numbers, or all words: see column {words.pop()}; else {hint}"
    if real and all(map(WHOLE.match, real)):
        return (
            f"whole numbers are written without a point: frame.fillna(0).astype(int); else {hint}"
        )
    if real:
        levels = f"say how they become levels with {typed('quantise')}"
        whole = "write whole ones without a point, as by np.savetxt(…, fmt='%d')"
        return f"real numbers: {levels}, or {whole}; else {hint}"
    return hint


def _named(bad: Bad) -> str:
    """Bad rows by their lines, those of one reason together."""
    reasons = list(by_reason(bad).items())
    parts = []
    for reason, lines in reasons[:REASONS]:
        rest = f" and {len(lines) - NAMED:,} more" if len(lines) > NAMED else ""
        numbers = f"line{'s' * (len(lines) > 1)} {', '.join(map(str, lines[:NAMED]))}{rest}"
        parts.append(f"{numbers}: {reason}")
    others = sum(len(lines) for _, lines in reasons[REASONS:])
    return "; ".join(parts) + (f"; and {others:,} more" if others else "")
