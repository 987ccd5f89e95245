"""``pixelcnn sample``: draw images from a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from pixelcnn.cli import options, words
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
            default="16; 1 of each condition of a file, 4 of each value of a range, 1 of two",
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
    from pixelcnn import plotting, sampling
    from pixelcnn.cli import conditions, drawing, models, output

    kind = drawing.kind_of(out := words.target(out), model, condition, json=json)
    loaded = models.of_size(models.load(model, device=device), words.sides(size))
    given = conditions.given(loaded, label, condition, count)
    made = drawing.Drawing(loaded, kind, out, given.count, columns=given.columns, asked=written)
    with progress("drawing") as advance:
        drawn = sampling.batches(
            loaded, made.count, seed=seed, temperature=temperature, condition=given.condition,
            **made.arguments(engine, batch_size, advance),
        )  # fmt: skip
        files = made.save(
            drawn,
            conditions.as_arrays(loaded, given.condition, made.count),
            lambda images: plotting.grid(images, loaded.levels, columns=made.columns),
        )
    if json:
        facts = {"levels": loaded.levels, "as": made.unit, "seed": seed, "temperature": temperature}
        shape = {"shape": (made.count, *loaded.shape)}
        emit({"files": files, **shape, **facts, "labels": None, **given.facts})
        return
    what = f"; {given.said}" if given.said else ""
    say(
        f"{counted(made.count, 'image')} of {loaded.shape}, {loaded.levels} levels, seed {seed}{what}"
    )
    output.done(out)
