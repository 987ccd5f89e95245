"""``pixelcnn data``: look at own images before training on them, and pack large sets."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options, words
from pixelcnn.cli.console import emit, progress, result, say, table
from pixelcnn.text import as_word, counted

if TYPE_CHECKING:
    from pixelcnn.data import DataReport
    from pixelcnn.data.survey import FileReport

ALIKE = 10
"""Files to which the same is done that are named; the others are counted, and named with ``--json``."""

app = typer.Typer(
    help="""Check data before training, or pack a folder into an array.

    \b
    Examples:
      pixelcnn data check photos/ --size 32
      pixelcnn data prepare photos/ packed/ --size 32
    """,
    no_args_is_help=False,
    rich_markup_mode=None,
)

Data = Annotated[str, typer.Argument(metavar="DATA", help=options.DATA_HELP, show_default=False)]
Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="A folder of images, with all folders below; or a table of their names and classes.",
        show_default=False,
    ),
]


@app.command()
def check(
    data: Data,
    size: options.Size = None,
    fit: options.Fit = None,
    layout: options.Layout = None,
    key: options.Key = None,
    label_column: options.LabelColumn = None,
    skip_bad: options.SkipBad = False,
    source_levels: options.SourceLevels = None,
    json: options.Json = False,
) -> None:
    """Read every image and report: bad files, shapes, levels, classes, duplicates.

    \b
    Examples:
      pixelcnn data check photos/
      pixelcnn data check digits --json

    Duplicates have the same pixels; folders train and test are compared with each other, too.
    Exit code 3 when a file cannot be used, unless --skip-bad, or when sizes differ and none was given.
    """
    from pixelcnn import data as sets

    own: Any = {"fit": fit, "layout": layout, "key": key, "skip_bad": skip_bad}
    own |= {"label_column": label_column}
    found = sets.check(data, words.sides(size), source_levels=source_levels, **own)
    if json:
        emit(_as_json(found))
    else:
        _show(found)
    if not found.ok:
        raise typer.Exit(3)


@app.command()
def prepare(
    folder: Folder,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The new folder to write.", show_default=False)
    ],
    size: options.Size = None,
    fit: Annotated[
        str | None,
        options.said(
            metavar="resize|nearest|crop|pad",
            help=f"{options.FIT_HELP} smaller ones.",
            default="resize",
        ),
    ] = None,
    label_column: options.LabelColumn = None,
    skip_bad: options.SkipBad = False,
    json: options.Json = False,
) -> None:
    """Pack a folder into one mapped array, however large.

    \b
    Examples:
      pixelcnn data prepare photos/ packed/ --size 64
      pixelcnn train --data packed/

    After an interruption the same command goes on where it was. While it works, the disk has to hold
    the images twice.
    """
    from pixelcnn import data

    sides = words.sides(size)
    with progress("packing") as advance:
        images = data.prepare(
            folder,
            out,
            size=sides,
            fit=fit or "resize",  # type: ignore[arg-type]
            label_column=label_column,
            skip_bad=skip_bad,
            callback=advance,
        )
    if json:
        emit(
            {
                "folder": str(out),
                "images": len(images),
                "shape": list(images.shape),
                "levels": images.levels,
                "classes": list(images.classes),
                "skipped": images.skipped,
            }
        )
        return
    packed = f"{counted(len(images), 'image')} of {images.shape}, {images.levels} levels"
    say(f"{packed}; train with --data {as_word(out)}")
    result(str(out))


def _show(found: "DataReport") -> None:
    """What was found, for people."""
    for folder in found.folders:
        if rows := _rows(folder.files):
            table("", ("", "file", "what"), rows)
    for fact, text in found.facts.items():
        result(f"{fact:12}  {text}")
    for folder in found.folders:
        result(folder.summary)
    for hint in dict.fromkeys(folder.hint for folder in found.folders if folder.hint):
        say(f"hint: {hint}")


def _rows(files: Sequence["FileReport"]) -> list[tuple[str, str, str]]:
    """A row for each bad file, and for the first few of those to which the same is done."""
    alike = Counter[tuple[str, ...]]()
    rows = []
    for file in files:
        kind = file.notes if file.status == "note" else ()
        alike[kind] += 1
        if file.status == "error" or (kind and alike[kind] <= ALIKE):
            rows.append((file.status, file.name, file.detail))
    more = {kind: count - ALIKE for kind, count in alike.items() if kind and count > ALIKE}
    return rows + [("note", f"and {count:,} more", ", ".join(kind)) for kind, count in more.items()]


def _as_json(found: "DataReport") -> dict[str, Any]:
    """What was found; ``folder`` and what follows it are of image files, of all parts together."""
    files = [
        {"name": f.name, "status": f.status, "detail": f.detail, "notes": list(f.notes)}
        for folder in found.folders
        for f in folder.files
    ]
    facts = ("parts", "shapes", "levels", "occurring", "classes", "duplicates", "shared")
    return {
        "folder": found.name,
        "ok": found.ok,
        "images": len(files) or sum(found.parts.values()),
        "errors": sum(len(folder.errors) for folder in found.folders),
        "problem": "; ".join(filter(None, (folder.problem for folder in found.folders))),
        "warning": "; ".join(filter(None, (folder.warning for folder in found.folders))),
        **{fact: getattr(found, fact) for fact in facts},
        "files": files,
    }
