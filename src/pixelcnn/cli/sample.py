"""``pixelcnn sample``: draw images from a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, say


def sample(
    model: options.Model,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", min=1, help="Images.")] = 16,
    seed: options.Seed = 0,
    temperature: options.Temperature = 1.0,
    label: options.Label = None,
    engine: options.Engine = "auto",
    batch_size: options.BatchSize = 64,
    device: options.Device = None,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help=".png a grid, .gif the drawing, .npy or .npz the levels (n, c, h, w), "
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

    The same seed draws the same images, whatever the batch size.
    """
    import torch

    from pixelcnn import plotting, sampling
    from pixelcnn.cli import conditions, film, models, output

    kind = output.kind_of(out, json=json)
    loaded = models.load(model, device=device)
    output.check_room(kind, out, count, loaded)
    output.say_what_is_lost(kind, loaded)
    labels = conditions.labels(loaded, label, count)
    shot = film.Film(loaded.shape, loaded.levels) if kind == "animation" else None
    with progress("drawing") as advance:
        drawn = sampling.batches(
            loaded,
            count,
            seed=seed,
            temperature=temperature,
            condition=conditions.tensor(labels),
            **film.drawing(shot, engine, batch_size, count, advance),
        )
        if kind == "folder":
            files = output.save_each(drawn, count, out, loaded.levels)
        elif kind == "array":
            files = output.save_array(drawn, count, out, loaded.levels, labels)
        else:
            images = torch.cat(list(drawn))
    if shot is not None:
        files = shot.save(out)
    elif kind == "grid":
        files = output.save_picture(plotting.grid(images, loaded.levels), out)
    if json:
        facts = {"levels": loaded.levels, "seed": seed, "temperature": temperature}
        emit({"files": files, "shape": (count, *loaded.shape), **facts, "labels": labels})
        return
    say(f"{count} images of {loaded.shape}, {loaded.levels} levels, seed {seed}")
    output.done(out)
