"""``pixelcnn demo``: the whole story on the embedded digits."""

import time
from pathlib import Path
from typing import Annotated

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, result, say
from pixelcnn.errors import ConfigError

FOLDER = Path("runs/demo")


def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Where pictures, model and report go.",
            show_default="runs/demo, or the next free runs/demo-N",
        ),
    ] = None,
    seed: options.Seed = 0,
    max_time: Annotated[
        str, typer.Option(metavar="TIME", help="Time for the training alone, as 45s or 10m.")
    ] = "70s",
    json: options.Json = False,
) -> None:
    """Train on small digits, then evaluate, sample, complete, score and verify: two minutes.

    \b
    Examples:
      pixelcnn demo
      pixelcnn demo --out tour --max-time 10m

    Leaves pictures and index.html, a page that explains them. Nothing is downloaded.
    """
    folder = _folder(out)
    numbers = _tell(folder, seed, max_time)
    if json:
        emit(numbers)
        return
    result(
        f"test digits   {numbers['nats_per_image']:.2f} ± {numbers['stderr']:.2f} nats/image, "
        f"{numbers['bits_per_dim']:.3f} bits/dim"
    )
    result(f"for comparison  {numbers['uniform_nats']:.2f} uniform")
    result(f"promises      {numbers['promises']}")
    result(f"look at       {numbers['report']}")


def _folder(out: Path | None) -> Path:
    """An empty or new folder: the one asked for, or the next free one."""
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out} is there already", hint="choose another folder with --out")
        return out
    number = 1
    folder = FOLDER
    while folder.exists():
        number += 1
        folder = FOLDER.with_name(f"{FOLDER.name}-{number}")
    return folder
