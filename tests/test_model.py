"""PixelModel: parts that fit, and one place where levels become network input."""

import math

import numpy as np
import pytest
import torch

import pixelcnn as px
import tiny
from pixelcnn import PixelModel, create_model, data, networks, outputs
from pixelcnn.errors import ConfigError, DataError, ModelError
from pixelcnn.layers import CausalConv2d
from pixelcnn.networks import NETWORKS


def model_of(channels=1, levels=5, **options):
    output = outputs.Categorical(levels=levels)
    network = networks.GatedPixelCNN(
        channels, output.parameters_per_pixel(channels), width=6, depth=2, **options
    )
    return PixelModel(network, output, (channels, 5, 7))


def test_levels_are_scaled_to_the_unit_interval():
    assert model_of(levels=5).encode(torch.tensor([0, 2, 4])).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_levels_beyond_half_precision_are_scaled_in_single(kind):
    levels = torch.tensor([0, 1, 40_000, 65_520, 65_535])
    found = tiny_mixture(65_536).to(kind).encode(levels)
    assert torch.equal(found, (levels.double() / 65_535).float().to(kind))


def tiny_mixture(levels):
    output = outputs.LogisticMixture(levels=levels, components=2)
    network = networks.PixelCNN(1, output.parameters_per_pixel(1), width=4, depth=1)
    return PixelModel(network, output, (1, 3, 5))


def test_a_pair_that_would_ignore_channel_dependence_is_refused():
    with pytest.raises(ConfigError, match="channels depend"):
        model_of(channels=3, order="pixel")
    model_of(channels=1, order="pixel")


def test_parts_that_do_not_fit_are_refused():
    network = networks.PixelCNN(channels=1, out=3, width=4, depth=1)
    with pytest.raises(ConfigError, match="the output needs 1"):
        PixelModel(network, outputs.Bernoulli(), (1, 5, 7))
    with pytest.raises(ConfigError, match="1 channels cannot"):
        PixelModel(network, outputs.Categorical(levels=3), (3, 5, 7))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.bool_])
def test_any_integer_dtype_is_accepted(dtype):
    images = np.ones((2, 1, 5, 7), dtype=dtype)
    assert model_of(levels=2).log_prob(images).shape == (2,)


@pytest.mark.parametrize("model", tiny.marked(tiny.tiny_models(1)), ids=tiny.label)
def test_no_image_has_no_likelihood(model):
    condition = None if model.network.condition is None else 0
    none = torch.zeros(0, *model.shape, dtype=torch.uint8)
    assert model.log_prob(none, condition).shape == (0,)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.rand(1, 1, 5, 7), DataError, "float32"),
        (torch.zeros(1, 1, 5, 7, dtype=torch.bool), DataError, "integer levels, got bool"),
        (torch.full((1, 1, 5, 7), 5), DataError, "0..4"),
        (torch.full((1, 1, 5, 7), -1), DataError, "0..4"),
        (torch.zeros(1, 1, 7, 5, dtype=torch.int64), ModelError, "1x5x7"),
        (torch.zeros(1, 5, 7, dtype=torch.int64), ModelError, "1x5x7"),
    ],
)
def test_images_that_do_not_fit_are_named(images, error, message):
    with pytest.raises(error, match=message):
        model_of().log_prob(images)


@pytest.mark.parametrize(
    ("options", "condition", "message"),
    [
        ({}, 3, "unconditional"),
        ({"condition": "label", "condition_size": 4}, None, "needs a label of 4 classes per image"),
        ({"condition": "label", "condition_size": 4}, 4, "0..3"),
        ({"condition": "vector", "condition_size": 4}, torch.zeros(2, 3), "vector condition"),
        ({"condition": "map", "condition_size": 4}, torch.zeros(2, 4, 7, 5), "map condition"),
    ],
)
def test_conditions_that_do_not_fit_are_named(options, condition, message):
    with pytest.raises(ConfigError, match=message):
        model_of(**options).log_prob(torch.zeros(2, 1, 5, 7, dtype=torch.int64), condition)


def test_one_label_serves_all_images():
    model = model_of(condition="label", condition_size=4)
    images = torch.zeros(3, 1, 5, 7, dtype=torch.int64)
    assert torch.equal(model.log_prob(images, 2), model.log_prob(images, [2, 2, 2]))


