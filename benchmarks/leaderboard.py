"""The rows of LEADERBOARD.md: which of them are records, and the tables that they make."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.significance import p_value
from benchmarks.tracks import TRACKS, Track

BOARD = Path(__file__).parents[1] / "LEADERBOARD.md"
ROWS = Path(__file__).with_name("leaderboard.jsonl")
MARK = "<!-- python -m benchmarks speedrun --board -->"
"""Before and after the tables of the board, which are made of the rows."""
SIGNIFICANT = 0.01
TOLERANCE = 1.02
"""Of a limit on the time: a training ends between two steps."""

Json = dict[str, Any]


def judged(row: Json, before: Json | None) -> Json:
    """Whether a row is a record, and the chance that its runs only happen to look like one.

    Args:
        row: with its runs.
        before: the record that stands.
    """
    track = TRACKS[row["track"]]
    figures = [each["figure"] for each in row["runs"]]
    if track.target is not None:
        p = p_value(figures, track.target)
        better = before is None or row["seconds"] < before["seconds"]
    else:
        against = before["figure"] if before else None
        p = None if against is None else p_value(figures, against)
        in_time = row["seconds"] <= TOLERANCE * (track.limit or 0)
        better = in_time and (against is None or row["figure"] < against)
        if before is None:
            return {"p": None, "record": better and len(figures) > 1}
    return {"p": p, "record": better and p is not None and p < SIGNIFICANT}


def rows() -> list[Json]:
    """The rows of the board, in the order in which they came."""
    return [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]


def standing(track: str) -> Json | None:
    """The last record of a track."""
    found = [row for row in rows() if row["track"] == track and row["record"]]
    return found[-1] if found else None


def append(row: Json, path: Path) -> None:
    """Adds a row to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def board(found: Sequence[Json]) -> str:
    """The tables: a track each, with the best first."""
    parts = []
    for name, track in TRACKS.items():
        mine = [row for row in found if row["track"] == name]
        mine.sort(key=lambda row: row["figure"] if track.target is None else row["seconds"])
        head = [line(COLUMNS), "|" + "---|" * len(COLUMNS)]
        body = [*head, *(line(cells(row, track)) for row in mine)] if mine else ["No row yet."]
        parts.append(
            f"## `{name}`\n\n{track.about[0].upper()}{track.about[1:]}.\n\n" + "\n".join(body)
        )
    return "\n\n".join(parts)


COLUMNS = (
    "who, recipe", "seconds", "figure, runs", "p", "record", "parameters", "processor",
    "command, commit", "note",
)  # fmt: skip


def line(texts: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(texts)} |"


def cells(row: Json, track: Track) -> tuple[str, ...]:
    """A row as Markdown."""
    figures = [each["figure"] for each in row["runs"]]
    digits = 4 if track.unit != "nats" else 2
    spread = f" ± {statistics.stdev(figures):.{digits}f}" if len(figures) > 1 else ""
    return (
        f"{row['contender']}, `{row['recipe']}`",
        f"{row['seconds']:.0f}",
        f"{row['figure']:.{digits}f}{spread} {track.unit}, {len(figures)}",
        "-" if row["p"] is None else f"{row['p']:.2g}",
        "yes" if row["record"] else "no",
        f"{row['parameters']:,}",
        row["processor"],
        f"`{row['command']}`, `{row['commit']}`",
        row["note"] or "-",
    )


def with_board(page: str, found: Sequence[Json]) -> str:
    """The page with its tables made anew."""
    head, _, rest = page.partition(MARK)
    _, _, tail = rest.partition(MARK)
    return f"{head}{MARK}\n\n{board(found)}\n\n{MARK}{tail}"
