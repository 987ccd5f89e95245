"""Convolutions of PyTorch's own mean in a program what they mean in ``forward``, whatever surrounds them."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pixelcnn as px
from engines.small import WIDTH, assert_followed, small_model
from engines.walks import alive, condition_for
from pixelcnn import engines, networks, outputs
from pixelcnn.engines import programs
from pixelcnn.engines.programs import program_of
from pixelcnn.engines.trace import graph_of, trace
from pixelcnn.program import Unlowerable


class MaskedConv2d(nn.Conv2d):
    """As public implementations mask: the weights are multiplied by a mask before each use."""

    def __init__(self, kind, *args, how="product", **kwargs):
        super().__init__(*args, **kwargs)
        mask, (rows, columns) = torch.ones_like(self.weight), self.kernel_size
        mask[:, :, rows // 2, columns // 2 + (kind == "B") :] = 0
        mask[:, :, rows // 2 + 1 :] = 0
        self.how = how
        self.register_buffer("mask", mask)

    def forward(self, x):
        if self.how == "overwrite":
            self.weight.data *= self.mask
            return super().forward(x)
        if self.how == "in place":
            self.weight.mul_(self.mask)  # which only goes without gradients
            return super().forward(x)
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class Tutorial(networks.Network):
    """A stack of masked convolutions, with norms over batches."""

    def __init__(self, channels=1, out=2, how="product"):
        super().__init__(channels, out, "channel", None, 0)
        self.layers = nn.Sequential(
            MaskedConv2d("A", 1, WIDTH, 5, padding=2, how=how),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(True),
            MaskedConv2d("B", WIDTH, WIDTH, 3, padding=1, bias=False, how=how),
            nn.ReLU(True),
            nn.Conv2d(WIDTH, out, 1),
        )

    def forward(self, x, condition=None):
        return self.layers(x)


class Conditional(networks.Network):
    """Stacks that are padded and cut off, and a class by an embedding, a product and a map."""

    def __init__(self, channels=1, out=2):
        super().__init__(channels, out, "channel", "label", 3)
        self.above = nn.Conv2d(1, 2 * WIDTH, (2, 3), padding=(2, 1))
        self.left = nn.Conv2d(1, 2 * WIDTH, (1, 2), padding=(0, 2))
        self.classes, self.linear = nn.Embedding(3, 2 * WIDTH), nn.Linear(3, 2 * WIDTH)
        self.head = nn.Conv2d(WIDTH + 3, out, 1)

    def forward(self, x, condition=None):
        n, _, height, width = x.size()
        known = F.one_hot(condition, 3).to(x.dtype).T.T
        y = self.above(x)[:, :, :height] + self.left(x)[..., :width]
        a, b = (y + self.classes(condition)[:, :, None, None]).chunk(2, dim=1)
        gain, more = self.linear(known).view(n, -1, 1, 1).chunk(2, 1)
        y = gain * torch.tanh(a) * torch.sigmoid(b) + more
        everywhere = known[:, :, None, None].expand(-1, -1, height, width)
        return self.head(torch.cat([y, everywhere], 1))


def shift(y, down=0, right=0):
    """Features moved, as public implementations of two stacks move them."""
    _, _, height, width = y.shape
    return F.pad(y[:, :, : height - down, : width - right], (right, 0, down, 0))


def coarse(s, y, step, groups=1):
    """Every so many rows and columns, from the last position on that is known."""
    kernel = s.kernel(step, step, groups)
    return F.conv2d(F.pad(y, (step - 1, 0, step - 1, 0)), kernel, stride=step, groups=groups)


def like(y, x):
    """As many of the first rows and columns as another one has."""
    return y[:, :, : x.size(2), : x.size(3)]


BODIES = {
    "rows above": lambda s, y: F.conv2d(F.pad(y, (1, 1, 2, 0)), s.kernel(2, 3))[:, :, :-1],
    "pad more": lambda s, y: F.conv2d(y, s.kernel(2, 3), padding=(2, 1))[:, :, : y.size(2)],
    "left": lambda s, y: F.conv2d(F.pad(y, (2, 0)), s.kernel(1, 2))[..., : y.shape[-1]],
    "dilation": lambda s, y: F.conv2d(F.pad(y, (2, 0, 2, 0)), s.kernel(2, 2), dilation=2),
    "groups": lambda s, y: F.conv2d(F.pad(y, (0, 0, 1, 0)), s.kernel(2, 1, 3), groups=3),
    "depthwise": lambda s, y: F.conv2d(F.pad(y, (0, 0, 1, 0)), s.kernel(2, 1, WIDTH), groups=WIDTH),
    "shift down": lambda s, y: shift(y, down=1) + y,
    "shift right": lambda s, y: torch.relu(shift(y, right=2)) - y,
    "pad and take back": lambda s, y: F.pad(F.pad(y, (1, 2, 3, 0)), (-1, -2, -3, 0)) * 2,
    "zeros": lambda s, y: F.conv2d(y, 0 * s.kernel(1, 1)) + y,
    "same": lambda s, y: F.conv2d(y, s.kernel(3, 3) * s.past, padding="same"),
    "a number a feature": lambda s, y: (y - s.gain) * s.gain + 2 * (s.gain - y),
    "one number": lambda s, y: y * s.gain[:1] + torch.ones(()),
    "before a crop": lambda s, y: F.elu(2 * F.conv2d(y, s.kernel(2, 3), padding=(2, 1)))[:, :, :-3],
    "layers before it": lambda s, y: s.after(F.conv2d(y, s.kernel(1, 2), padding=(0, 2)))[..., :-3],
    "places": lambda s, y: torch.cat([y, s.of_all(y)], 1) + s.places[0, :1],
    "expanded places": lambda s, y: y * s.places[:, 1:].expand(y.size(0), WIDTH, *y.shape[2:]),
    "expanded to images": lambda s, y: y * s.gain.expand(y.size(0), WIDTH, *y.shape[2:]),
    "a number a column": lambda s, y: y + s.places[:, :1, :1],
    "places behind": lambda s, y: torch.cat(
        [y.movedim(1, 3), s.of_all(y).movedim(1, 3)], -1
    ).movedim(3, 1),
    "halves": lambda s, y: like(F.conv_transpose2d(coarse(s, y, 2), s.kernel(2, 2), stride=2), y),
    "thirds": lambda s, y: like(F.conv_transpose2d(coarse(s, y, 3), s.kernel(3, 3), stride=3), y),
    "strided groups": lambda s, y: like(s.up(torch.relu(coarse(s, y, 2, groups=3))), y),
    "strided depthwise": lambda s, y: like(s.up(coarse(s, y, 2, groups=WIDTH)), y),
    "written to both sides": lambda s, y: like(written_to_both_sides(s, y), y),
    "transposed": lambda s, y: F.conv_transpose2d(y, s.kernel(2, 2))[:, :, :-1, :-1],
    "transposed groups": lambda s, y: F.conv_transpose2d(y, s.kernel(1, 1, 2), groups=2),
}


def halves_of_halves(s, y):
    half = torch.tanh(coarse(s, y, 2))
    quarter = F.conv_transpose2d(coarse(s, half, 2), s.kernel(2, 2), stride=2)
    return like(s.up(torch.cat([like(quarter, half), half], 1)[:, 3:9]), y) + y


def written_to_both_sides(s, y):
    """As PixelCNN++ in PyTorch has it for what depends on finished rows only."""
    half = F.conv2d(F.pad(shift(y, down=1), (1, 1, 1, 0)), s.kernel(2, 3), stride=2)
    whole = F.conv_transpose2d(half, s.kernel(2, 3), stride=2, output_padding=1)
    _, _, height, width = [int(size) for size in whole.size()]
    return whole[:, :, : height - 1, 1 : width - 1]


def dilated(s, y):
    whole = F.conv_transpose2d(coarse(s, y, 2), s.kernel(2, 2), stride=2, dilation=3, padding=0)
    return like(whole, y)


BODIES |= {f.__name__: f for f in (halves_of_halves, dilated)}


class Parts(nn.Module):
    """Kernels and gains that a body uses outside a layer."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.randn(WIDTH, 1, 1))
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH, 3, 3))
        self.past = torch.tensor([[1.0, 1, 1], [1, 1, 0], [0, 0, 0]])
        rows, columns = torch.arange(3.0)[:, None] - 1.5, torch.linspace(-1, 1, 5)
        places = torch.stack([rows + columns / 2, columns.expand(3, -1)])
        self.register_buffer("places", places[None])
        self.after = nn.Sequential(nn.BatchNorm2d(WIDTH), nn.ELU(), nn.Dropout(0.3))
        self.up = nn.ConvTranspose2d(WIDTH, WIDTH, 3, stride=2)

    def of_all(self, y):
        n, _, height, width = y.shape
        return self.places[:, :, :height].expand(n, 2, height, width)

    def kernel(self, rows, columns, groups=1):
        return self.weight[:, : WIDTH // groups, :rows, :columns]


@pytest.mark.parametrize("name", BODIES)
def test_convolutions_and_what_is_padded_around_them_are_followed(name):
    assert_followed(small_model(lambda s, y: BODIES[name](s.parts, y), parts=Parts()))


@pytest.mark.parametrize("engine", ["cached", "native"])
@pytest.mark.parametrize("name", ["halves", "thirds", "halves_of_halves", "written to both sides"])
def test_coarser_grids_draw_what_a_full_pass_draws(name, engine):
    """Of sides that no stride divides."""
    model = small_model(lambda s, y: BODIES[name](s.parts, y), parts=Parts())
    model = px.PixelModel(model.network, model.output, (1, 5, 7)).float()
    fast, slow = (px.sample(model, 4, seed=1, engine=each) for each in (engine, "full"))
    assert torch.equal(fast, slow)


@pytest.mark.parametrize("how", ["product", "overwrite", "in place"])
def test_a_tutorials_network_runs_on_the_fast_engines(how):
    model = alive(Tutorial(how=how), outputs.Categorical(levels=2), (1, 5, 7))
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean), nn.init.uniform_(part.running_var, 0.5, 2)
    assert_followed(model.double())
    model.float()
    assert engines.choose(model).name != "full"
    assert torch.equal(px.sample(model, 5, seed=1), px.sample(model, 5, seed=1, engine="full"))


