"""Networks: sizes as the papers and tutorials state them, and arguments that act."""

import inspect

import pytest
import torch

import tiny
from pixelcnn import PixelModel, networks, outputs
from pixelcnn.errors import ConfigError
from pixelcnn.networks import NETWORKS
from pixelcnn.verify import check_network
from pixelcnn.verify.models import ModelChecks
from pixelcnn.verify.report import run


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_the_keras_example_has_532673_parameters():
    network = networks.PixelCNN(
        channels=1, out=1, width=128, depth=5, halve="middle", activate="after"
    )
    assert count(network) == 532_673
    shapes = [tuple(p.shape) for p in network.parameters()]
    assert shapes[:4] == [(128, 1, 7, 7), (128,), (128, 128, 1, 1), (128,)]
    assert shapes[4] == (64, 128, 3, 3)


@pytest.mark.parametrize("activation", ["relu", "prelu", "elu", "silu"])
def test_every_activation_of_pixelcnn_runs(activation):
    network = networks.PixelCNN(channels=3, out=6, width=7, depth=1, activation=activation)
    assert network(torch.rand(2, 3, 5, 7)).shape == (2, 6, 5, 7)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_take_any_size(name):
    network = tiny.small(NETWORKS[name], channels=1, out=3)
    for size in ((1, 1), (1, 9), (9, 1), (3, 11)):
        assert network(torch.rand(1, 1, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_acts_in_training_only(name, dropout):
    network = tiny.small(NETWORKS[name], channels=1, out=2, dropout=dropout)
    x = torch.rand(2, 1, 5, 7)
    first, second = network.train()(x), network(x)
    assert torch.equal(first, second) == (dropout == 0)
    assert torch.equal(network.eval()(x), network(x))


def test_a_model_is_exported_for_any_number_of_images():
    network = tiny.small(NETWORKS["snail"], channels=1, out=2)
    model = PixelModel(network, outputs.Categorical(levels=2), (1, 3, 5)).eval()
    levels = torch.randint(2, (5, 1, 3, 5))
    sizes = ({0: torch.export.Dim("images", min=2)},)
    exported = torch.export.export(model, (levels[:3],), dynamic_shapes=sizes).module()
    assert torch.allclose(exported(levels), model(levels))


CONDITIONAL = [network for network in tiny.tiny_networks(1) if network.condition]


@pytest.mark.parametrize("network", CONDITIONAL, ids=tiny.label)
def test_a_conditional_network_is_never_computed_without_its_condition(network):
    model = PixelModel(network, outputs.Categorical(levels=2), (1, 5, 7))
    with pytest.raises(ConfigError, match="conditional, and is given no"):
        model(torch.zeros(2, *model.shape))


def test_a_condition_without_a_size_is_refused():
    with pytest.raises(ConfigError, match="condition_size"):
        networks.PixelCNN(channels=1, out=1, condition="label")


IMPOSSIBLE = {
    "compact": {"depth": 0, "kernel": 4, "first_kernel": 1, "width": 2, "middle": 1},
    "pixelcnnpp": {"blocks": 0, "scales": 0, "width": 2, "norm": "batch"},
    "row-lstm": {"depth": 0, "hidden": 2, "width": 2, "first_kernel": 4, "kernel": 2},
    "snail": {
        "depth": 0, "kernel": 0, "heads": 0, "key_width": 0, "value_width": -1, "width": 2
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wrong", "value"), [(n, *item) for n in IMPOSSIBLE for item in IMPOSSIBLE[n].items()]
)
def test_an_argument_that_cannot_be_is_named(name, wrong, value):
    with pytest.raises(ConfigError, match=rf"\b{wrong}\b"):
        tiny.small(NETWORKS[name], channels=3, out=6, order="channel", **{wrong: value})


NORMED = [n for n in NETWORKS if "norm" in inspect.signature(NETWORKS[n]).parameters]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NORMED)
def test_a_black_image_gives_no_huge_gradient_at_first(name, channels):
    """A norm of features that are all zero would multiply gradients by a thousand, layer after layer."""
    known = inspect.signature(NETWORKS[name]).parameters
    norm = True if known["norm"].annotation is bool else "position"
    depth = {"depth": 4} if "depth" in known else {"blocks": 2}
    network = NETWORKS[name](channels, out=2 * channels, width=32, norm=norm, **depth)
    network(torch.zeros(2, channels, 5, 7)).square().sum().backward()
    norms = [parameter.grad.norm() for parameter in network.parameters()]
    assert 1 < torch.stack(norms).norm() < 1e5


@pytest.mark.parametrize(
    ("channels", "order"),
    [
        (3, "channel"),
        pytest.param(3, "pixel", marks=pytest.mark.slow),
        pytest.param(1, "channel", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", tiny.EMBEDS)
def test_networks_of_codes_keep_their_promises(name, channels, order):
    network = tiny.small(
        NETWORKS[name],
        channels=channels,
        out=2 * channels,
        order=order,
        embedding=4,
        codes=5,
    )
    check_network(network).raise_if_failed()


@pytest.mark.parametrize("name", tiny.EMBEDS)
def test_models_of_codes_keep_their_promises(name):
    network = tiny.small(NETWORKS[name], channels=1, out=5, embedding=4, codes=5)
    model = PixelModel(network, outputs.Categorical(levels=5), (1, 5, 7))
    checks = ModelChecks(model, thorough=False, device=torch.device("cpu")).together()
    run("model", checks).raise_if_failed()


def test_a_code_is_a_name():
    """Two codes that are exchanged everywhere, in the image and in the table, change nothing."""
    network = networks.GatedPixelCNN(1, 5, width=4, depth=2, embedding=3, codes=5)
    codes = torch.randint(5, (2, 1, 5, 7))
    before = network(codes)
    swap = torch.tensor([0, 3, 2, 1, 4])
    with torch.no_grad():
        network.embed.weight.copy_(network.embed.weight[:, swap])
    assert torch.equal(network(swap[codes]), before)
