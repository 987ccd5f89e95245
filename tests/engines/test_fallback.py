"""A network without a program samples, and says that it is slow."""

import warnings

import pytest
import torch

from pixelcnn import PixelModel, engines, networks, outputs
from pixelcnn.errors import SlowSampling
from pixelcnn.sampling import complete, sample, stream
from pixelcnn.walk import walk


def model_of(shape=(1, 12, 12)):
    """A function that no program has in the middle."""
    torch.manual_seed(0)
    network = networks.PixelCNN(1, 1, width=4, depth=1)
    network.head[2] = torch.nn.Softshrink()
    return PixelModel(network, outputs.Bernoulli(), shape)


DRAWS = {
    "sample": lambda m: sample(m, 1),
    "stream": lambda m: next(stream(m, 1)),
    "walk": lambda m: next(walk(m, 1)),
    "complete": lambda m: complete(
        m, torch.zeros(1, *m.shape, dtype=torch.uint8), torch.ones(1, *m.shape, dtype=torch.bool)
    ),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_slow_path_says_so_once_a_network_and_names_the_node(draw):
    model = model_of()
    with pytest.warns(SlowSampling) as found:
        draw(model)
    (warning,) = found
    assert (
        "sampling calls forward for each of 144 positions: layer 'head.2' is a Softshrink; "
        in str(warning.message)
    )
    assert "`lower`" in str(warning.message)
    draw(model)
    model.network.head[2] = torch.nn.Softmax(1)
    with pytest.warns(SlowSampling, match="is a Softmax"):
        draw(model)


def test_the_warning_points_at_the_callers_line():
    with pytest.warns(SlowSampling) as found:
        sample(model_of(), 1)
    assert found[0].filename == __file__


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_small_images_and_what_was_asked_for_are_no_matter(draw):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(model_of((1, 5, 7)))
        sample(model_of(), 1, engine="full")
        engines.choose(model_of())
