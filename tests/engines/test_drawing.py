"""Levels drawn inside the native engine are those that the output's probabilities give."""

import pytest
import torch

from engines.walks import alive, drawn_from_parameters, model_of, needs_native
from pixelcnn import engines, inversion, networks, outputs
from pixelcnn.outputs import LogisticMixture
from pixelcnn.sampling import complete, sample

pytestmark = needs_native


def kinds():
    """Outputs of every kind; 65,536 levels take long."""
    for levels in (2, 17, 256):
        yield outputs.Categorical(levels=levels)
        yield LogisticMixture(levels=levels, components=11)
    yield pytest.param(LogisticMixture(levels=65_536, components=11), marks=pytest.mark.slow)


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("output", list(kinds()), ids=str)
def test_drawing_inside_answers_the_walk(output, channels, temperature):
    """The loop that never returns to Python draws what the walk draws from the same numbers."""
    order = "pixel" if output.couples_channels else "channel"
    model = model_of("gated-pixelcnn", (channels, 5, 7), output=output, order=order)
    inside = sample(model, 5, seed=3, temperature=temperature, engine="native")
    assert torch.equal(inside.long(), drawn_from_parameters(model, 5, 3, temperature))


def constant(output, spread):
    """A model of one pixel, which depends on nothing."""
    torch.manual_seed(0)
    network = networks.PixelCNN(
        1, output.parameters_per_pixel(1), width=4, depth=1, first_kernel=3, kernel=1, head_depth=0
    )
    model = alive(network, output, (1, 1, 1))
    torch.nn.init.normal_(network.head[-1].bias, std=spread)
    return model


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("spread", [0.5, 3.0])
@pytest.mark.parametrize(
    "output",
    [
        outputs.Bernoulli(),
        outputs.Categorical(levels=17),
        LogisticMixture(levels=2, components=1),
        LogisticMixture(levels=17, components=3),
        LogisticMixture(levels=256, components=10),
        LogisticMixture(levels=4_099, components=8),
    ],
    ids=str,
)
def test_the_boundaries_between_levels_are_those_of_the_pmf(output, spread, temperature):
    """To 1e-12: on either side of each boundary lies another level."""
    model = constant(output, spread)
    first = torch.zeros(1, 0)
    found = engines.start(model, 1, None, "native").parameters(torch.zeros(1, 1, 1, 1), (0, 0, 0))
    pmf = inversion.temper(output.pmf(found, first)[0], temperature)
    wide = (pmf[:-1] > 1e-9) & (pmf[1:] > 1e-9)
    levels, bounds = wide.nonzero()[:, 0], pmf.cumsum(-1)[:-1][wide]
    assert len(levels)
    for shift, up in ((-1e-12, 0), (1e-12, 1)):
        u = (bounds + shift).reshape(-1, 1, 1, 1)
        engine = engines.start(model, len(u), None, "native")
        nothing = torch.zeros(u.shape, dtype=torch.int64)
        drawn = engine.fill(nothing, nothing.bool(), u, temperature)
        assert torch.equal(drawn.flatten(), levels + up)


@pytest.mark.parametrize("seed", range(3))
def test_known_channels_tell_the_components_of_the_others(seed):
    """Levels that are given change what is drawn of their own pixel, as in the walk."""
    output = LogisticMixture(levels=17, components=5)
    model = model_of("gated-pixelcnn", (3, 5, 7), output=output, order="pixel")
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(17, (4, 3, 5, 7), generator=generator)
    known = torch.rand(4, 3, 5, 7, generator=generator) < 0.5
    inside = complete(model, images, known, n=2, seed=seed, engine="native")
    assert torch.equal(inside, complete(model, images, known, n=2, seed=seed, engine="cached"))
    assert torch.equal(inside.long()[::2][known], images[known])


def test_components_that_explain_nothing_leave_levels_to_draw():
    """Scales at their smallest and a known level far from every mean: weights keep their digits."""
    output = LogisticMixture(levels=256, components=3)
    model = model_of("pixelcnn", (2, 1, 1), output=output, order="pixel")
    with torch.no_grad():
        model.network.head[-1].bias[3:6] = torch.tensor([-0.9, -0.8, -0.7])
        model.network.head[-1].bias[6:9] = -20.0
    images = torch.full((64, 2, 1, 1), 255)
    known = torch.tensor([True, False]).reshape(1, 2, 1, 1)
    inside = complete(model, images, known, engine="native")
    assert torch.equal(inside, complete(model, images, known, engine="cached"))
    assert len(inside[:, 1].unique()) > 1
