"""The command of a run: what it trains is what was trained, and what it says is what differs."""

import shlex

import pytest

from benchmarks.command import command_of
from pixelcnn.training import recipe as recipes

SETTINGS = [
    [],
    ["network.kernel=11", "training.max_time=75m", "training.seed=2"],
    ["network.name=pixelcnn", "network.width=16"],
    ["data.name=my photos", "training.augment=['flip']", "training.gradient_clip=0.5"],
    ["training.max_time=none", "output.name=categorical"],
]


def parsed(command):
    """The recipe that a command trains."""
    program, verb, name, *options = shlex.split(command)
    assert (program, verb) == ("pixelcnn", "train")
    own = {"--max-time": "training.max_time=", "--seed": "training.seed=", "--set": ""}
    pairs = zip(options[::2], options[1::2], strict=True)
    return recipes.get(name).with_overrides([own[option] + value for option, value in pairs])


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_command_trains_the_recipe_that_it_is_of(settings):
    changed = recipes.get("compact-mnist").with_overrides(settings)
    kept = recipes.parse(changed.dumps(), "from a run")
    assert parsed(command_of(kept)).tables() == changed.tables()


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_as_it_stands_is_its_name(name):
    recipe = recipes.get(name)
    assert command_of(recipes.parse(recipe.dumps(), "from a run")) == f"pixelcnn train {name}"


def test_a_default_that_a_run_spells_out_is_not_said():
    recipe = recipes.get("compact-mnist").with_overrides(["network.norm=false"])
    assert command_of(recipe) == "pixelcnn train compact-mnist"


def test_a_recipe_of_ones_own_is_a_file():
    recipe = recipes.parse(recipes.get("digits").dumps().replace("recipe: digits", ""), "mine")
    assert command_of(recipe) == "pixelcnn train mine.toml"
