"""Correct networks in the ways that others write them are passed, and a mistake in them is still found."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils import weight_norm as old_weight_norm

from broken import Stack
from pixelcnn import PixelModel, outputs
from pixelcnn.masks import raster_mask
from pixelcnn.verify import check_model, check_network


class Masked(nn.Conv2d):
    """A convolution whose mask is a frozen parameter."""

    def __init__(self, inputs: int, features: int, *, sees_itself: bool) -> None:
        super().__init__(inputs, features, 3, padding=1)
        mask = raster_mask((3, 3), sees_itself=sees_itself).float().expand(self.weight.shape)
        self.mask = nn.Parameter(mask.clone(), requires_grad=False)

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class Plain(Stack):
    """The stack of the gallery with layers of this file."""

    opened = False

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.first = Masked(channels, self.width, sees_itself=self.opened)
        self.second = self.normed(Masked(self.width, self.width, sees_itself=True))
        self.head = nn.Conv2d(self.width, out, 1)

    def normed(self, layer):
        return layer


class Open(Plain):
    """Mask B in the first layer."""

    opened = True


class OldWeightNorm(Plain):
    def normed(self, layer):
        return old_weight_norm(layer)


class OldSpectralNorm(Plain):
    def normed(self, layer):
        return old_spectral_norm(layer)


class SpectralNorm(Plain):
    def normed(self, layer):
        return parametrizations.spectral_norm(layer)


class KeepsWhatItGave(Plain):
    """Its last features are there to look at, and what it computed is kept by size."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.seen: dict[object, object] = {}

    def forward(self, x, condition=None):
        self.seen[tuple(x.shape)] = self.last = super().forward(x)
        return self.last


class Scripted(Plain):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.head = torch.jit.script(nn.Sequential(nn.Conv2d(self.width, out, 1), nn.Dropout(0.1)))


class Overwrites(Plain):
    """It takes no condition, and works in its input."""

    def forward(self, x):
        x -= 0.5
        return super().forward(x)


class Frozen(Plain):
    """As after ``requires_grad_(False)``, for inference."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.requires_grad_(False)


STYLES = (
    *(Plain, OldWeightNorm, OldSpectralNorm, SpectralNorm, KeepsWhatItGave, Scripted, Overwrites),
    Frozen,
)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*jit.script.*:DeprecationWarning")
@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_correct_networks_are_passed_however_they_are_written(style):
    network = style(1, 2)
    network(torch.zeros(1, 1, 4, 4))
    check_network(network).raise_if_failed()


def test_a_compiled_network_is_what_it_was_made_from():
    check_network(torch.compile(Plain(1, 2), backend="eager")).raise_if_failed()


def test_a_mask_that_is_a_parameter_hides_no_leak():
    reasons = {row.name: row.detail for row in check_network(Open(1, 2)).failures}
    assert "its own value" in reasons["no output sees its future"]


def test_a_frozen_layer_that_gives_nothing_hides_no_leak():
    network = Open(1, 2)
    nn.init.zeros_(network.head.weight)
    network.requires_grad_(False)
    assert "no output sees its future" in {r.name for r in check_network(network).failures}


class Table(nn.Module):
    """What is learned of nothing."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones(1, features, 1, 1))

    def forward(self):
        return self.value


class Step(nn.Module):
    """It has no gradient."""

    def forward(self, x):
        return (x > 0).to(x)


class OpenBesideOthers(Open):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.table, self.step = Table(self.width), Step()

    def forward(self, x, condition=None):
        h = torch.relu(self.first(x) + self.table())
        return self.head(torch.relu(self.second(h + self.step(h))))


class OpenInPlace(Open):
    """The mistake lies first, the activations overwrite what they are given."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.relu, self.elu = nn.ReLU(inplace=True), nn.ELU(inplace=True)

    def forward(self, x, condition=None):
        return self.head(self.elu(self.second(self.relu(self.first(x)))))


@pytest.mark.parametrize("style", [OpenBesideOthers, OpenInPlace])
def test_layers_of_other_kinds_keep_none_from_being_blamed(style):
    failures = check_network(style(1, 2)).failures
    reasons = {row.name: row.detail for row in failures}
    assert reasons["no output sees its future"].startswith("the first layer `first` (Masked)")


class Unlisted(Plain):
    """A list in place of a ``ModuleList``."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        del self.second
        self.later = [Masked(self.width, self.width, sees_itself=True)]

    def second(self, x):
        return self.later[0](x)


def test_weights_that_pytorch_does_not_see_are_named():
    reasons = {row.name: row.detail for row in check_network(Unlisted(1, 2)).failures}
    assert "`later[0].weight` lies in a list" in reasons["its arguments rebuild it"]


class WithoutGradient(Plain):
    @torch.no_grad()
    def forward(self, x, condition=None):
        return super().forward(x)


def test_a_network_without_gradients_is_told_so():
    reasons = {row.name: row.detail for row in check_network(WithoutGradient(1, 2)).failures}
    assert "no gradient reaches first.bias" in reasons["gradients reach every parameter"]


class Pair(Plain):
    def forward(self, x, condition=None):
        return super().forward(x), None