def test_live_parameters_leave_out_what_masks_switch_off():
    output = outputs.Bernoulli()
    model = PixelModel(networks.PixelCNN(1, 1, width=4, depth=1, halve="first"), output, (1, 5, 7))
    dead = 4 * 1 * 25 + 2 * 2 * 4  # 7x7 without its 24 live taps, 3x3 without its 5
    assert model.parameters_count - model.live_parameters_count == dead


def embedded(codes, channels=1):
    output = outputs.Categorical(levels=codes)
    network = networks.PixelCNN(
        channels, output.parameters_per_pixel(channels), width=4, depth=1, embedding=3, codes=codes
    )
    return PixelModel(network, output, (channels, 2, 3))


def test_embedded_codes_stay_integers():
    codes = torch.tensor([0, 1, 4], dtype=torch.uint8)
    assert embedded(5).encode(codes).tolist() == [0, 1, 4]
    assert not embedded(5).encode(codes).is_floating_point()


def test_65536_codes_can_be_embedded():
    model = embedded(65_536)
    codes = torch.tensor([0, 65_535, 300, 7, 40_000, 1]).reshape(1, 1, 2, 3)
    assert model.log_prob(codes).item() == pytest.approx(-6 * np.log(65_536), rel=0.2)
    model.log_prob(codes).sum().backward()
    touched = model.network.embed.weight.grad.abs().sum(-1)[0].nonzero().flatten().tolist()
    assert set(touched) <= {0, 7, 300, 40_000, 65_535}
    assert len(touched) > 2


def test_as_many_codes_are_embedded_as_the_output_has_levels():
    network = networks.PixelCNN(1, 5, width=4, depth=1, embedding=3, codes=4)
    with pytest.raises(ConfigError, match="embeds 4 codes, the output has 5 levels"):
        PixelModel(network, outputs.Categorical(levels=5), (1, 2, 3))
    with pytest.raises(ConfigError, match="codes must be"):
        networks.PixelCNN(1, 5, width=4, depth=1, embedding=3)
    network = networks.PixelCNN(1, 5, width=4, depth=1)
    network.embedding = torch.nn.Embedding(5, 4)  # as a stranger's network may call its own
    with pytest.raises(ConfigError, match="is a layer here"):
        PixelModel(network, outputs.Categorical(levels=5), (1, 2, 3))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "made"])
def test_the_features_of_a_position_lie_side_by_side_in_memory(name, channels):
    """Convolutions are several times faster so; one channel alone does not say which order it has."""
    output = outputs.Categorical(levels=5)
    out = output.parameters_per_pixel(channels)
    network = tiny.small(NETWORKS[name], channels=channels, out=out, order="channel")
    model, found = PixelModel(network, output, (channels, 5, 7)), []
    for layer in model.modules():
        if isinstance(layer, CausalConv2d):
            layer.register_forward_hook(lambda _, given, y: found.append(given[0]))
    model(torch.zeros(2, channels, 5, 7, dtype=torch.int64))
    assert len(found) > 2
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in found)


@pytest.mark.parametrize("name", ["gated-pixelcnn", "compact", "pixelcnnpp"])
def test_functional_transforms_give_the_gradient_of_each_image(name):
    images = torch.randint(0, 4, (3, 1, 4, 6))
    model = create_model(name, data.ImageSet(images, levels=4), seed=0, width=16).eval()
    weights = dict(model.named_parameters())

    def nats(weights, levels):
        parameters = torch.func.functional_call(model, weights, (levels[None],))
        return model.output.log_prob(parameters, levels[None]).sum()

    together = torch.func.vmap(torch.func.grad(nats), (None, 0))(weights, images)
    for index in range(len(images)):
        alone = torch.autograd.grad(model.log_prob(images[index, None]).sum(), weights.values())
        for one, other in zip(together.values(), alone, strict=True):
            torch.testing.assert_close(one[index], other, atol=1e-5, rtol=1e-4)


class Careless(networks.Network):
    """Gives whatever it was told to, and has no parameter."""

    def __init__(self, gives):
        super().__init__(1, 1, "channel", None, 0)
        self.gives = gives

    def forward(self, x, condition=None):
        return self.gives(x)


