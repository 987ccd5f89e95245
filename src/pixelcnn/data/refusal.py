"""What to say of files that cannot be used, and what to do about them."""

from collections.abc import Sequence

from pixelcnn.data.files import ALONE
from pixelcnn.data.geometry import SMALLER
from pixelcnn.data.picture import REAL, TOO_LARGE, WIDE
from pixelcnn.data.quantise import SOURCE
from pixelcnn.data.reading import QUANTISED, WITHOUT, typed
from pixelcnn.errors import DataError
from pixelcnn.text import by_reason, counted, printable

COLOUR = "is in colour, but grey images are needed"
BEYOND = "holds the value"
NAMED = 4
"""Reasons that one message names, each with a file; the log and the report name all."""


def refusal(bad: Sequence[tuple[str, str]], total: int, where: str) -> DataError:
    """The error of files that cannot be used, and are not to be skipped.

    Args:
        bad: their names, and what is wrong with each, to follow the name.
        total: files in all.
        where: they lie; the name of the file, where it is the only one.

    Example:
        >>> print(refusal([("a.png", "is empty")], 1, "a.png"))
        a.png is empty
        >>> print(refusal([("a.png", "is empty")], 3, "cats"))
        cats: 1 of 3 files cannot be used: a.png is empty
    """
    reasons = by_reason((printable(name), error) for name, error in bad)
    named = "; ".join(
        f"{names[0]} {error}" + (f" (and {len(names) - 1} more)" if names[1:] else "")
        for error, names in list(reasons.items())[:NAMED]
    )
    if more := sum(map(len, list(reasons.values())[NAMED:])):
        named += f"; and {more} more"
    hint = remedy([error for _, error in bad])
    if len(bad) < total:
        hint += f", or leave {'it' if len(bad) == 1 else 'them'} out: {typed('skip_bad')}"
    hint += ", `pixelcnn data check` lists them all" if more else ""
    if total == 1 and printable(bad[0][0]) == where:
        return DataError(named, hint=hint)
    which = f"{len(bad)} of {counted(total, 'file')} cannot be used"
    if len(bad) == total:
        which = (
            "its only file cannot be used" if total == 1 else f"none of {total:,} files can be used"
        )
    return DataError(f"{where}: {which}: {named}", hint=hint)


def remedy(errors: Sequence[str]) -> str:
    """What to do about files, from what is wrong with each."""
    if all(SMALLER in error for error in errors):
        return "--fit resize or --fit pad takes smaller ones (in Python fit=)"
    if all(error.endswith((REAL, WIDE)) for error in errors):
        return QUANTISED
    if all(error == COLOUR for error in errors):
        return f"{typed('grey')} makes them grey"
    if all(error == ALONE for error in errors):
        return f"move them into one, take all without labels: {WITHOUT}"
    if all(BEYOND in error for error in errors):
        return f"say how many levels the values have, 256 if they fill their range, with {SOURCE}"
    them = "it" if len(errors) == 1 else "them"
    if all(error.startswith(TOO_LARGE) for error in errors):
        return f"scale {them} down, cut {them} into parts, or store {them} as .npy"
    return f"mend or remove {them}"