def test_what_is_no_tensor_is_named():
    reasons = {row.name: row.detail for row in check_network(Pair(1, 2)).failures}
    assert [*reasons] == ["one set of parameters for each position"]
    assert next(iter(reasons.values())).startswith("Pair gave tuple, not parameters")


class Talkative(Plain):
    def forward(self, x, condition=None):
        raise ValueError("one\ntwo" * 1000)


def test_what_a_network_raises_is_told_in_one_line():
    model = PixelModel(Talkative(1, 1), outputs.Bernoulli(), (1, 4, 4))
    said = [row.detail for row in check_model(model).failures]
    assert said
    assert all("\n" not in line and len(line) < 1000 for line in said)


class Fixed(Plain):
    def forward(self, x, condition=None):
        return super().forward(x.reshape(len(x), -1, 4, 4))


class Limited(Fixed):
    largest = (4, 4)


def test_a_network_of_a_size_that_nobody_names_is_told_so_once():
    (failure,) = check_network(Fixed(1, 1)).failures
    assert failure.name == "one set of parameters for each position"
    assert failure.detail.startswith("raised RuntimeError on 5x7 images in float64: ")
    assert failure.detail.endswith("; name a size that it takes to try the rest")


@pytest.mark.parametrize(
    "check",
    [
        lambda n: check_network(n, 4, 4),
        lambda n: check_model(PixelModel(n, outputs.Bernoulli(), (1, 4, 4))),
    ],
)
@pytest.mark.parametrize("kind", [Fixed, Limited])
def test_a_network_of_one_size_is_tried_at_that_and_the_fact_is_noted(check, kind):
    report = check(kind(1, 1))
    report.raise_if_failed()
    (row,) = [row for row in report.rows if row.name == "one set of parameters for each position"]
    assert row.noted and row.detail.startswith("at 4x4, and not at all sizes: raised RuntimeError")
    assert any(row.name == "every output sees the past it claims" for row in report.rows)


class Positioned(Plain):
    """Adds a number for each position, as many as one size has."""

    def __init__(self, channels=1, out=1):
        super().__init__(channels, out)
        self.places = torch.nn.Parameter(torch.randn(1, out, 4, 4))

    def forward(self, x, condition=None):
        return super().forward(x) + self.places


def test_what_spreads_over_positions_at_other_sizes_is_a_network_of_one_size():
    report = check_model(PixelModel(Positioned(), outputs.Bernoulli(), (1, 4, 4)))
    rows = {row.name: row for row in report.rows}
    assert rows["one set of parameters for each position"].noted
    assert rows["no output sees its future"].passed


def test_weights_that_are_zero_are_no_mask():
    """As of a last layer that begins at zero."""
    network = Plain(1, 2)
    torch.nn.init.zeros_(network.head.weight)
    check_network(network).raise_if_failed()


class Halved(Plain):
    """Takes sides that can be halved twice, as a U-net does that crops nothing."""

    def forward(self, x, condition=None):
        half = F.avg_pool2d(F.avg_pool2d(F.pad(x, (4, 0, 4, 0))[:, :, :-4, :-4], 2), 2)
        return super().forward(x) + F.interpolate(half, scale_factor=4)[:, :1]


def test_a_network_on_coarser_grids_is_tried_at_a_size_that_it_takes():
    report = check_network(Halved(1, 1))
    report.raise_if_failed()
    detail = next(row.detail for row in report.rows if row.noted)
    assert detail.startswith("at 4x8, and not at all sizes: ")


def test_a_leak_on_coarser_grids_is_found():
    class Leaky(Halved):
        def forward(self, x, condition=None):
            half = F.avg_pool2d(F.avg_pool2d(x, 2), 2)
            return super().forward(x) + F.interpolate(half, scale_factor=4)[:, :1]

    failed = [row.name for row in check_network(Leaky(1, 1)).failures]
    assert "no output sees its future" in failed


def test_a_centre_that_is_closed_for_all_channels_is_told_from_one_that_is_closed_twice():
    reasons = {row.name: row.detail for row in check_network(Plain(3, 6)).failures}
    reason = reasons["every output sees the past it claims"]
    assert reason.startswith("the centre is closed for all channels, mask A leaves")


class Normed(Plain):
    """A vertical stack that reads its own row, is normed over the batch, and moved down before it is used."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out)
        self.above = Masked(channels, self.width, sees_itself=True)
        self.above.mask.data[:, :, 1] = 1
        self.norm, self.across = nn.BatchNorm2d(self.width), nn.Conv2d(self.width, self.width, 1)

    def forward(self, x, condition=None):
        above = F.pad(self.norm(self.above(x))[:, :, :-1], (0, 0, 1, 0))
        return self.head(torch.relu(self.second(torch.relu(self.first(x) + self.across(above)))))


def test_a_norm_over_the_batch_is_at_fault_and_not_what_stands_before_it():
    reasons = {row.name: row.detail for row in check_network(Normed(1, 1)).failures}
    reason = reasons["no output sees its future, in training mode"]
    assert reason.startswith("`norm` (BatchNorm2d) takes a statistic over space")
