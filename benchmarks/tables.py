"""Tables in Markdown, so that a run's output can go into a document as it is."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned Markdown; the first column to the left, all others to the right.

    Example:
        >>> print(table(("way", "s"), [("naive", "12.0"), ("native", "0.1")]))
        | way    |    s |
        |:-------|-----:|
        | naive  | 12.0 |
        | native |  0.1 |
    """
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    rule = [":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])]
    lines = [_line(row, widths) for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "|".join(rule) + "|", *lines[1:]])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.rjust(width) if i else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "| " + " | ".join([first, *rest]) + " |"


def short(number: float) -> str:
    """Three digits, or whole thousands.

    Example:
        >>> [short(x) for x in (0.01234, 1.0, 98.76, 123.4, 5678.9)]
        ['0.0123', '1.00', '98.8', '123', '5,679']
    """
    if number == 0:
        return "0"
    if number >= 99.95:
        return f"{number:,.0f}"
    digits = 1 if number >= 9.995 else 2 if number >= 0.9995 else 3 if number >= 0.09995 else 4
    return f"{number:.{digits}f}"
