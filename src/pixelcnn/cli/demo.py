"""``pixelcnn demo``: the whole story on the embedded digits."""

from pathlib import Path
from typing import Annotated

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, result, say
from pixelcnn.errors import ConfigError
from pixelcnn.folders import at_home, number_of, numbered

FOLDER = Path("runs/demo")


def demo(
    out: Annotated[
        Path | None,
        options.said(
            "-o",
            "--out",
            metavar="DIR",
            help="Where pictures, model and report go.",
            default="runs/demo, or the next free runs/demo-N",
        ),
    ] = None,
    seed: options.Seed = 0,
    max_time: Annotated[
        str, typer.Option(metavar="TIME", help="Time for the training alone, as 45s or 10m.")
    ] = "70s",
    json: options.Json = False,
) -> None:
    """See it all on small digits, in two minutes.

    \b
    Examples:
      pixelcnn demo
      pixelcnn demo --out tour --max-time 10m

    Trains, evaluates, compresses, samples, completes, scores and verifies; leaves pictures and
    index.html, a page that explains them. Nothing is downloaded.
    """
    from pixelcnn.cli import demo_run

    say(f"writing to {(folder := _folder(out))}")
    numbers = demo_run.take(folder, seed, max_time)
    if json:
        emit(numbers)
        return
    for name, value in demo_run.lines(numbers):
        result(f"{name:<14} {value}")


def _folder(out: Path | None) -> Path:
    """An empty or new folder: the one asked for, or the one behind the last."""
    if out is not None:
        out = at_home(out)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out} is there already", hint="choose another folder with --out")
        return out
    return numbered(FOLDER, number_of(FOLDER, FOLDER.parent.glob("*")) + 1)