def test_a_label_that_functions_of_pytorch_read_is_tabulated():
    model = alive(Conditional(), outputs.Categorical(levels=2), (1, 5, 7))
    assert engines.choose(model).name != "full"
    labels = [0, 1, 2, 1]
    fast, slow = (px.sample(model, 4, condition=labels, seed=2, engine=e) for e in ("auto", "full"))
    assert torch.equal(fast, slow)


LABELS = [0, 2, 1]


def test_its_images_compress():
    model = alive(Conditional(), outputs.Categorical(levels=2), (1, 5, 7))
    images = px.sample(model, 3, condition=LABELS, seed=1)
    px.calibrate(model, images, condition=LABELS)
    packed = px.compress(model, images.numpy(), condition=LABELS)
    assert np.array_equal(px.decompress(model, packed), images.numpy())


class Residual(networks.Network):
    """A 1x1 convolution beside what it reads."""

    def __init__(self):
        super().__init__(1, 2, "channel", None, 0)
        self.first = MaskedConv2d("A", 1, WIDTH, 3, padding=1)
        self.middle, self.head = nn.Conv2d(WIDTH, WIDTH, 1), nn.Conv2d(WIDTH, 2, 1)

    def forward(self, x, condition=None):
        y = self.first(x)
        return self.head(torch.relu(y + self.middle(torch.relu(y))))


