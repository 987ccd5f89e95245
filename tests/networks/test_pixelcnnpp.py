"""PixelCNN++: the published size, reach that depends on where a position lies, and arguments that act."""

import pytest
import torch

from pixelcnn import checkpoint, engines, outputs
from pixelcnn.masks import raster_past
from pixelcnn.model import PixelModel
from pixelcnn.networks.pixelcnnpp import PixelCNNpp
from pixelcnn.verify import check_network
from pixelcnn.verify.causality import claimed_past


def tiny(channels=1, **arguments):
    torch.manual_seed(0)
    options = {"out": 2 * channels, "width": 6, "blocks": 1} | arguments
    return PixelCNNpp(channels=channels, **options)


def published(width, blocks, out):
    """Weights, and gains or biases, of the published code, counted from its calls."""

    def layer(elements, inputs, outputs=width):
        return torch.tensor([elements * inputs * outputs, outputs])

    shapes = {"above": 6, "left": 4}
    twice = 2 * width  # concatenated ELU
    body = sum(layer(k, twice) + layer(k, twice, 2 * width) for k in shapes.values())
    image = 3 + 1  # a channel of ones joins it
    total = layer(6, image) + layer(3, image) + layer(2, image)
    total += 3 * blocks * (body + layer(1, twice))
    total += (3 * blocks + 2) * (body + layer(1, twice) + layer(1, 2 * twice))
    total += 4 * sum(layer(k, width) for k in shapes.values())
    return (total + layer(1, width, out)).tolist()


@pytest.mark.parametrize(("norm", "vectors"), [("none", 1), ("weight", 2)])
def test_the_published_size_has_the_published_parameters(norm, vectors):
    with torch.device("meta"):
        network = PixelCNNpp(channels=3, out=100, norm=norm)
    weights, others = published(width=160, blocks=5, out=100)
    count = sum(p.numel() for p in network.parameters())
    assert count == weights + vectors * others
    assert count == {"none": 53_618_660, "weight": 53_659_080}[norm]


@pytest.mark.parametrize("norm", ["weight", "none"])
def test_it_keeps_its_promises_with_any_norm(norm):
    check_network(tiny(3, norm=norm)).raise_if_failed()


@pytest.mark.parametrize("scales", [1, 2, 4])
def test_it_keeps_its_promises_at_any_number_of_scales(scales):
    network = tiny(scales=scales, condition="map", condition_size=2)
    check_network(network).raise_if_failed()


def test_the_published_depth_sees_the_whole_past_of_a_small_image():
    network = tiny(blocks=5)
    assert torch.equal(claimed_past(network, 7, 11), raster_past(1, 7, 11))


def test_what_a_position_sees_depends_on_where_it_lies_on_the_coarser_grid():
    """Five convolutions reach five columns to the left; those on the coarse grid count from an even one."""
    furthest = []
    for scales in (1, 2):
        claimed = claimed_past(tiny(scales=scales), 1, 23)[0, 0, :, 0, 0]
        furthest.append([column - int(claimed[column].nonzero()[0]) for column in range(19, 23)])
    assert furthest == [[5, 5, 5, 5], [17, 16, 17, 16]]


def test_a_black_image_differs_from_what_lies_outside_it():
    """A channel of ones marks the image: zeros alone would look like its surroundings."""
    network = tiny()
    y = network.first(torch.cat([torch.zeros(1, 1, 5, 7), torch.ones(1, 1, 5, 7)], 1))
    assert all(not torch.equal(stream[:, :, 0, 0], stream[:, :, 3, 3]) for stream in y)
    outputs = network(torch.zeros(1, 1, 5, 7))
    assert not torch.equal(outputs[:, :, 0, 0], outputs[:, :, 0, 3])


def test_weight_norm_leaves_the_direction_of_a_kernel_free_of_its_length():
    network, x = tiny(norm="weight").double(), torch.rand(1, 1, 5, 7).double()
    before = network(x)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("original1"):
                parameter.mul_(torch.linspace(0.5, 3, len(parameter)).reshape(-1, 1, 1, 1))
    torch.testing.assert_close(network(x), before, rtol=0, atol=1e-12)


def test_position_norm_bounds_what_a_block_reads():
    """What a block adds does not grow with what it is given."""
    grown = {}
    for norm in ("position", "none"):
        block, x = tiny(norm=norm).double().inward[0].above, torch.randn(1, 6, 5, 7).double()
        with torch.no_grad():
            small, large = (block(k * x, None, None) - k * x for k in (1e2, 1e4))
        grown[norm] = float(large.abs().max() / small.abs().max())
    assert grown["position"] < 1.1
    assert grown["none"] > 50


def test_blocks_start_near_the_identity():
    torch.manual_seed(0)
    block = PixelCNNpp(channels=1, out=1, width=64, blocks=1).inward[0].above
    x = torch.randn(2, 64, 9, 9)
    assert 0.005 < float((block(x, None, None) - x).detach().std()) < 0.2


def test_dropout_zeroes_elements_not_whole_features():
    torch.manual_seed(0)
    kept = []
    network = PixelCNNpp(channels=1, out=1, width=6, blocks=1, scales=1, dropout=0.5)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.register_forward_hook(lambda _, given, y: kept.append((y != 0)[given[0] != 0]))
            layer.register_forward_hook(lambda _, given, y: kept.append((y != 0)[0, 0, 2:]))
    network(torch.rand(1, 1, 17, 19))
    assert len(kept) == 8
    assert all(float(part.float().mean()) == pytest.approx(0.5, abs=0.1) for part in kept)


@pytest.mark.parametrize("norm", ["weight", "position"])
def test_what_is_saved_comes_back(norm, tmp_path):
    output = outputs.LogisticMixture(levels=5, components=2)
    model = PixelModel(
        tiny(3, out=output.parameters_per_pixel(3), norm=norm), output, (3, 5, 7)
    ).eval()
    images = torch.randint(5, (2, 3, 5, 7))
    checkpoint.save(model, tmp_path / "model.safetensors")
    again = checkpoint.load(tmp_path / "model.safetensors")
    assert torch.equal(model.log_prob(images), again.log_prob(images))


@pytest.mark.parametrize("norm", ["weight", "position", "none"])
@pytest.mark.parametrize("condition", [None, "label", "map"])
def test_it_lowers_to_a_program_on_three_grids(condition, norm):
    arguments = {"norm": norm, "condition": condition, "condition_size": 3 if condition else 0}
    model = PixelModel(tiny(**arguments), outputs.Categorical(levels=2), (1, 5, 7)).double()
    choice = engines.choose(model)
    assert choice.name == "cached"
    assert {node.clock for node in choice.program.nodes} == {1, 2, 4}
