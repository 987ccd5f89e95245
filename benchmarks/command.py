"""The command line that a recipe is trained with, for those who want to train it again."""

import inspect
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from pixelcnn import data
from pixelcnn.config import arguments
from pixelcnn.errors import UnknownName
from pixelcnn.networks import NETWORKS
from pixelcnn.outputs import OUTPUTS
from pixelcnn.training import recipe as recipes
from pixelcnn.training import toml
from pixelcnn.training.recipe import Recipe, Table

OWN = {("training", "max_time"): "--max-time", ("training", "seed"): "--seed"}
"""Values that have an option of their own."""


def command_of(recipe: Recipe) -> str:
    """The command that trains a recipe: the one it comes from by name, and what differs.

    Args:
        recipe: such as a run folder keeps. One that does not come with the package stands as ``NAME.toml``.

    Example:
        >>> base = recipes.get("digits")
        >>> command_of(base.with_overrides(["training.seed=3", "network.width=32"]))
        'pixelcnn train digits --set network.width=32 --seed 3'
    """
    try:
        base = recipes.get(recipe.name)
    except UnknownName:
        return shlex.join(["pixelcnn", "train", f"{recipe.name}.toml"])
    words = ["pixelcnn", "train", recipe.name]
    for table, key, value in _differences(base, recipe):
        text = value if isinstance(value, str) else "none" if value is None else toml.literal(value)
        option = OWN.get((table, key))
        words += [option, text] if option else ["--set", f"{table}.{key}={text}"]
    return shlex.join(words)


def _differences(base: Recipe, recipe: Recipe) -> Iterator[tuple[str, str, Any]]:
    """Tables, keys and values that are others than the base has, where it has none those of the code."""
    before, now = base.tables(), recipe.tables()
    for table in recipes.TABLES:
        usual = before[table]
        if table in ("network", "output") and now[table]["name"] != usual["name"]:
            usual = {}  # as where a name is set: arguments of one network mean nothing to another
        otherwise = _defaults(table, now[table])
        for key in dict.fromkeys([*now[table], *usual]):
            value, expected = (each.get(key, otherwise.get(key)) for each in (now[table], usual))
            if value != expected:
                yield table, key, value


def _defaults(table: str, values: Table) -> dict[str, Any]:
    """What the code takes where a table says nothing."""
    if table == "training":
        return {}  # recipes spell all of them out
    of: Callable[..., Any] = data.load
    if table != "data":
        of = (NETWORKS if table == "network" else OUTPUTS)[values["name"]]
    parameters = arguments(of).items()
    empty = inspect.Parameter.empty
    return {key: each.default for key, each in parameters if each.default is not empty}