@pytest.mark.parametrize("filters", [slice(None), slice(1, 3)], ids=["all", "some"])
def test_filters_of_zeros_read_nothing(filters):
    """As where residuals begin at zero, or after pruning."""
    model = alive(Residual(), outputs.Categorical(levels=2), (1, 5, 7))
    model.network.middle.weight.data[filters] = 0
    assert engines.choose(model).name != "full"
    assert torch.equal(px.sample(model, 3, seed=1), px.sample(model, 3, seed=1, engine="full"))


class Square(networks.Network):
    """Cuts rows off by the width, as some do whose images are as high as wide."""

    def __init__(self, channels=1, out=2):
        super().__init__(channels, out, "channel", None, 0)
        self.above, self.head = nn.Conv2d(1, WIDTH, (2, 3), padding=(2, 1)), nn.Conv2d(WIDTH, 2, 1)

    def forward(self, x, condition=None):
        return self.head(self.above(x)[:, :, : x.size(-1)])


@pytest.mark.parametrize(
    ("height", "width", "full"), [(6, 6, False), (5, 7, True), (66, 66, False), (257, 257, False)]
)
def test_a_width_that_cuts_rows_is_the_height_of_square_images(height, width, full):
    """Larger ones are compared in part, and the part of a square is one."""
    model = alive(Square(), outputs.Categorical(levels=2), (1, height, width))
    chosen = engines.choose(model)
    assert (chosen.name == "full") == full and "its part" not in chosen.reason
    if height == 6:
        fast, slow = (px.sample(model, 3, seed=1, engine=name) for name in ("auto", "full"))
        assert torch.equal(fast, slow)


