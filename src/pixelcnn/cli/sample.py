"""``pixelcnn sample``: draw images from a trained model."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, say
from pixelcnn.shapes import MAX_IMAGES
from pixelcnn.text import counted


def sample(
    model: options.Model,
    count: Annotated[
        int | None,
        options.said(
            "-n",
            "--count",
            metavar="N",
            min=1,
            max=MAX_IMAGES,
            help="Images; of several conditions, of each.",
            default="16; 1 of each condition of a file, 4 of each value of a range",
        ),
    ] = None,
    seed: options.Seed = 0,
    temperature: options.Temperature = 1.0,
    label: options.Label = None,
    condition: options.Condition = None,
    size: Annotated[
        str | None,
        options.said(
            metavar="HEIGHTxWIDTH",
            help="Larger or smaller images than those of the training; one number means a square.",
            default="the model's",
        ),
    ] = None,
    engine: options.Engine = "auto",
    batch_size: options.BatchSize = 64,
    device: options.Device = None,
    written: options.As = None,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help=".png a grid, .gif the drawing, .npy or .npz the levels or values (n, c, h, w), "
            "a name without suffix a folder with one PNG each. Replaced if it is there.",
        ),
    ] = Path("samples.png"),
    json: options.Json = False,
) -> None:
    """Draw images from a model.

    \b
    Examples:
      pixelcnn sample runs/digits-digits -n 64 --seed 7
      pixelcnn sample runs/digits-digits --out drawing.gif

    The same seed draws the same images, whatever the batch size. A model of vectors or maps is told what
    to draw: --condition mass=2.5,age=1, or mass=1:5,age=1 for a table whose columns walk the mass.
    """
    import torch

    from pixelcnn import plotting, sampling
    from pixelcnn.cli import apart, conditions, film, models, output

    apart.check_apart(out := options.target(out), model, condition)
    kind = output.kind_of(out, json=json)
    loaded = models.of_size(models.load(model, device=device), options.sides(size))
    unit = output.written_as(written, kind, loaded)
    given = conditions.given(loaded, label, condition, count)
    count, columns = given.count, given.columns
    output.check_room(kind, out, count, loaded, columns or 0, unit=unit)
    output.say_what_is_lost(kind, loaded)
    shot = film.Film(loaded.shape, loaded.levels) if kind == "animation" else None
    with progress("drawing") as advance:
        drawn: Iterable[Any] = sampling.batches(
            loaded, count, seed=seed, temperature=temperature, condition=given.condition,
            **film.drawing(shot, engine, batch_size, count, advance),
        )  # fmt: skip
        if kind == "folder":
            files = output.save_each(drawn, count, out, loaded.levels)
        elif kind == "array":
            drawn = output.in_unit(drawn, unit, loaded)
            kept = conditions.as_arrays(loaded, given.condition, count)
            files = output.save_array(drawn, count, out, loaded.levels, kept)
        else:
            images = torch.cat(list(drawn))
    if shot is not None:
        files = shot.save(out, columns=columns)
    elif kind == "grid":
        files = output.save_picture(plotting.grid(images, loaded.levels, columns=columns), out)
    if json:
        facts = {"levels": loaded.levels, "as": unit, "seed": seed, "temperature": temperature}
        shape = {"shape": (count, *loaded.shape)}
        emit({"files": files, **shape, **facts, "labels": None, **given.facts})
        return
    what = f"; {given.said}" if given.said else ""
    say(f"{counted(count, 'image')} of {loaded.shape}, {loaded.levels} levels, seed {seed}{what}")
    output.done(out)
