"""``pixelcnn reproduce``: train a recipe as documented, and set the published figure beside ours."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options
from pixelcnn.cli.console import emit, progress, result, say, with_error
from pixelcnn.cli.train import trained
from pixelcnn.folders import at_home
from pixelcnn.text import counted

if TYPE_CHECKING:
    from pixelcnn.training.published import Published
    from pixelcnn.training.recipe import Recipe


def reproduce(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A recipe for which others report a figure.")
    ],
    run: Annotated[
        Path | None,
        options.said(metavar="DIR", help="The run folder.", default="runs/reproduce-RECIPE"),
    ] = None,
    settings: options.Settings = None,
    max_time: options.MaxTime = None,
    seed: options.TrainingSeed = None,
    device: options.Device = None,
    json: options.Json = False,
) -> None:
    """Train a recipe as documented, beside the published figure.

    \b
    Examples:
      pixelcnn reproduce keras-mnist
      pixelcnn reproduce uva-mnist --max-time 20m --json

    Stopped with Ctrl-C, the same command goes on. The images that report are scored once, at the end;
    what was found stays in RUN/result.json. Where the settings differ, a note says how.
    """
    from pixelcnn.training import recipe as recipes
    from pixelcnn.training.recipe import Setting
    from pixelcnn.training.result import kept, result_of
    from pixelcnn.training.train import request

    found = recipes.get(recipe)
    published = figure_of(found)
    chosen = {"max_time": max_time, "seed": seed, "device": device}
    overrides: list[Setting | str] = [
        *published.settings,
        *(settings or []),
        *(Setting("training", key, value) for key, value in chosen.items() if value is not None),
    ]
    folder = at_home(run) if run else Path("runs") / f"reproduce-{found.name}"
    again = "the same command goes on"
    trained(request(found, folder, overrides=overrides, resume=True, again=again))
    if not kept(folder, published.split):
        say(
            f"scoring all images of the part {published.split}; --max-time is for the training, and if"
            " stopped, the same command scores them anew and trains no more"
        )
    with progress("evaluating") as advance:
        ours = result_of(folder, published.split, device=device or "auto", callback=advance)
    if json:
        emit({"run": str(folder), "published": described(published), "ours": ours})
        return
    show(published, ours)
    say(f"all figures: {folder / 'result.json'}")


def figure_of(recipe: "Recipe") -> "Published":
    """The figure that a recipe's table gives.

    Raises:
        ConfigError: it gives none.
    """
    from pixelcnn.errors import ConfigError
    from pixelcnn.training import recipe as recipes

    if recipe.published is None:
        known = [name for name in recipes.names() if recipes.get(name).published]
        raise ConfigError(
            f"recipe {recipe.name} has no published figure to set beside ours",
            hint=f"these have: {', '.join(known)}; 'pixelcnn train' trains any recipe",
        )
    return recipe.published


def described(published: "Published") -> dict[str, Any]:
    """A published figure in JSON types."""
    return {
        "figure": published.figure,
        "unit": published.unit,
        "part": published.split,
        "source": published.source,
        "note": published.note,
    }


def show(published: "Published", ours: dict[str, Any]) -> None:
    """Prints both figures as aligned lines."""
    size = ours["dimensions"]
    figure = published.of(ours["nats_per_image"], size)
    stderr = ours["stderr"]  # None of one image
    error = None if stderr is None else published.of(stderr, size)
    result(f"published   {published}  ({published.source})")
    result(f"ours        {with_error(figure, error)} {published.unit}")
    apart = with_error(abs(figure - published.figure), error)
    result(
        f"difference  {apart} {published.unit} {'below' if figure < published.figure else 'above'}"
    )
    result(f"images      {ours['images']:,} of {ours['data']} ({ours['split']})")
    seconds = "" if ours["seconds"] is None else f", {ours['seconds'] / 60:.1f} min"
    result(f"trained     {counted(ours['steps'], 'step')}, {ours['epochs']:.3g} epochs{seconds}")
    result(f"model       {ours['parameters']:,} parameters")
    if published.note:
        result(f"note        {published.note}")
