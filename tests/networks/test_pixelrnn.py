"""PixelRNN: its recurrences position by position, what they see, and the published size."""

import pytest
import torch

from pixelcnn.errors import ConfigError
from pixelcnn.layers import DiagonalRecurrence, RowRecurrence
from pixelcnn.layers.recurrent import skew, unskew
from pixelcnn.masks import raster_past
from pixelcnn.networks.pixelrnn import DiagonalBiLSTM, RowLSTM
from pixelcnn.verify import check_network
from pixelcnn.verify.causality import claimed_past, measure

LAYERS = {
    "row 1": lambda: RowRecurrence(3, kernel=1),
    "row 3": lambda: RowRecurrence(3, kernel=3),
    "row 5": lambda: RowRecurrence(3, kernel=5),
    "diagonal": lambda: DiagonalRecurrence(3),
    "backward": lambda: DiagonalRecurrence(3, backward=True),
}
KINDS = {"row": RowLSTM, "diagonal": DiagonalBiLSTM}


def tiny(kind, channels=1, **arguments):
    options = {"out": 2 * channels, "width": 6, "depth": 2, "first_kernel": 5, "head_width": 7}
    return KINDS[kind](channels=channels, **options | arguments)


def by_hand(layer, gates):
    """The formula of the layer's module, a position at a time."""
    n, _, height, width = gates.shape
    zero = torch.zeros(n, layer.width, dtype=gates.dtype)
    h, c = {}, {}
    backward = getattr(layer, "backward", False)
    for row in range(height):
        for column in sorted(range(width), reverse=backward):
            total = gates[:, :, row, column]
            for k, (down, right) in enumerate(layer.taps):
                total = total + h.get((row + down, column + right), zero) @ layer.weight[..., k].T
            o, f, i, g = total.chunk(4, 1)
            before = c.get((row + layer.cell[0], column + layer.cell[1]), zero)
            c[row, column] = f.sigmoid() * before + i.sigmoid() * g.tanh()
            h[row, column] = o.sigmoid() * c[row, column].tanh()
    out = torch.zeros(n, layer.width, height, width, dtype=gates.dtype)
    for row, column in h:
        out[:, :, row, column] = h.get((row - backward, column), zero)
    return out


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("size", [(5, 7), (7, 5), (1, 9), (9, 1), (1, 1)])
@pytest.mark.parametrize("name", LAYERS)
def test_a_recurrence_is_its_formula_at_every_position(name, size):
    layer = LAYERS[name]()
    gates = torch.randn(2, 12, *size)
    torch.testing.assert_close(layer(gates), by_hand(layer, gates), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_a_recurrence_are_those_of_its_formula(name):
    layer = LAYERS[name]()
    gates = torch.randn(2, 12, 5, 7, requires_grad=True)
    mix = torch.randn(2, 3, 5, 7)
    fast, slow = (
        torch.autograd.grad((states * mix).sum(), (gates, layer.weight))
        for states in (layer(gates), by_hand(layer, gates))
    )
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_taps_of_a_recurrence_lie_strictly_before_it(name):
    layer = LAYERS[name]()
    turn = -1 if getattr(layer, "backward", False) else 1
    assert all((down, turn * right) < (0, 0) for down, right in (*layer.taps, layer.cell))


@pytest.mark.parametrize("name", LAYERS)
def test_cells_are_summed_in_single_precision_where_the_gates_are_half(name):
    layer = LAYERS[name]()
    gates = torch.randn(2, 12, 5, 7).bfloat16()
    states = layer(gates)
    assert states.dtype == torch.bfloat16
    torch.testing.assert_close(states, layer(gates.float()).bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LAYERS)
def test_weights_may_be_half_as_well(name, kind):
    layer, gates = LAYERS[name]().to(kind), torch.randn(2, 12, 5, 7).to(kind)
    states = layer(gates)
    torch.testing.assert_close(states, layer.float()(gates.float()).to(kind), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(5, 7), (7, 5), (1, 9), (9, 1), (1, 1)])
