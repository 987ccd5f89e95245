"""``pixelcnn data``: look at own images before training on them, and pack large sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, result, say, table

if TYPE_CHECKING:
    from pixelcnn.data import FolderReport

app = typer.Typer(
    help="""Check a folder of images, or pack it into one array.

    \b
    Examples:
      pixelcnn data check photos/ --size 32
      pixelcnn data prepare photos/ packed/ --size 32
    """,
    no_args_is_help=False,
    rich_markup_mode=None,
)

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="A folder of images, with all folders below.", show_default=False
    ),
]


@app.command()
def check(
    folder: Folder,
    size: options.Size = None,
    fit: options.Fit = None,
    json: options.Json = False,
) -> None:
    """Decode every image of a folder and report on each.

    \b
    Examples:
      pixelcnn data check photos/
      pixelcnn data check photos/ --size 32 --json

    Exit code 3 when a file cannot be used, or when sizes differ and none was given.
    """
    from pixelcnn import data

    found = data.check_folder(folder, size=options.sides(size), fit=fit or "crop")
    if json:
        emit(_as_json(found))
    else:
        rows = [(f.status, f.name, f.detail) for f in found.files if f.status != "ok"]
        if rows:
            table("", ("", "file", "what"), rows)
        if found.warning:
            say(f"warning: {found.warning}")
        result(found.summary)
        if found.hint:
            say(f"hint: {found.hint}")
    if not found.ok:
        raise typer.Exit(3)


@app.command()
def prepare(
    folder: Folder,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The new folder to write.", show_default=False)
    ],
    size: options.Size = None,
    fit: options.Fit = None,
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

    sides = options.sides(size)
    with progress("packing") as advance:
        images = data.prepare(
            folder, out, size=sides, fit=fit or "crop", skip_bad=skip_bad, callback=advance
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
    say(f"{len(images)} images of {images.shape}, {images.levels} levels; train with --data {out}")
    result(str(out))


def _as_json(found: "FolderReport") -> dict[str, Any]:
    files = [
        {"name": f.name, "status": f.status, "detail": f.detail, "notes": list(f.notes)}
        for f in found.files
    ]
    return {
        "folder": found.folder,
        "ok": found.ok,
        "images": len(found.files),
        "errors": len(found.errors),
        "problem": found.problem,
        "warning": found.warning,
        "files": files,
    }
