"""Dense layers that others wrote, over images that they flatten themselves, mean the same in a program."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pixelcnn as px
from engines.small import Small, assert_followed, small_model
from engines.walks import alive
from pixelcnn import engines, outputs
from pixelcnn.engines.trace import trace
from pixelcnn.errors import ConfigError
from pixelcnn.networks import Network

ROWS, COLUMNS = 3, 5
HIDDEN = 23


class Masked(nn.Linear):
    """A dense layer times a mask, as MADE's authors and all after them write it."""

    def __init__(self, inputs, outputs, seen):
        super().__init__(inputs, outputs)
        self.register_buffer("mask", seen.float())

    def forward(self, x):
        return F.linear(x, self.mask * self.weight, self.bias)


class Flattened(Network):
    """Two masked layers between ``before(x)`` and ``after(self, y, x)``.

    Args:
        before: flattens the image.
        after: parameters ``(n, out, h, w)`` of units.
        channels: of the image.
        levels: parameters of a channel.
        steps: of the walk, for each unit that ``before`` gives; by default their number.
        parameters_of: the same for the units that ``after`` is given.
        largest: see :class:`Network`; None for what no network of this kind should leave it.
    """

    def __init__(
        self,
        before,
        after,
        channels=1,
        levels=2,
        steps=None,
        parameters_of=None,
        largest=(ROWS, COLUMNS),
        condition=None,
    ):
        super().__init__(channels, channels * levels, "channel", condition, 3 if condition else 0)
        self.before, self.after, self.largest = before, after, largest
        self.levels, self.steps, self.parameters_of = levels, steps, parameters_of
        steps = torch.arange(ROWS * COLUMNS * channels) if steps is None else steps
        parameters = steps.repeat(levels) if parameters_of is None else parameters_of
        drawn = torch.randint(
            int(steps.max()), (HIDDEN,), generator=torch.Generator().manual_seed(0)
        )
        self.hidden = Masked(len(steps), HIDDEN, steps <= drawn[:, None])
        self.head = Masked(HIDDEN, len(parameters), drawn < parameters[:, None])
        self.link = Masked(len(steps), len(parameters), steps < parameters[:, None])
        self.told = nn.Embedding(3, HIDDEN) if condition else None

    def forward(self, x, condition=None):
        units = self.before(x)
        y = self.hidden(units)
        if self.told is not None:
            y = y + self.told(condition)
        return self.after(self, self.head(torch.relu(y)) + self.link(units), x)


def levels_first(s, y, x):
    return y.view(x.shape[0], s.out, ROWS, COLUMNS)


def levels_last(s, y, x):
    return y.view(-1, x.size(2), x.size(3), s.out).permute(0, 3, 1, 2)


def in_parts(s, y, x):
    n, _, h, w = x.shape
    return torch.stack([part.view(n, h, w) for part in y.chunk(2, 1)], 1)


LAST = torch.arange(ROWS * COLUMNS).repeat_interleave(2)


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [
        (lambda x: x.view(x.shape[0], -1), levels_first, {}),
        (lambda x: x.view(-1, ROWS * COLUMNS), levels_first, {}),
        (lambda x: x.reshape(len_of(x), ROWS * COLUMNS), levels_first, {}),
        (lambda x: torch.flatten(x, 1), levels_first, {}),
        (lambda x: 2 * x.flatten(start_dim=1) - 1, levels_last, {"parameters_of": LAST}),
        (lambda x: x[:, 0].flatten(1), levels_first, {}),
        (lambda x: x.squeeze(1).view(x.size(0), -1), in_parts, {}),
    ],
)
def test_an_image_is_flattened_and_put_together_again(before, after, more):
    assert_followed(small_model(Flattened(before, after, **more)))


def len_of(x):
    return x.size()[0]


def colours_apart(s, y, x):
    """Units channel by channel, all levels of a sub-pixel at once."""
    n, c, h, w = x.shape
    return y.view(n, -1, c, h, w).transpose(1, 2).reshape(n, s.out, h, w)


