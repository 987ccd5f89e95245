"""``pixelcnn complete``: let a model draw the unknown part of given images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, result, say

if TYPE_CHECKING:
    from torch import Tensor

    from pixelcnn.model import PixelModel


def complete(
    model: options.Model,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Picture files, folders or arrays of the model's size.",
            show_default=False,
        ),
    ],
    known: Annotated[
        str,
        typer.Option(
            metavar="top|left|MASK.png",
            help="What is given: a half, or the white part of a picture of the model's size.",
        ),
    ] = "top",
    count: Annotated[
        int, typer.Option("-n", "--count", metavar="N", min=1, help="Completions of each image.")
    ] = 8,
    seed: options.Seed = 0,
    temperature: options.Temperature = 1.0,
    label: options.Label = None,
    engine: options.Engine = "auto",
    batch_size: options.BatchSize = 64,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help=".png side by side, .gif the drawing, .npy or .npz the levels, "
            "a name without suffix a folder with one PNG each. Replaced if it is there.",
        ),
    ] = Path("completions.png"),
    json: options.Json = False,
) -> None:
    """Draw the unknown part of images.

    \b
    Examples:
      pixelcnn complete runs/digits digit.png --known top
      pixelcnn complete runs/digits a.png b.png --known mask.png -n 4 --out completed/

    Known pixels never change. Pixels are drawn row by row from the top left, so a known pixel
    that comes later has no influence on those drawn before it.
    """
    from pixelcnn import checkpoint, sampling
    from pixelcnn.cli import conditions, output, pictures

    kind = output.kind_of(out)
    loaded = checkpoint.load(model)
    mask = pictures.known_pixels(known, loaded.shape)
    given = pictures.load(loaded, images)
    if pictures.later_pixels_known(mask):
        say("note: raster order ignores known pixels that come later than the drawn one")
    labels = conditions.labels(loaded, label, len(given))
    film = _film(loaded, mask) if kind == "animation" else None
    with progress("completing") as advance:

        def follow(front: int, total: int, partial: Any) -> None:
            advance(front, total)
            if film is not None:
                film(front, total, partial)

        drawn = sampling.complete(
            loaded,
            given,
            mask,
            n=count,
            seed=seed,
            temperature=temperature,
            condition=conditions.tensor(labels),
            engine=engine,
            batch_size=len(given) * count if film else batch_size,
            callback=follow,
        )
    files = _write(given, mask, drawn, out, kind, loaded.levels, film)
    if json:
        emit({"files": files, "shape": drawn.shape, "levels": loaded.levels, "seed": seed})
        return
    say(f"{count} completions of each of {len(given)} images, seed {seed}")
    result(str(out))


def _film(model: "PixelModel", mask: "Tensor") -> Any:
    from pixelcnn.cli.film import Film

    return Film(model.shape, model.levels, known=mask)


def _write(
    given: "Tensor", mask: "Tensor", drawn: "Tensor", out: Path, kind: str, levels: int, film: Any
) -> list[Path]:
    from pixelcnn import plotting
    from pixelcnn.cli import output

    if kind == "folder":
        return output.save_each(drawn, out, levels, name="completion")
    if kind == "array":
        output.save_array(drawn, out)
    elif kind == "animation":
        film.save(out, columns=len(drawn) // len(given))
    else:
        output.save_picture(plotting.completions(given, mask, drawn, levels), out)
    return [out]
