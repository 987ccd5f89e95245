"""``pixelcnn info``: what there is, and what is in a recipe or model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixelcnn.cli import options, words
from pixelcnn.cli.console import emit, result, say, table
from pixelcnn.errors import ConfigError, UnknownName
from pixelcnn.folders import at_home, is_there
from pixelcnn.registry import closest

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel


def info(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|MODEL|FILE.pxc",
            help="A recipe, a model file, a run folder, a file of compressed images, or the name of a "
            "model, data set, network or output.",
            show_default="list everything",
        ),
    ] = None,
    size: Annotated[
        str | None,
        options.said(
            metavar="HEIGHTxWIDTH",
            help="Recipes: the size of your images.",
            default="that of the recipe's data set",
        ),
    ] = None,
    program: Annotated[
        bool, options.switch("--program", help="Show the primitives that the engines compute.")
    ] = False,
    json: options.Json = False,
) -> None:
    """List what there is, or show a recipe or model.

    \b
    Examples:
      pixelcnn info
      pixelcnn info keras-mnist

    Shows the layers, their parameters, and what a pixel sees. Needs no data: a recipe is shown for
    the size, channels and levels of its own data set.
    """
    if name is None:
        _refuse(size, program)
        _list(json)
        return
    from pixelcnn import checkpoint
    from pixelcnn.cli import contents, inventory
    from pixelcnn.data.sets import FACTS
    from pixelcnn.training import recipe as recipes

    if contents.is_packed(name):
        _refuse(size, program)
        contents.show([name], json)
        return
    kinds = inventory.kinds(name)
    if "recipe" in kinds or name.endswith(".toml"):
        _recipe(recipes.get(name), words.sides(size), program, json)
        if name in checkpoint.shipped():
            say(f"note: {name} is a model that comes with the package, too")
    elif is_path(name) or is_there(at_home(name)) or name in checkpoint.shipped():
        _refuse(size)
        _model(name, program, json)
    elif part := inventory.part(name):
        _refuse(size, program)
        _part(part, json)
    elif "data set" in kinds:
        _refuse(size, program)
        _dataset(inventory.dataset(name), json)
        return
    else:
        raise _unknown(name)
    if "data set" in kinds:
        *shape, levels = FACTS[name][:4]
        say(f"note: {name} is a data set, too: {'x'.join(map(str, shape))}, {levels} levels")


def _refuse(size: str | None, program: bool = False) -> None:
    """Options that nothing is shown for."""
    if size is not None:
        raise ConfigError(
            "--size is for recipes", hint="name one of 'pixelcnn info', or a .toml file"
        )
    if program:
        raise ConfigError("--program is for recipes and models", hint="leave it out")


def _list(json: bool) -> None:
    from pixelcnn import checkpoint
    from pixelcnn.cli import inventory
    from pixelcnn.training import recipe as recipes

    engine, names = inventory.engine(), inventory.named()
    about = [(name, recipes.get(name).about) for name in names.pop("recipe")]
    names["model"] = list(checkpoint.shipped())
    if json:
        listed = {f"{kind.replace(' ', '')}s": found for kind, found in names.items()}
        recipe = {"recipes": [name for name, _ in about]}
        emit(recipe | listed | {"engine": engine.name, "engine_reason": engine.reason})
        return
    table("", ("recipe", "what it is"), about)
    for kind, found in names.items():
        result(f"  {kind + 's':9}  {', '.join(found)}")
    result(f"  engine     {engine.name}: {engine.reason}")


def _recipe(recipe: Any, size: tuple[int, int] | None, program: bool, json: bool) -> None:
    from pixelcnn import data
    from pixelcnn.cli import inventory

    images = inventory.stand_in(recipe.data, size, recipe.network.get("condition"))
    if images.name not in data.DATASETS:
        say(f"note: shown for {images.shape} images of {images.levels} levels; see --size")
    model, notes = recipe.build(images)
    for note in notes:
        say(f"note: {note}")
    _show(model, {"recipe": recipe.name, "about": recipe.about}, program, json)


def _model(name: str, program: bool, json: bool) -> None:
    from pixelcnn.cli import models

    # Which engine runs is a matter of the device; layers are shown by a pass of a blank image.
    model = models.load(name, device=None if program else "cpu")
    record = {key: value for key, value in model.record.items() if key != "validation_quantiles"}
    _show(model, {"record": record}, program, json)


def _show(model: "PixelModel", more: dict[str, Any], program: bool, json: bool) -> None:
    from pixelcnn.cli import model_info

    if program:
        _program(model, json)
        return
    numbers = model_info.summary(model)
    if json:
        emit(numbers | more)
        return
    if more.get("about"):
        result(f"{more['recipe']}: {more['about']}")
    model_info.show(model, numbers)
    for line in model_info.history(more.get("record", {})):
        result(line)


def _program(model: "PixelModel", json: bool) -> None:
    """The engine that runs a model, why, and the primitives it computes."""
    from pixelcnn import engines

    choice = engines.choose(model.eval())
    lines = str(choice.program).splitlines() if choice.program else []
    if json:
        emit({"engine": choice.name, "engine_reason": choice.reason, "program": lines})
        return
    result(f"engine  {choice.name}: {choice.reason}")
    for line in lines:
        result(line)


def is_path(name: str) -> bool:
    """Whether a text reads as the path of a file, which may be missing.

    Example:
        >>> is_path("m.safetensors"), is_path("runs/digits"), is_path("digits")
        (True, True, False)
    """
    path = Path(name)
    return bool(path.suffix) or len(path.parts) > 1


def _unknown(name: str) -> UnknownName:
    """No such name; it may be near another."""
    from pixelcnn import checkpoint
    from pixelcnn.cli import inventory

    known = [each for names in inventory.named().values() for each in names]
    near = closest(name, [*known, *checkpoint.shipped()])
    return UnknownName(
        f"nothing here is called {name!r}.{near}".rstrip("."),
        hint="'pixelcnn info' lists every name; a model file or a run folder does, too",
    )


def _dataset(found: dict[str, Any], json: bool) -> None:
    """A data set: what it holds, without looking for it."""
    if json:
        emit(found)
        return
    shape = "x".join(map(str, found["shape"]))
    classes = f"{found['classes']} classes" if found["classes"] else "no classes"
    parts = ", ".join(f"{name} {count:,}" for name, count in found["images"].items())
    result(f"data set {found['name']}")
    result(f"images   {shape} (channels x height x width), {found['levels']} levels, {classes}")
    result(f"parts    {parts}")


def _part(part: dict[str, Any], json: bool) -> None:
    """A network or output: what it is, and its arguments with their defaults."""
    if json:
        emit(part)
        return
    result(f"{part['kind']} {part['name']}: {part['about']}")
    for argument, default in part["arguments"].items():
        result(f"  {argument} = {default}")
