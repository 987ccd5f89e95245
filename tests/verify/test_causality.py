"""Dependence is measured right: against masks known by heart, and by both methods on their own."""

import pytest
import torch

from broken import IntegerLookUp, Stack, UnmaskedLater
from pixelcnn.errors import ConfigError, ConformanceError
from pixelcnn.layers import ShiftedConv2d
from pixelcnn.masks import raster_past
from pixelcnn.networks import GatedPixelCNN, Network, PixelCNN
from pixelcnn.shapes import Position
from pixelcnn.verify import allowed_past, check_network, measure, randomise
from pixelcnn.verify.causality import by_flips, by_gradient, draw, example
from pixelcnn.verify.diagnosis import explain
from pixelcnn.verify.probing import another_level, images_interact, random_levels
from tiny import tiny_model


def test_one_layer_sees_exactly_its_kernel():
    seen = measure(PixelCNN(1, 1, width=4, depth=0, first_kernel=3)).measured
    assert seen[0, 2, 3, 0].int().tolist() == [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 0, 0],
        [0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]


def test_a_channel_sees_the_earlier_channels_of_its_pixel():
    seen = measure(PixelCNN(3, 6, width=6, depth=1, first_kernel=3)).measured
    assert seen[:, 2, 3, :, 2, 3].int().tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


def test_a_pixel_order_sees_no_channel_of_its_pixel():
    network = PixelCNN(3, 7, width=6, depth=1, first_kernel=3, order="pixel")
    assert not measure(network).measured[:, 2, 3, :, 2, 3].any()
    assert not allowed_past(network, 5, 7)[:, 2, 3, :, 2, 3].any()


def test_the_gated_network_has_no_blind_spot():
    seen = measure(GatedPixelCNN(1, 1, width=4, depth=7, first_kernel=3))
    assert torch.equal(seen.measured, raster_past(1, 5, 7))


def test_a_compiled_network_claims_what_it_was_made_from():
    network = PixelCNN(1, 1, width=4, depth=1, first_kernel=3)
    compiled = torch.compile(network, backend="eager")
    assert torch.equal(measure(compiled, 3, 5).claimed, measure(network, 3, 5).claimed)


@pytest.mark.parametrize(
    ("name", "value"), [("seed", -1), ("seed", 1.5), ("seed", None), ("most", 0)]
)
def test_a_seed_or_a_number_of_draws_out_of_range_is_refused(name, value):
    network = PixelCNN(1, 1, width=4, depth=0, first_kernel=3)
    with pytest.raises(ConfigError, match=f"{name} must be an integer"):
        measure(network, 3, 5, **{name: value})
    if name == "seed":
        with pytest.raises(ConfigError, match="seed must be an integer"):
            randomise(network, value)


@pytest.mark.parametrize("method", [by_gradient, by_flips])
def test_each_method_alone_finds_a_plain_leak(method):
    probe, x, other = draw(UnmaskedLater(1, 2), 5, 7, seed=0, positive=True)
    seen = method(probe, x) if method is by_gradient else method(probe, x, other)
    assert seen[0, 2, 3, 0, 3, 3]


def test_only_a_changed_level_finds_an_integer_look_up():
    probe, x, other = draw(IntegerLookUp(1, 2), 5, 7, seed=0, positive=True)
    assert not by_gradient(probe, x)[0, 2, 3, 0, 2, 4]
    assert by_flips(probe, x, other)[0, 2, 3, 0, 2, 4]


@pytest.mark.parametrize("method", [by_gradient, by_flips])
def test_each_method_alone_finds_a_code_that_sees_itself(method):
    class Peeks(Network):
        def __init__(self):
            super().__init__(1, 2, "channel", None, 0, embedding=3, codes=5)
            self.head = torch.nn.Conv2d(3, 2, 1)

        def forward(self, x, condition=None):
            return self.head(self.features_of(x))

    probe, x, other = draw(Peeks(), 2, 3, seed=0, positive=True)
    seen = method(probe, x) if method is by_gradient else method(probe, x, other)
    assert torch.equal(seen.reshape(6, 6), torch.eye(6, dtype=torch.bool))


def test_the_layer_at_fault_is_named_in_a_network_of_codes():
    class Codes(Network):
        def __init__(self):
            super().__init__(1, 5, "channel", None, 0, embedding=3, codes=5)
            self.first = ShiftedConv2d([0] * 3, [0] * 4, (2, 3), (2, 1))
            self.second = torch.nn.Conv2d(4, 5, 3, padding=1)

        def forward(self, x, condition=None):
            return self.second(torch.relu(self.first(self.embed(x))))  # as public code calls it

    details = [row.detail for row in check_network(Codes()).failures]
    assert any("`second` (Conv2d) reads 1 row below" in detail for detail in details), details


def test_one_of_two_layers_at_fault_is_named():
    network = UnmaskedLater(1, 2)
    network.head = torch.nn.Conv2d(network.width, 2, 3, padding=1)
    leaks = measure(network).leaks
    assert "`second` (Conv2d) reads 1 row below" in explain(network, leaks)


@pytest.mark.parametrize("channels", [1, 3])
def test_randomised_parameters_are_alive_and_the_network_is_left_as_it_was(channels):
    network = Stack(channels, 2 * channels)
    before = {name: p.clone() for name, p in network.named_parameters()}
    for positive in (False, True):
        drawn = randomise(network, seed=3, positive=positive)
        assert all(bool((p != 0).all()) for p in drawn.parameters())
        assert all(p.dtype == torch.float64 for p in drawn.parameters())
        assert positive == all(bool((p > 0).all()) for p in drawn.parameters())
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())


def test_a_last_layer_that_starts_at_zero_hides_nothing():
    network = UnmaskedLater(1, 2)
    torch.nn.init.zeros_(network.head.weight)
    assert measure(network).leaks.any()


def test_a_flip_compares_equal_places_of_equal_batches():
    """The promise behind "no tolerance": copies of an image give equal bits wherever nothing changed."""
    probe, x, _ = draw(tiny_model(3).network, 5, 7, seed=0, positive=False)
    assert not by_flips(probe, x, x).any()


def test_outputs_that_are_not_finite_are_no_leak_but_an_error():
    class Diverges(Stack):
        def forward(self, x, condition=None):
            return super().forward(x) * torch.inf

    with pytest.raises(ConformanceError, match="not finite"):
        measure(Diverges(1, 2))


@pytest.mark.parametrize("training", [False, True])
def test_images_of_a_correct_network_do_not_interact(training):
    assert not images_interact(
        PixelCNN(3, 6, width=6, depth=2, dropout=0.5), 5, 7, training=training
    )


def test_the_example_is_the_last_source_of_the_middle_target():
    pairs = torch.zeros(3, 5, 7, 3, 5, 7, dtype=torch.bool)
    pairs[2, 0, 0, 1, 4, 6] = pairs[1, 2, 3, 0, 3, 1] = pairs[1, 2, 3, 2, 2, 5] = True
    assert example(pairs) == (Position(1, 2, 3), Position(0, 3, 1))


@pytest.mark.parametrize("levels", [2, 3, 256])
def test_another_level_is_another_level(levels):
    images = random_levels((1000,), levels, seed=0)
    others = another_level(images, levels, seed=0)
    assert bool((images != others).all())
    assert int(others.min()) >= 0
    assert int(others.max()) < levels
