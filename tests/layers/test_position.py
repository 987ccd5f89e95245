"""Layers that know places or centre features, as layers, as programs and in networks."""

import pytest
import torch

from engines.small import WIDTH, assert_followed, small_model
from engines.walks import alive
from pixelcnn import engines, layers, masks, networks, outputs, verify
from pixelcnn.errors import ConfigError

COLOURS = [(0,) * 6, masks.interleaved(7, 3), masks.contiguous(6, 3)]


class Placed(networks.Network):
    """Positions and centred norms between two masked layers, for images of at most 9 x 11."""

    largest = (9, 11)

    def __init__(self, channels, out, order="channel"):
        super().__init__(channels, out, order, None, 0)
        features = masks.interleaved(2 * WIDTH, self.colours)
        self.first = layers.MaskedConv2d(self.image_features, features, (3, 3), sees_itself=False)
        self.place = layers.PositionEmbedding(*self.largest, features=len(features))
        self.norm = layers.PositionNorm(features, centred=True)
        self.head = layers.MaskedConv2d(features, self.out_features, (3, 3), sees_itself=True)

    def forward(self, x, condition=None):
        return self.head(torch.relu(self.norm(self.place(self.first(x)))))


def test_each_position_gets_the_vectors_of_its_row_and_column():
    layer, x = layers.PositionEmbedding(5, 7, features=3), torch.randn(2, 3, 4, 6)
    y = layer(x)
    for row in range(4):
        for column in range(6):
            expected = x[:, :, row, column] + (layer.rows[row] + layer.columns[column])
            assert torch.equal(y[:, :, row, column], expected)


@pytest.mark.parametrize("size", [(6, 7), (5, 8)])
def test_a_larger_image_than_it_has_positions_for_is_refused(size):
    with pytest.raises(ConfigError, match="positions of 5x7 cannot be added"):
        layers.PositionEmbedding(5, 7, features=3)(torch.zeros(1, 3, *size))


def test_positions_of_another_width_are_refused():
    with pytest.raises(ConfigError, match="3 features cannot be added to 1 features"):
        layers.PositionEmbedding(5, 7, features=3)(torch.zeros(1, 1, 5, 7))


def test_a_program_refuses_a_larger_image_than_it_has_positions_for():
    network = Placed(1, 2)
    network.largest = None
    model = alive(network, outputs.Categorical(levels=2), (1, 9, 12))
    choice = engines.choose(model)
    assert choice.name == "full"
    assert "knows 9x11 positions of 9x12" in choice.reason


@pytest.mark.parametrize("features", COLOURS)
def test_a_centred_norm_has_mean_zero_and_variance_one_in_each_colour(features):
    x = torch.randn(2, len(features), 3, 5).double() + 3
    y = layers.PositionNorm(features, epsilon=0, centred=True).double()(x).detach()
    for colour in set(features):
        own = y[:, [i for i, c in enumerate(features) if c == colour]]
        torch.testing.assert_close(own.mean(1), torch.zeros(2, 3, 5).double(), rtol=0, atol=1e-10)
        torch.testing.assert_close(own.var(1, correction=0), torch.ones(2, 3, 5).double())


def test_a_centred_norm_of_one_colour_is_a_layer_norm():
    norm = layers.PositionNorm((0,) * WIDTH, epsilon=0.1, centred=True).double()
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, WIDTH, 3, 5).double()
    expected = torch.nn.functional.layer_norm(
        x.movedim(1, -1), (WIDTH,), norm.weight, norm.bias, norm.epsilon
    ).movedim(-1, 1)
    torch.testing.assert_close(norm(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_networks_of_both_are_followed(channels):
    model = alive(Placed(channels, 2 * channels), outputs.Categorical(levels=2), (channels, 5, 7))
    assert_followed(model.double())


def test_positions_stand_on_coarser_grids_too():
    colours = (0,) * WIDTH

    def body(s, y):
        return y + s.up(torch.tanh(s.place(s.down(y))), y)

    parts = {
        "down": layers.DownConv2d(colours, colours, (2, 3), (1, 2)),
        "place": layers.PositionEmbedding(5, 7, WIDTH),
        "up": layers.UpConv2d(colours, colours, (2, 2), (0, 0)),
    }
    assert_followed(small_model(body, **parts))


@pytest.mark.parametrize("order", ["channel", "pixel"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_with_both_keeps_its_promises(channels, order):
    verify.check_network(Placed(channels, 2 * channels, order)).raise_if_failed()