MIXED = {
    "the first": lambda e, h: e(h[:1]),
    "the first of all": lambda e, h: e(h[:1]).expand(h.size(0), -1),
    "another": lambda e, h: e(h.flip(0)),
    "their mean": lambda e, h: e(h) - e(h).mean(0),
    "the last": lambda e, h: e(h) - e(h[-1:]),
    "the largest": lambda e, h: e(h) * (h / h.max())[:, None],
    "the least": lambda e, h: e(h) * (h - h.min())[:, None],
}


class Mixed(networks.Network):
    """What it makes of the labels of a batch is added to what it makes of the image."""

    def __init__(self, how, classes):
        super().__init__(1, 2, "channel", "label", classes)
        self.how, self.classes = how, nn.Embedding(classes, WIDTH)
        self.first, self.head = MaskedConv2d("A", 1, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, 2, 1)

    def forward(self, x, condition=None):
        return self.head(self.first(x) + self.how(self.classes, condition)[:, :, None, None])


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("how", MIXED)
def test_labels_that_meet_in_a_batch_are_no_table(how, classes):
    model = alive(Mixed(MIXED[how], classes), outputs.Categorical(levels=2), (1, 5, 7))
    assert engines.choose(model).name == "full"


class HalfInTraining(nn.Module):
    """Drops weights at random in training mode only."""

    def forward(self, weight):
        return F.dropout(weight, 0.5, self.training)


