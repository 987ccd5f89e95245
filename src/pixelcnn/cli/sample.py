"""``pixelcnn sample``: draw images from a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, result, say

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel


def sample(
    model: options.Model,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", min=1, help="Images.")] = 16,
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
            help=".png a grid, .gif the drawing, .npy or .npz the levels (n, c, h, w), "
            "a name without suffix a folder with one PNG each. Replaced if it is there.",
        ),
    ] = Path("samples.png"),
    json: options.Json = False,
) -> None:
    """Draw images from a model.

    \b
    Examples:
      pixelcnn sample runs/digits -n 64 --seed 7
      pixelcnn sample runs/digits --out drawing.gif

    The same seed draws the same images, whatever the batch size.
    """
    from pixelcnn import checkpoint, sampling
    from pixelcnn.cli import conditions, output

    kind = output.kind_of(out)
    loaded = checkpoint.load(model)
    labels = conditions.labels(loaded, label, count)
    film = _film(loaded) if kind == "animation" else None
    with progress("drawing") as advance:

        def follow(front: int, total: int, images: Any) -> None:
            advance(front, total)
            if film is not None:
                film(front, total, images)

        images = sampling.sample(
            loaded,
            count,
            seed=seed,
            temperature=temperature,
            condition=conditions.tensor(labels),
            engine=engine,
            # All images of an animation appear together.
            batch_size=count if film else batch_size,
            callback=follow,
        )
    files = _write(images, out, kind, loaded.levels, labels, film)
    if json:
        emit(
            {
                "files": files,
                "shape": images.shape,
                "levels": loaded.levels,
                "seed": seed,
                "temperature": temperature,
                "labels": labels,
            }
        )
        return
    say(f"{count} images of {loaded.shape}, {loaded.levels} levels, seed {seed}")
    result(str(out))


def _film(model: "PixelModel") -> Any:
    from pixelcnn.cli.film import Film

    return Film(model.shape, model.levels)


def _write(
    images: Any, out: Path, kind: str, levels: int, labels: list[int] | None, film: Any
) -> list[Path]:
    from pixelcnn import plotting
    from pixelcnn.cli import output

    if kind == "folder":
        return output.save_each(images, out, levels)
    if kind == "array":
        output.save_array(images, out, labels)
    elif kind == "animation":
        film.save(out)
    else:
        output.save_picture(plotting.grid(images, levels), out)
    return [out]
