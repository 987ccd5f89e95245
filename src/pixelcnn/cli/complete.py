"""``pixelcnn complete``: let a model draw the unknown part of given images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelcnn.cli import options, words
from pixelcnn.cli.console import emit, progress, say
from pixelcnn.shapes import MAX_IMAGES

if TYPE_CHECKING:
    from torch import Tensor


def complete(
    model: options.Model,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Picture files, folders, arrays, hf:NAME, or a named data set such as mnist:test.",
            show_default=False,
        ),
    ],
    known: Annotated[
        str,
        typer.Option(
            metavar="top|left|MASK.png",
            help="What is given: a half, the white part of a picture of the model's size, or an .npy mask.",
        ),
    ] = "top",
    count: Annotated[
        int,
        typer.Option(
            "-n",
            "--count",
            metavar="N",
            min=1,
            max=MAX_IMAGES,
            help="Completions of each image.",
        ),
    ] = 8,
    seed: options.Seed = 0,
    temperature: options.Temperature = 1.0,
    *,
    own: options.Given,
    limit: options.Limit = None,
    engine: options.Engine = "auto",
    batch_size: options.BatchSize = 64,
    device: options.Device = None,
    written: options.As = None,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help=".png side by side, .gif the drawing, .npy or .npz the levels or values, "
            "a name without suffix a folder with one PNG each. Replaced if it is there.",
        ),
    ] = Path("completions.png"),
    json: options.Json = False,
) -> None:
    """Draw the unknown part of images.

    \b
    Examples:
      pixelcnn sample runs/digits-digits --out drawn/ && pixelcnn complete runs/digits-digits drawn/
      pixelcnn complete runs/digits-digits drawn/sample-0000.png --known left -n 4 --out half.gif

    Known pixels never change. Pixels are drawn row by row from the top left, so a known pixel
    that comes later has no influence on those drawn before it.
    """
    from pixelcnn import known as masks
    from pixelcnn import plotting, sampling
    from pixelcnn.cli import conditions, drawing, models, output, sources

    read = (model, *images, known, own.condition)
    kind = drawing.kind_of(out := words.target(out), *read, json=json)
    loaded = models.load(model, device=device)
    mask = masks.known_pixels(known, loaded.shape)
    sets = [sources.images_for(loaded, each, own) for each in images]
    given, values = sources.together(loaded, sets, limit)
    _remark(mask)
    made = drawing.Drawing(
        loaded, kind, out, len(given) * count, columns=count, asked=written, known=mask,
        given=len(given),
    )  # fmt: skip
    with progress("completing") as advance:
        drawn = sampling.completions(
            loaded, given, mask, n=count, seed=seed, temperature=temperature, condition=values,
            **made.arguments(engine, batch_size, advance),
        )  # fmt: skip
        files = made.save(
            drawn,
            conditions.as_arrays(loaded, values, len(given), each=count),
            lambda images: plotting.completions(given, mask, images, loaded.levels),
            "completion",
        )
    if json:
        facts = {"levels": loaded.levels, "as": made.unit, "seed": seed}
        emit({"files": files, "shape": (made.count, *loaded.shape)} | facts)
        return
    say(f"{len(given)} given, {count} completions of each, seed {seed}")
    output.done(out)


def _remark(mask: "Tensor") -> None:
    """One line where a mask does not do what masks are for."""
    from pixelcnn import known

    if not mask.any():
        say("note: no pixel of the mask is white, so nothing is known")
    elif mask.all():
        say("note: all of the mask is white, so nothing is drawn")
    elif known.later_pixels_known(mask):
        say("note: raster order ignores known pixels that come later than the drawn one")