def colours_together(s, y, x):
    """Units position by position, as they are walked, the levels first."""
    n, c = x.shape[:2]
    return y.view(n, -1, ROWS, COLUMNS, c).permute(0, 4, 1, 2, 3).reshape(n, s.out, ROWS, COLUMNS)


WALKED = torch.arange(ROWS * COLUMNS * 3).view(ROWS, COLUMNS, 3)


@pytest.mark.parametrize(
    ("before", "after", "steps"),
    [
        (lambda x: x.reshape(x.size(0), -1), colours_apart, WALKED.permute(2, 0, 1)),
        (lambda x: x.permute(0, 2, 3, 1).flatten(1), colours_together, WALKED),
        (lambda x: 2 * x.flatten(1) - 1, colours_apart, WALKED.permute(2, 0, 1)),
        (lambda x: x.flatten(2).transpose(1, 2).flatten(1), colours_together, WALKED),
    ],
)
def test_colours_are_flattened_in_any_order(before, after, steps):
    network = Flattened(before, after, channels=3, levels=4, steps=steps.flatten())
    torch.manual_seed(0)
    model = alive(network, outputs.Categorical(levels=4), (3, ROWS, COLUMNS)).double()
    assert_followed(model)
    assert str(trace(network)).count("dense") == 3, "none of them is there twice"


def test_features_that_are_as_many_as_positions_are_features():
    def apart(s, y):
        heads = y.view(y.shape[0], ROWS, 2, -1).flatten(1, 2)
        return heads.view(y.shape)

    network = Small(apart)
    network.largest = (ROWS, 2)
    assert_followed(alive(network, outputs.Categorical(levels=2), (1, ROWS, 2)).double())


def test_what_is_made_of_the_label_meets_units():
    network = Flattened(lambda x: x.flatten(1), levels_first, condition="label")
    model = alive(network, outputs.Categorical(levels=2), (1, ROWS, COLUMNS))
    assert engines.choose(model).name == "native"
    labels = torch.tensor([0, 2])
    drawn = [px.sample(model, 2, condition=labels, engine=e) for e in ("full", "native")]
    assert torch.equal(*drawn)


def test_it_runs_natively_and_keeps_every_promise():
    network = Flattened(lambda x: x.flatten(1), levels_first)
    model = alive(network, outputs.Categorical(levels=2), (1, ROWS, COLUMNS))
    assert engines.choose(model).name == "native"
    broken = [row.name for row in px.verify.check_model(model).rows if not row.passed]
    assert broken == ["its arguments rebuild it"], "which are functions here"


REFUSED = {
    "the network does not say `largest`": Flattened(
        lambda x: x.flatten(1), levels_first, largest=None
    ),
    "which the network does not say `largest`": Flattened(
        lambda x: x.view(-1, ROWS * COLUMNS), levels_first, largest=None
    ),
    "units that are known after it only": Flattened(
        lambda x: x.flatten(1), levels_first, steps=torch.arange(ROWS * COLUMNS).flip(0)
    ),
    "a shape (n, 3, height, width) of the units of 3x5": Flattened(
        lambda x: x.flatten(1), lambda s, y, x: y.view(x.size(0), 3, ROWS, COLUMNS)
    ),
    "units in another order": Flattened(
        lambda x: x.flatten(1), lambda s, y, x: levels_first(s, torch.cat([y, y], 1)[:, ::2], x)
    ),
    "a weight (23, 15) of 30 units": Flattened(
        lambda x: torch.cat([x, x], 1).flatten(1), levels_first
    ),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_not_followed_is_named(said):
    model = alive(REFUSED[said], outputs.Categorical(levels=2), (1, ROWS, COLUMNS))
    with pytest.raises(ConfigError) as caught:
        engines.choose(model, "cached")
    assert said in f"{caught.value}"
