"""``pixelcnn complete``: let a model draw the unknown part of given images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, say
from pixelcnn.shapes import MAX_IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from pixelcnn.cli.film import Film


def complete(
    model: options.Model,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Picture files, folders, arrays or hf:NAME.",
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
    from pixelcnn import sampling
    from pixelcnn.cli import apart, conditions, film, models, output, sources

    apart.check_apart(out := options.target(out), model, *images, known, own.condition)
    kind = output.kind_of(out, json=json)
    loaded = models.load(model, device=device)
    mask = masks.known_pixels(known, loaded.shape)
    sets = [sources.images_for(loaded, each, own) for each in images]
    given, values = sources.together(loaded, sets)
    _remark(mask)
    columns = count + (kind == "grid")  # which shows what was given, too
    unit = output.written_as(written, kind, loaded)
    output.check_room(kind, out, len(given) * columns, loaded, columns, unit)
    output.say_what_is_lost(kind, loaded)
    shot = film.Film(loaded.shape, loaded.levels, mask) if kind == "animation" else None
    with progress("completing") as advance:
        drawn = sampling.completions(
            loaded, given, mask, n=count, seed=seed, temperature=temperature, condition=values,
            **film.drawing(shot, engine, batch_size, len(given) * count, advance),
        )  # fmt: skip
        saved = output.in_unit(drawn, unit, loaded) if kind == "array" else drawn
        kept = conditions.as_arrays(loaded, values, len(given), each=count)
        files = _saved(kind, out, saved, loaded.levels, given, mask, shot, count, kept)
    if json:
        shape = (len(given) * count, *loaded.shape)
        facts = {"levels": loaded.levels, "as": unit, "seed": seed}
        emit({"files": files, "shape": shape} | facts)
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


def _saved(
    kind: str,
    out: Path,
    drawn: "Iterable[Tensor]",
    levels: int,
    given: "Tensor",
    mask: "Tensor",
    shot: "Film | None",
    count: int,
    kept: "Mapping[str, Any]",
) -> list[str]:
    """Writes completions as they are drawn, or all of them as one picture; the paths of the files."""
    import torch

    from pixelcnn import plotting
    from pixelcnn.cli import output

    if kind == "folder":
        return output.save_each(drawn, len(given) * count, out, levels, "completion")
    if kind == "array":
        return output.save_array(drawn, len(given) * count, out, levels, kept)
    together = torch.cat(list(drawn))
    if shot is not None:
        return shot.save(out, columns=count)
    return output.save_picture(plotting.completions(given, mask, together, levels), out)
