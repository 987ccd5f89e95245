"""Embedded codes: every engine looks them up."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tiny
from engines.walks import (
    FAST,
    alive,
    assert_engine_is_exact,
    assert_engines_draw_alike,
    images_of,
    model_of,
    needs_native,
    parameters,
)
from pixelcnn import engines, layers, networks, outputs
from pixelcnn.engines.stages import stages_of
from pixelcnn.engines.trace import trace
from pixelcnn.program import Program, Unlowerable


@pytest.mark.parametrize(
    "embedding", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 16))]
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", tiny.EMBEDS)
@pytest.mark.parametrize("engine", FAST)
def test_every_engine_looks_up_what_full_does(engine, name, channels, embedding):
    model = model_of(name, (channels, 5, 7), levels=7, embedding=embedding, codes=7)
    assert_engine_is_exact(model, engine)


@needs_native
def test_all_engines_draw_the_same_codes():
    model = model_of("gated-pixelcnn", (3, 5, 7), levels=7, embedding=4, codes=7)
    assert_engines_draw_alike(model)


@pytest.mark.parametrize("engine", FAST)
def test_the_largest_code_is_not_rounded(engine):
    """65,536 levels, all of which a float32 can tell apart."""
    levels = 65_536
    model = model_of("pixelcnn", (1, 3, 5), levels=levels, embedding=2, codes=levels, head_depth=0)
    with torch.no_grad():
        model.network.embed.weight[0, -2:] = torch.tensor([[-3.0, 3.0], [5.0, -5.0]])
    images = torch.full((1, 1, 3, 5), levels - 1)
    images[..., 1::2] -= 1
    fast = parameters(model, engines.start(model, 1, None, engine), images)
    slow = parameters(model, engines.start(model, 1, None, "full"), images)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-4)


@needs_native
@pytest.mark.parametrize(("outside", "nearest"), [(-1, 0), (7, 6), (2**31 - 1, 6), (-(2**31), 0)])
def test_a_level_outside_the_table_reads_its_nearest_row(outside, nearest):
    model = model_of("pixelcnn", (1, 3, 5), levels=7, embedding=4, codes=7)
    images = images_of(model, 2)
    images[..., 1, :] = nearest
    expected = parameters(model, engines.start(model, 2, None, "native"), images)
    images[..., 1, :] = outside
    got = parameters(model, engines.start(model, 2, None, "native"), images)
    assert torch.equal(got, expected)


def test_the_features_of_a_channel_are_known_with_its_level():
    program = Program()
    program.lookup(program.input(3), torch.randn(3, 5, 2))
    assert stages_of(program, 3)[1].tolist() == [1, 1, 2, 2, 3, 3]
    assert stages_of(program, 1)[1].tolist() == [1] * 6


def test_only_levels_are_looked_up():
    program = Program()
    computed = program.elementwise("relu", program.input(1))
    with pytest.raises(Unlowerable, match="only the levels"):
        program.lookup(computed, torch.randn(1, 5, 2))


# Tables of a network's own

OWN = {
    "a layer": lambda s, x: s.table(x[:, 0]).permute(0, 3, 1, 2),
    "a layer of all codes": lambda s, x: (
        s.table(x.view(-1)).view(*x[:, 0].size(), -1).movedim(3, 1)
    ),
    "a function": lambda s, x: F.embedding(x.squeeze(1).long(), s.table.weight).movedim(-1, 1),
    "ones": lambda s, x: F.one_hot(x[:, 0], 7).permute(0, 3, 1, 2).type_as(s.table.weight),
    "ones as numbers": lambda s, x: F.one_hot(x, num_classes=7)[:, 0].float().permute(0, 3, 1, 2),
    "channels": lambda s, x: s.table(x).movedim(-1, 2).flatten(1, 2),
}


class OwnTable(networks.Network):
    """Embeds codes as other implementations do."""

    def __init__(self, how, channels=1, out=7):
        super().__init__(channels, out, "pixel", None, 0, embedding=1, codes=7)
        self.embed = None
        self.how, self.table = how, nn.Embedding(7, 7)
        features = (0,) * 7 * channels
        self.first = layers.MaskedConv2d(features, (0,) * 4, (3, 3), sees_itself=False)
        self.head = nn.Conv2d(4, out, 1)

    def forward(self, x, condition=None):
        return self.head(torch.relu(self.first(self.how(self, x))))


@pytest.mark.parametrize("engine", FAST)
@pytest.mark.parametrize("how", OWN)
def test_a_network_looks_codes_up_in_a_table_of_its_own(how, engine):
    model = alive(OwnTable(OWN[how]), outputs.Categorical(levels=7), (1, 5, 7))
    assert_engine_is_exact(model, engine)


def test_each_channel_is_looked_up_in_the_same_table():
    output = outputs.LogisticMixture(levels=7, components=1)
    network = OwnTable(OWN["channels"], channels=3, out=output.parameters_per_pixel(3))
    assert_engine_is_exact(alive(network, output, (3, 5, 7)), "cached")


NO_LEVELS = {
    "as many as there are": (lambda s, x: F.one_hot(x[:, 0]).movedim(-1, 1), "happen to be"),
    "what is computed": (lambda s, x: s.table(x.exp()[:, 0]).movedim(-1, 1), "only the levels"),
    "long": (lambda s, x: x.exp().long(), "long of what is no level"),
}


@pytest.mark.parametrize(("how", "reason"), NO_LEVELS.values(), ids=NO_LEVELS)
def test_what_is_no_level_is_not_looked_up(how, reason):
    with pytest.raises(Unlowerable, match=reason):
        trace(OwnTable(how))
