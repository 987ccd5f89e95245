"""A network without a program samples, and says that it is slow."""

import copy
import warnings

import pytest
import torch

from pixelcnn import PixelModel, engines, networks, outputs
from pixelcnn.data import ImageSet
from pixelcnn.errors import ModelError, SlowSampling
from pixelcnn.sampling import complete, sample, stream
from pixelcnn.scoring import evaluate, score
from pixelcnn.training import fit
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


class SeesItself(networks.PixelCNN):
    """One that adds what it is to predict."""

    def forward(self, x, condition=None):
        return super().forward(x) + x


class Postponed(networks.PixelCNN):
    """A causal one that cannot be walked: it looks to its right, and is then moved as far to the right."""

    def forward(self, x, condition=None):
        right = torch.nn.functional.pad(super().forward(x), (0, 1))[:, :, :, 1:].relu()
        return torch.nn.functional.pad(right, (1, 0))[:, :, :, :-1]


def test_a_row_has_nothing_below_it():
    """A kernel that reads the row below is causal where there is none."""

    class Below(networks.PixelCNN):
        def forward(self, x, condition=None):
            return super().forward(x) + torch.nn.functional.pad(x, (0, 0, 0, 1))[:, :, 1:]

    for height, told in ((1, False), (2, True)):
        model = PixelModel(Below(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, height, 12))
        assert engines.programs.sees_future(model) == told


def test_parameters_of_another_grid_are_told_of_as_before():
    network = networks.PixelCNN(1, 1, width=4, depth=1)
    network.head[-1] = torch.nn.Conv2d(4, 1, 3, stride=2, padding=1)
    model = PixelModel(network, outputs.Bernoulli(), (1, 12, 12))
    with pytest.raises(ModelError, match=r"gave shape \(8, 1, 6, 6\), not parameters of shape"):
        evaluate(model, ImageSet(torch.zeros(8, 1, 12, 12, dtype=torch.uint8), 2))


@pytest.mark.parametrize("kind", [SeesItself, Postponed])
def test_a_network_that_sees_its_future_is_told_of(kind, caplog):
    model = PixelModel(kind(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 12, 12))
    images = ImageSet(torch.zeros(8, 1, 12, 12, dtype=torch.uint8), 2)
    with pytest.warns(SlowSampling) as found:
        sample(model, 1)
    told = "SeesItself sees what it predicts, or what comes later, so its likelihoods mean nothing"
    assert (told in str(found[0].message)) == (kind is SeesItself)
    evaluate(model, images)
    fit(model, images, images, epochs=1, verbose=False)
    assert caplog.text.count(told) == 2 * (kind is SeesItself)


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


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_that_are_assigned_in_another_type_compute_as_a_model_in_it(dtype):
    """Masks are no weights, so ``load_state_dict`` leaves them in theirs."""
    images = torch.randint(2, (2, 1, 5, 7), generator=torch.Generator().manual_seed(0))
    for name in ("gated-pixelcnn", "compact"):
        network = networks.NETWORKS[name](1, 1, width=8, depth=1)
        assigned, moved = (
            PixelModel(copy.deepcopy(network), outputs.Bernoulli(), (1, 5, 7)) for _ in "ab"
        )
        weights = {key: each.to(dtype) for key, each in network.state_dict().items()}
        assigned.network.load_state_dict(weights, assign=True)
        moved.to(dtype)
        assert torch.equal(score(assigned, images), score(moved, images))
        assert torch.equal(sample(assigned, 2), sample(moved, 2))


def test_weights_of_several_types_are_refused_in_one_line():
    model = PixelModel(
        networks.NETWORKS["pixelcnn"](1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7)
    )
    model.network.input.double()
    with pytest.raises(ModelError) as caught:
        sample(model, 1)
    assert caught.value.hint.startswith("its weights are float32 and float64: model.float()")
