"""The networks that are measured."""

from collections.abc import Sequence

from pixelcnn import PixelModel, checkpoint
from pixelcnn.cli import inventory
from pixelcnn.networks import PixelCNN
from pixelcnn.outputs import Bernoulli
from pixelcnn.training import recipe as recipes
from pixelcnn.training.recipe import Recipe

RECIPES = ("keras-mnist", "gated-mnist", "gated-cifar10", "chainer-cifar10")
"""The Keras tutorial's network, a gated one, and two for 32x32 images of three channels and 256 levels."""


def from_recipe(name: str) -> PixelModel:
    """A recipe's model with fresh weights: no figure here depends on what the weights are."""
    return built(recipes.get(name))


def built(recipe: Recipe, size: tuple[int, int] | None = None) -> PixelModel:
    """The same for any recipe, and for images of another height and width."""
    images = inventory.stand_in(recipe.data, size, recipe.network.get("condition"))
    return recipe.build(images)[0].eval()


def models(names: Sequence[str], files: Sequence[str] = ()) -> dict[str, PixelModel]:
    """Recipes by name, and model files, by what they are called in tables."""
    found = {name: from_recipe(name) for name in names}
    return found | {path: checkpoint.load(path).eval() for path in files}


def plain_stack(side: int = 28, depth: int = 5, width: int = 64) -> PixelModel:
    """A binary PixelCNN of any size, for how costs grow."""
    network = PixelCNN(1, 1, width=width, depth=depth, halve="middle", activate="after")
    return PixelModel(network, Bernoulli(), (1, side, side)).eval()