@pytest.mark.parametrize("how", ["dropped", "spectral"])
def test_parametrizations_are_those_of_evaluation_mode(how):
    """In training mode one is drawn anew at each use, another moves buffers at each."""
    model = alive(Tutorial(), outputs.Categorical(levels=2), (1, 5, 7))
    last = model.network.layers[-1]
    if how == "dropped":
        nn.utils.parametrize.register_parametrization(last, "weight", HalfInTraining())
    else:
        nn.utils.parametrizations.spectral_norm(last)
    before = copy.deepcopy(model.train().state_dict())
    chosen = engines.choose(model)
    assert chosen.name != "full"
    assert torch.equal(px.sample(model, 5, seed=1), px.sample(model, 5, seed=1, engine="full"))
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.parametrize("number", [0, -1], ids=["a layer of its own", "PyTorch's"])
def test_a_weight_norm_is_that_of_the_weights_as_they_are_now(norm, number):
    """The first keeps the weight that it computed last; a forward pass with gradients leaves it a history."""
    model = alive(Tutorial(), outputs.Categorical(levels=2), (1, 5, 7)).double()
    normed = norm(model.network.layers[number])
    assert_followed(model)
    model.network(torch.zeros(1, 1, 5, 7, dtype=torch.float64)).sum().backward()
    with torch.no_grad():
        for parameter in normed.parameters():
            parameter += 0.1
    assert_followed(model)
    assert torch.equal(px.sample(model, 5, seed=1), px.sample(model, 5, seed=1, engine="full"))


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
def test_another_hook_beside_a_weight_norm_is_the_reason():
    model = alive(Tutorial(), outputs.Categorical(levels=2), (1, 5, 7))
    nn.utils.weight_norm(model.network.layers[-1]).register_forward_pre_hook(lambda *given: None)
    assert engines.choose(model).reason == "layer 'network.layers.5' has a forward hook"


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_layer_that_is_compiled_is_the_reason():
    model = alive(Tutorial(), outputs.Categorical(levels=2), (1, 5, 7))
    model.network.layers[-1] = torch.jit.script(model.network.layers[-1])
    assert engines.choose(model).reason == "layer 'network.layers.5' is compiled"


def of_a_vector(s, y, given):
    """In the ways in which implementations bring it to positions."""
    a, b = s.linear(given)[:, :, None, None].chunk(2, 1)
    more = torch.tanh(s.linear(given))[:, :WIDTH].unsqueeze(-1).unsqueeze(-1)
    everywhere = given.view(y.size(0), -1, 1, 1).expand(-1, -1, *y.shape[2:])
    return torch.cat([torch.tanh(y + a) * torch.sigmoid(b + y) - more, everywhere], 1)[:, 3:]


def of_a_map(s, y, given):
    a, b = s.projection(given).chunk(2, 1)
    assert given.shape[2:] == y.shape[2:]
    return torch.cat([y * torch.sigmoid(a) + b, given], 1)[:, 3:]


class Given(networks.Network):
    """Reads a vector or a map as PyTorch has it."""

    def __init__(self, channels=1, out=2, condition="vector", how=of_a_vector):
        super().__init__(channels, out, "channel", condition, 3)
        self.how, self.first = how, MaskedConv2d("A", 1, WIDTH, 3, padding=1)
        self.linear, self.projection = nn.Linear(3, 2 * WIDTH), nn.Conv2d(3, 2 * WIDTH, 1)
        self.around, self.head = nn.Conv2d(3, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, 2, 1)

    def forward(self, x, condition=None):
        return self.head(self.how(self, self.first(x), condition))


@pytest.mark.parametrize("engine", ["cached", "native"])
@pytest.mark.parametrize(("kind", "how"), [("vector", of_a_vector), ("map", of_a_map)])
def test_functions_of_pytorch_may_read_a_vector_or_a_map(kind, how, engine):
    model = alive(Given(condition=kind, how=how), outputs.Categorical(levels=2), (1, 5, 7))
    condition = condition_for(model, 3)
    fast, slow = (
        px.sample(model, 3, condition=condition, seed=1, engine=each) for each in (engine, "full")
    )
    assert torch.equal(fast, slow)


UNREAD = {
    "around a position": ("map", lambda s, y, g: y + s.around(g), "reads 1 rows below"),
    "as many as positions": ("vector", lambda s, y, g: y + g[:, :1], "laid out differently"),
    "another size": (
        "vector",
        lambda s, y, g: y + s.linear(g)[:, :WIDTH, None, None].expand(-1, -1, 5, 7),
        "a number made of height",
    ),
}


