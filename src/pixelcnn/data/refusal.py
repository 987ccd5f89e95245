"""What to say of files that cannot be used, and what to do about them."""

from collections.abc import Sequence

from pixelcnn.data.reading import typed
from pixelcnn.errors import DataError
from pixelcnn.text import by_reason, counted, printable

NAMED = 4
"""Reasons that one message names, each with a file; the log and the report name all."""


def refusal(bad: Sequence[tuple[str, str, str]], total: int, where: str) -> DataError:
    """The error of files that cannot be used, and are not to be skipped.

    Args:
        bad: their names, what is wrong with each, to follow the name, and what to do about it, if that is
            known.
        total: files in all.
        where: they lie; the name of the file, where it is the only one.

    Example:
        >>> print(refusal([("a.png", "is empty", "")], 1, "a.png"))
        a.png is empty
        >>> print(refusal([("a.png", "is empty", "")], 3, "cats"))
        cats: 1 of 3 files cannot be used: a.png is empty
    """
    reasons = by_reason((printable(name), error) for name, error, _ in bad)
    named = "; ".join(
        f"{names[0]} {error}" + (f" (and {len(names) - 1} more)" if names[1:] else "")
        for error, names in list(reasons.items())[:NAMED]
    )
    if more := sum(map(len, list(reasons.values())[NAMED:])):
        named += f"; and {more} more"
    them = "it" if len(bad) == 1 else "them"
    hint, *others = {hint for _, _, hint in bad}
    hint = f"mend or remove {them}" if others or not hint else hint
    if len(bad) < total:
        hint += f", or leave {them} out: {typed('skip_bad')}"
    hint += ", `pixelcnn data check` lists them all" if more else ""
    if total == 1 and printable(bad[0][0]) == where:
        return DataError(named, hint=hint)
    which = f"{len(bad)} of {counted(total, 'file')} cannot be used"
    if len(bad) == total:
        which = (
            "its only file cannot be used" if total == 1 else f"none of {total:,} files can be used"
        )
    return DataError(f"{where}: {which}: {named}", hint=hint)