def test_skewing_moves_each_row_by_its_number_and_back(size):
    height, width = size
    x = torch.rand(2, 3, height, width)
    skewed = skew(x)
    expected = torch.zeros(2, 3, height, width + height - 1)
    for row in range(height):
        expected[:, :, row, row : row + width] = x[:, :, row]
    assert torch.equal(skewed, expected)
    assert torch.equal(unskew(skewed, width), x)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("kernel", "first_kernel"), [(3, 3), (3, 7), (5, 5)])
def test_row_lstm_claims_what_it_sees(kernel, first_kernel, depth):
    network = tiny("row", 3, kernel=kernel, first_kernel=first_kernel, depth=depth)
    seen = measure(network, 9, 6, least=4)
    assert torch.equal(seen.measured, seen.claimed)


def test_row_lstm_sees_a_triangle():
    network = tiny("row", first_kernel=3, depth=1)
    seen = claimed_past(network, 5, 9)[0, 4, 4, 0].int().tolist()
    assert seen == [
        [1, 1, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1, 1, 1, 0, 0],
        [0, 1, 1, 1, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_diagonal_bilstm_sees_all_of_the_past_in_one_layer(channels):
    network = tiny("diagonal", channels, depth=1, first_kernel=3)
    assert torch.equal(measure(network, 9, 6).measured, raster_past(channels, 9, 6))


def test_without_the_image_the_backward_half_misses_the_end_of_the_row_above():
    """As published: what the right border's features have seen ends before their own pixel."""

    class Published(DiagonalBiLSTM):
        def forward(self, x, condition=None):
            y = self.input(x)
            for layer in self.layers:
                y = layer(y, torch.zeros_like(x), condition)
            return self.head(y)

    found = measure(Published(channels=1, out=1, width=6, depth=2, first_kernel=3), 5, 7)
    missed = found.allowed & ~found.measured
    assert missed.any()
    pairs = torch.zeros(35, 35, dtype=torch.bool)
    for row in range(1, 5):
        pairs[row * 7 : row * 7 + 5, row * 7 - 1] = (
            True  # all but those within the first kernel's reach
        )
    assert torch.equal(missed.reshape(35, 35), pairs)


def test_the_published_size_for_mnist():
    """7 layers, h = 16: input-to-state 2h to 4h, state-to-state h to 4h, back to 2h (2016a, table 1)."""
    h, depth, head = 16, 7, 32
    ends = (49 * 2 * h + 2 * h) + (2 * h * head + head) + (head * head + head) + (head + 1)
    expand = h * 2 * h + 2 * h
    row = (3 * 2 * h * 4 * h + 4 * h) + 3 * h * 4 * h + expand
    halves = 2 * ((2 * h * 4 * h + 4 * h) + 2 * h * 4 * h)
    image = 4 * h  # the backward half reads the image, which the paper's does not
    count = {
        kind: sum(p.numel() for p in KINDS[kind](channels=1, out=1).parameters()) for kind in KINDS
    }
    assert count["row"] == ends + depth * row
    assert count["diagonal"] == ends + depth * (halves + expand + image)


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_embedded_for_every_layer_that_reads_the_image(kind):
    network = tiny(kind, 2, embedding=5, codes=7)
    x = torch.randint(7, (2, 2, 5, 7))
    assert network(x).shape == (2, 4, 5, 7)
    check_network(network).raise_if_failed()


def test_cells_remember_at_first():
    network = tiny("diagonal", depth=1)
    bias = network.layers[0].gates.convolve.bias
    assert bias.chunk(4)[1].eq(1).all()
    assert bias.sum() == 3


def test_a_kernel_wider_than_the_first_is_refused():
    with pytest.raises(ConfigError, match="wider than first_kernel"):
        tiny("row", kernel=7, first_kernel=5)