@pytest.mark.parametrize(("kind", "how", "reason"), UNREAD.values(), ids=UNREAD)
def test_what_a_program_cannot_read_of_a_condition_is_named(kind, how, reason):
    model = alive(Given(condition=kind, how=how), outputs.Categorical(levels=2), (1, 5, 7))
    chosen = engines.choose(model)
    assert chosen.name == "full" and reason in chosen.reason


def test_places_that_are_no_sum_of_a_row_and_a_column_are_refused():
    model = small_model(lambda s, y: y + s.parts.places[:, :1], parts=Parts())
    assert_followed(model)
    model.network.parts.places[0, 0, 1, 1] += 0.1
    with pytest.raises(Unlowerable, match="nor a sum of one of its row"):
        trace(model.network)


REFUSED = {
    "fixed": (lambda y: F.pad(y, (0, 0, 1, 0))[:, :, :3], "some can be left out at their ends"),
    "never taken back": (lambda y: F.conv2d(y, TALL), r"reads a tensor \(n, 6, height-1, width\)"),
    "around zeros": (lambda y: F.relu(F.pad(y, (1, 0))), "larger or smaller than the image"),
    "zeros for what was cut": (lambda y: F.pad(y[:, :, :-1], (0, 0, 0, 1)), "what was cut off"),
    "circular": (lambda y: F.pad(y, (1, 0, 0, 0), mode="circular"), "anything but zeros"),
    "ones": (lambda y: F.pad(y, (1, 0), value=1.0), "anything but zeros"),
    "ones all around": (lambda y: F.pad(y, (1, 0, 0, 0, 1, 0), value=1.0), "anything but zeros"),
    "of cropped rows": (lambda y: F.conv2d(F.relu(y[:, :, :-1]), TALL), "of one that is not as l"),
    "two of them": (lambda y: F.pad(y, (1, 0)) + F.pad(y, (1, 0)), "of values one of which"),
    "twice": (lambda y: F.conv2d(F.conv2d(y, TALL), TALL), "of one that is not as large"),
    "grown again": (lambda y: F.pad(F.conv2d(y, TALL), (0, 0, 1, 0)), "zeros around a convolution"),
    "overwritten": (lambda y: [y[:, :, :-1], y.mul_(2)][0] + y, "overwritten in place"),
}
TALL = torch.ones(WIDTH, WIDTH, 2, 1)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_the_same_on_all_images_is_refused(name):
    body, reason = REFUSED[name]
    with pytest.raises(Unlowerable, match=reason):
        trace(
            small_model(
                lambda s, y: torch.zeros(2, 1, 3, 5) if type(y) is torch.Tensor else body(y)
            ).network
        )


def test_a_mask_that_is_no_buffer_is_part_of_what_a_program_is_made_of():
    model = small_model(lambda s, y: BODIES["same"](s.parts, y), parts=Parts())
    before = program_of(model)
    assert program_of(model) is before
    model.network.parts.past = model.network.parts.past * torch.tensor([0.0, 1, 1])
    assert program_of(model) is not before
    assert_followed(model)


OUTSIDE = torch.ones(1, WIDTH, 1, 1)


def test_a_tensor_that_no_module_holds_is_compared_with_forward_as_it_is_now(monkeypatch):
    """It is neither a weight nor an attribute."""
    model = small_model(lambda s, y: y * OUTSIDE)
    program_of(model)
    seen = []
    monkeypatch.setattr(
        programs, "program_difference", lambda model, *, drawn: seen.append(drawn) or ""
    )
    program_of(model)
    assert not seen
    OUTSIDE[:, 1] = 3
    program_of(model)
    assert seen == [False]
    assert_followed(model)


def test_names_of_tensors_are_looked_up_once(monkeypatch):
    """Not for each tensor that a function is given: a deep network would take long at each start."""
    asked = []
    named = nn.Module.named_buffers
    monkeypatch.setattr(
        nn.Module, "named_buffers", lambda *args: asked.append(args) or named(*args)
    )
    graph_of(Tutorial())
    assert len(asked) == 1