@pytest.mark.parametrize(
    ("gives", "what"),
    [
        (lambda x: x.repeat(1, 3, 1, 1), r"shape \(2, 3, 5, 7\)"),
        (lambda x: x.sum((2, 3)), r"shape \(2, 1\)"),
        (lambda x: None, "NoneType"),
    ],
)
@pytest.mark.parametrize(
    "use", [px.sample, lambda model, n: px.score(model, torch.zeros(n, 1, 5, 7).int())]
)
def test_a_network_that_gives_no_parameters_is_named(use, gives, what):
    model = PixelModel(Careless(gives), outputs.Bernoulli(), (1, 5, 7))
    with pytest.raises(
        ModelError, match=f"Careless gave {what}, not parameters of shape .2, 1, 5, 7."
    ):
        use(model, 2)


class Other(networks.PixelCNN):
    """Is written for images of one size."""

    def forward(self, x, condition=None):
        return super().forward(x.reshape(len(x), 1, 8, 8))


@pytest.mark.parametrize(
    "use",
    [
        lambda model, images: px.fit(model, images, images, verbose=False),
        px.evaluate,
        lambda model, images: px.complete(model, images, "top"),
        lambda model, images: px.sample(model, 1),
        lambda model, images: px.sample(model, 1, engine="full"),
    ],
)
def test_a_network_that_fails_is_named_with_its_cause(use):
    model = PixelModel(Other(1, 1, width=4, depth=1), outputs.Bernoulli(), (1, 5, 7))
    images = data.ImageSet(torch.zeros(4, 1, 5, 7).int(), 2)
    message = r"Other cannot compute images of 1x5x7: shape .*invalid"
    with pytest.raises(ModelError, match=message) as caught:
        use(model, images)
    assert isinstance(caught.value.__cause__, RuntimeError)


class Stopped(Exception):
    """Raised on purpose, by whoever wrote the network."""


@pytest.mark.parametrize("error", [Stopped, torch.OutOfMemoryError])
def test_what_is_no_mistake_of_a_network_passes_through(error):
    def gives(x):
        raise error("CUDA out of memory")

    model = PixelModel(Careless(gives), outputs.Bernoulli(), (1, 5, 7))
    with pytest.raises(error):
        px.score(model, torch.zeros(2, 1, 5, 7).int())


def test_a_layer_of_pytorch_is_no_network():
    with pytest.raises(ConfigError, match="network must be a Network, got Conv2d") as caught:
        PixelModel(torch.nn.Conv2d(1, 1, 1), outputs.Bernoulli(), (1, 5, 7))
    assert "a subclass of pixelcnn.networks.Network" in caught.value.hint


def test_a_module_is_no_output():
    with pytest.raises(ConfigError, match="output must be an Output, got Softplus") as caught:
        PixelModel(networks.PixelCNN(1, 1, width=4, depth=1), torch.nn.Softplus(), (1, 5, 7))
    assert "subclass pixelcnn.outputs.Output" in caught.value.hint


def test_a_network_without_parameters_is_a_model():
    model = PixelModel(Careless(torch.zeros_like), outputs.Bernoulli(), (1, 5, 7))
    assert (model.device.type, model.dtype) == ("cpu", torch.float32)
    images = px.sample(model, 2, seed=0)
    assert px.score(model, images).tolist() == pytest.approx([35 * math.log(2)] * 2)
    broken = {row.name for row in px.verify.check_model(model).failures}
    assert "every output sees the past it claims" in broken


def test_a_likelihood_that_is_no_number_is_named():
    model = PixelModel(Careless(lambda x: x * math.nan), outputs.Bernoulli(), (1, 5, 7))
    with pytest.raises(ModelError, match="image 0 is not a number, as Careless computes it"):
        px.score(model, torch.zeros(2, 1, 5, 7).int())
    broken = model_of()
    with torch.no_grad():
        next(broken.network.parameters()).fill_(math.nan)
    with pytest.raises(ModelError, match="holds a value that is not a finite number"):
        px.score(broken, torch.zeros(2, 1, 5, 7).int())


@pytest.mark.parametrize("condition", [None, "coat", ["coat", "shirt"]])
def test_a_condition_that_is_missing_or_a_name_has_a_remedy(condition):
    model = tiny.tiny_model(condition="label", condition_size=3)
    with pytest.raises(ConfigError, match=r"needs a label of 3 classes|got .*coat") as caught:
        px.sample(model, 2, condition=condition)
    assert ("condition=" if condition is None else "classes") in caught.value.hint
