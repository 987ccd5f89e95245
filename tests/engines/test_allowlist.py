"""What the trace follows means in a program what it means in ``forward``."""

import operator

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from engines.small import WIDTH, assert_followed, small_model
from engines.walks import alive
from pixelcnn import layers, networks, outputs
from pixelcnn.engines.allowlist import FUNCTIONS, METHODS, MODULES
from pixelcnn.engines.trace import graph_of, trace
from pixelcnn.program import Unlowerable

LAST, BACK = (0, 2, 3, 1), (0, 3, 1, 2)


def unpacked(s, y):
    a, b = y.chunk(2, 1)
    return a * b


def matrix(s):
    return s.first.weight.flatten(1)[:, :WIDTH]


OF_FUNCTIONS = {
    operator.add: [lambda s, y: y + y.tanh(), lambda s, y: y + 0.5, lambda s, y: 2 + y],
    torch.add: [lambda s, y: torch.add(y, 0.5), lambda s, y: torch.add(input=y, other=y)],
    operator.iadd: [lambda s, y: operator.iadd(y, 0.5), lambda s, y: operator.iadd(y.exp(), y)],
    operator.sub: [lambda s, y: 1 - y, lambda s, y: y - 2, lambda s, y: y - y.exp()],
    torch.sub: [lambda s, y: torch.sub(y, 2), lambda s, y: torch.sub(y, other=torch.exp(y))],
    torch.subtract: [lambda s, y: torch.subtract(y, y.tanh())],
    operator.isub: [lambda s, y: operator.isub(y.exp(), y)],
    operator.mul: [lambda s, y: 3 * y, lambda s, y: y * -0.5, lambda s, y: y * y.tanh()],
    torch.mul: [lambda s, y: torch.mul(y, other=2)],
    torch.multiply: [lambda s, y: torch.multiply(y, y.tanh())],
    operator.imul: [lambda s, y: operator.imul(y.exp(), 2)],
    operator.truediv: [lambda s, y: y / 2, lambda s, y: y / -0.3],
    torch.div: [lambda s, y: torch.div(y, 3), lambda s, y: torch.div(y, 3, rounding_mode=None)],
    torch.divide: [lambda s, y: torch.divide(y, other=3)],
    torch.true_divide: [lambda s, y: torch.true_divide(y, 3)],
    operator.itruediv: [lambda s, y: operator.itruediv(y.exp(), 2)],
    operator.pow: [lambda s, y: y**2, lambda s, y: y**3, lambda s, y: y**1, lambda s, y: y**2.0],
    torch.pow: [lambda s, y: torch.pow(y, exponent=3)],
    operator.ipow: [lambda s, y: operator.ipow(y.tanh(), 2)],
    operator.neg: [lambda s, y: -y],
    torch.neg: [lambda s, y: torch.neg(y)],
    torch.negative: [lambda s, y: torch.negative(y)],
    torch.clamp: [lambda s, y: torch.clamp(y, -0.5, 0.3), lambda s, y: torch.clamp(y, max=0.2)],
    torch.clip: [lambda s, y: torch.clip(y, min=-0.2), lambda s, y: torch.clip(y, None, 0.1)],
    torch.relu: [lambda s, y: torch.relu(y)],
    F.relu: [lambda s, y: F.relu(y), lambda s, y: F.relu(input=y, inplace=True)],
    torch.tanh: [lambda s, y: torch.tanh(y)],
    torch.sigmoid: [lambda s, y: torch.sigmoid(y)],
    torch.special.expit: [lambda s, y: torch.special.expit(y)],
    operator.abs: [lambda s, y: abs(y)],
    torch.abs: [lambda s, y: torch.abs(y)],
    torch.exp: [lambda s, y: torch.exp(y)],
    torch.square: [lambda s, y: torch.square(y)],
    F.silu: [lambda s, y: F.silu(y)],
    F.elu: [lambda s, y: F.elu(y), lambda s, y: F.elu(y, 0.3), lambda s, y: F.elu(y, alpha=1.7)],
    F.gelu: [lambda s, y: F.gelu(y), lambda s, y: F.gelu(y, approximate="tanh")],
    F.hardswish: [lambda s, y: F.hardswish(4 * y)],
    F.softplus: [lambda s, y: F.softplus(y), lambda s, y: F.softplus(y, threshold=0.5, beta=2)],
    F.leaky_relu: [lambda s, y: F.leaky_relu(y), lambda s, y: F.leaky_relu(y, negative_slope=0.3)],
    F.relu6: [lambda s, y: F.relu6(9 * y)],
    F.hardtanh: [lambda s, y: F.hardtanh(y), lambda s, y: F.hardtanh(y, max_val=0.2)],
    F.hardsigmoid: [lambda s, y: F.hardsigmoid(4 * y)],
    F.mish: [lambda s, y: F.mish(y)],
    F.logsigmoid: [lambda s, y: F.logsigmoid(y)],
    F.glu: [lambda s, y: F.glu(y, 1), lambda s, y: F.glu(y, dim=-3)],
    F.dropout: [
        lambda s, y: F.dropout(y, 0.3, s.training),
        lambda s, y: F.dropout(y, training=False),
    ],
    F.dropout2d: [lambda s, y: F.dropout2d(y, p=0.3, training=s.training)],
    torch.cat: [lambda s, y: torch.cat([y, -y], 1), lambda s, y: torch.cat(tensors=(y, y), dim=-3)],
    torch.concat: [
        lambda s, y: torch.concat((y.tanh(), y), dim=1),
        lambda s, y: torch.concat([x.unflatten(1, (2, -1)) for x in (y, y[:, :4])], 2)[:, 1],
    ],
    torch.stack: [
        lambda s, y: torch.stack((y.tanh(), -y), dim=2).reshape(y.size(0), -1, *y.shape[2:]),
        lambda s, y: torch.stack([y[:, i] for i in (3, 1, 1)], 1),
    ],
    torch.chunk: [
        lambda s, y: torch.chunk(y.unflatten(1, (3, 2)), 2, 2)[1].squeeze(2),
        lambda s, y: torch.chunk(y, chunks=2, dim=1)[1],
        lambda s, y: torch.cat(torch.chunk(y, 4, 1)[::2], 1),
        lambda s, y: torch.chunk(y.permute(LAST), 3, -1)[0].permute(BACK),
    ],
    torch.split: [
        lambda s, y: torch.split(y, 4, 1)[1],
        lambda s, y: torch.split(y, split_size_or_sections=[1, 3, 2], dim=1)[-2],
    ],
    torch.permute: [lambda s, y: torch.permute(torch.permute(y, dims=LAST).tanh(), BACK)],
    torch.movedim: [
        lambda s, y: torch.movedim(torch.movedim(y, 1, -1).tanh(), source=3, destination=1)
    ],
    torch.transpose: [
        lambda s, y: torch.transpose(y.view(y.size(0), 2, 3, *y.shape[2:]), 1, dim1=2).reshape(
            y.shape
        ),
        lambda s, y: torch.transpose(y, 1, 3).transpose(-1, 1),
    ],
    torch.flatten: [
        lambda s, y: torch.flatten(y.unflatten(1, (2, 3)).permute(0, 3, 4, 2, 1), 3).permute(BACK),
        lambda s, y: torch.flatten(y.unflatten(1, (1, 2, 3)), start_dim=1, end_dim=-3),
    ],
    torch.unsqueeze: [lambda s, y: torch.unsqueeze(y[:, 2].tanh(), 1)],
    torch.squeeze: [lambda s, y: torch.squeeze(y.unflatten(1, (2, 1, 3)), 2)[:, 1]],
    torch.zeros_like: [lambda s, y: y + torch.zeros_like(y)],
    torch.ones_like: [lambda s, y: torch.cat([y, torch.ones_like(y[:, :1])], 1)],
    operator.getitem: [
        lambda s, y: y[:, 1::2] * y[:, ::2],
        lambda s, y: y.view(y.shape[0], 2, 3, *y.shape[2:])[:, :, 1],
        lambda s, y: y.unflatten(1, (2, 3))[:, 1, 1:].flatten(1, 1),
        lambda s, y: y.unflatten(1, (3, 2))[..., 1:, :, :].flatten(1, 2),
        lambda s, y: y[:, None][:, :, ::2][:, 0],
        lambda s, y: (y[:, 0] * y[:, 5])[:, None, ...],
        lambda s, y: y[:, :4],
        lambda s, y: y[:, -2:],
        lambda s, y: y[:, 1:5:1, :, :],
        lambda s, y: y.permute(LAST)[:, :, :, 2:].permute(BACK),
    ],
    F.conv2d: [
        lambda s, y: F.conv2d(y, s.first.weight[..., :1, :1], s.first.bias, groups=WIDTH),
        lambda s, y: F.conv2d(y, weight=matrix(s)[..., None, None]),
    ],
    F.conv_transpose2d: [
        lambda s, y: F.conv_transpose2d(y, matrix(s)[..., None, None], s.first.bias)
    ],
    F.linear: [lambda s, y: F.linear(y.permute(LAST), matrix(s), bias=s.first.bias).permute(BACK)],
    F.layer_norm: [
        lambda s, y: F.layer_norm(y.permute(LAST), (WIDTH,)).permute(BACK),
        lambda s, y: F.layer_norm(y.permute(LAST), [WIDTH], s.first.bias, eps=0.1).permute(BACK),
        lambda s, y: (
            F.layer_norm(
                y.unflatten(1, (3, 2)).movedim(2, -1), (2,), s.first.bias[:2], s.first.bias[2:4]
            )
            .movedim(-1, 2)
            .flatten(1, 2)
        ),
    ],
    F.rms_norm: [lambda s, y: F.rms_norm(y.permute(LAST), (WIDTH,)).permute(BACK)],
    F.pad: [
        lambda s, y: F.pad(y, (0, 0, 1, 0))[:, :, :-1],
        lambda s, y: F.pad(y, (0, 0, 0, 0, 0, 1), value=1),
        lambda s, y: F.pad(F.pad(y, (0, 0, 0, 0, 2, 1)), (0, 0, 1, -1, 1, 0), value=0.0),
    ],
}
OF_METHODS = {
    "add": [lambda s, y: y.add(0.5), lambda s, y: y.add(other=y.tanh())],
    "sub": [lambda s, y: y.sub(0.5)],
    "mul": [lambda s, y: y.mul(other=y)],
    "div": [lambda s, y: y.div(4)],
    "pow": [lambda s, y: y.pow(3), lambda s, y: y.pow(exponent=2)],
    "neg": [lambda s, y: y.neg()],
    "clamp": [lambda s, y: y.clamp(max=0.5), lambda s, y: y.clamp(-0.1)],
    "clip": [lambda s, y: y.clip(-0.2, 0.5)],
    "relu": [lambda s, y: y.relu()],
    "tanh": [lambda s, y: y.tanh(), lambda s, y: F.tanh(y)],
    "sigmoid": [lambda s, y: y.sigmoid(), lambda s, y: F.sigmoid(y)],
    "abs": [lambda s, y: y.abs()],
    "exp": [lambda s, y: y.exp()],
    "square": [lambda s, y: y.square()],
    "chunk": [lambda s, y: y.chunk(2, dim=1)[0], unpacked],
    "permute": [
        lambda s, y: y.permute(0, 2, 3, 1).tanh().permute(0, -1, 1, 2),
        lambda s, y: y.permute([0, 1, 2, 3]).permute(dims=LAST).permute(BACK),
    ],
    "movedim": [lambda s, y: y.movedim(1, 3).movedim(-1, 1)],
    "split": [lambda s, y: y.split(4, dim=1)[1], lambda s, y: y.split([1, 5], 1)[1]],
    "transpose": [lambda s, y: y.transpose(1, 2).transpose(2, 1)],
    "reshape": [
        lambda s, y: y.reshape(y.size(0), 2, -1, y.size(2), y.size(3))[:, 1],
        lambda s, y: y.movedim(1, -1).reshape(*y[:, 0].shape, 3, 2).flatten(3).movedim(-1, 1),
    ],
    "view": [
        lambda s, y: y.view(-1, 1, *y.shape[1:])[:, 0],
        lambda s, y: y.permute(LAST).view(y.size(0), y.size(2), y.size(3), -1).permute(BACK),
    ],
    "flatten": [lambda s, y: y.unflatten(1, [3, 2]).flatten(1, 2)],
    "unflatten": [lambda s, y: y.unflatten(dim=1, sizes=(-1, 2))[:, 0]],
    "expand": [lambda s, y: y.expand(-1, WIDTH, *y.shape[2:]) * y.expand(y.shape)],
    "unsqueeze": [lambda s, y: y.unsqueeze(-1).movedim(-1, 1).flatten(1, 2)],
    "squeeze": [lambda s, y: y[:, 1:2].squeeze(1).unsqueeze(1) * y[:, 2:3]],
    "float": [lambda s, y: s.first.bias.float()[0] * 0 + y.float()],
    "new_zeros": [lambda s, y: y + y.new_zeros(y.shape, requires_grad=True)],
    "new_ones": [lambda s, y: torch.cat([y.new_ones(y.size(0), 2, *y.shape[2:]), y], 1)],
    "to": [lambda s, y: y.to(y.device, y.dtype), lambda s, y: y.exp().to(y)],
    "type_as": [lambda s, y: y + torch.ones(1, WIDTH, 1, 1).type_as(y)],
    "contiguous": [lambda s, y: y.contiguous(memory_format=torch.channels_last)],
    "clone": [lambda s, y: y + y.clone().tanh_()],
    "add_": [lambda s, y: y.exp().add_(1)],
    "sub_": [lambda s, y: y.exp().sub_(y)],
    "mul_": [lambda s, y: y.exp().mul_(y)],
    "div_": [lambda s, y: y.exp().div_(2)],
    "neg_": [lambda s, y: y.exp().neg_()],
    "clamp_": [lambda s, y: y.exp().clamp_(max=1.2)],
    "relu_": [lambda s, y: y.relu_()],
    "tanh_": [lambda s, y: y.tanh_()],
    "sigmoid_": [lambda s, y: y.sigmoid_()],
    "exp_": [lambda s, y: y.exp_()],
}
OF_MODULES = {
    nn.ReLU: [nn.ReLU(), nn.ReLU(inplace=True)],
    nn.Tanh: [nn.Tanh()],
    nn.Sigmoid: [nn.Sigmoid()],
    nn.SiLU: [nn.SiLU(), nn.SiLU(inplace=True)],
    nn.ELU: [nn.ELU(), nn.ELU(alpha=0.1)],
    nn.GELU: [nn.GELU(), nn.GELU(approximate="tanh")],
    nn.Hardswish: [nn.Hardswish()],
    nn.Hardsigmoid: [nn.Hardsigmoid()],
    nn.Hardtanh: [nn.Hardtanh(), nn.Hardtanh(-0.1, 0.7), nn.ReLU6()],
    nn.Softplus: [nn.Softplus(), nn.Softplus(beta=3, threshold=0.4)],
    nn.LeakyReLU: [nn.LeakyReLU(), nn.LeakyReLU(0.3)],
    nn.Mish: [nn.Mish()],
    nn.LogSigmoid: [nn.LogSigmoid()],
    nn.GLU: [nn.GLU(dim=1)],
    nn.PReLU: [nn.PReLU(), nn.PReLU(WIDTH)],
    nn.Conv2d: [nn.Conv2d(WIDTH, 5, 1), nn.Conv2d(WIDTH, 5, 1, padding="same", bias=False)],
    nn.ConvTranspose2d: [
        nn.ConvTranspose2d(WIDTH, 5, 1),
        nn.ConvTranspose2d(WIDTH, 4, 1, groups=2, bias=False),
    ],
    nn.BatchNorm2d: [nn.BatchNorm2d(WIDTH), nn.BatchNorm2d(WIDTH, affine=False, eps=0.1)],
    nn.ZeroPad2d: [nn.ZeroPad2d((0, 0, 1, -1))],
    nn.ConstantPad2d: [nn.ConstantPad2d((2, -2, 0, 0), 0)],
    nn.Linear: [nn.Linear(WIDTH, 5), nn.Linear(WIDTH, 5, bias=False)],
    nn.LayerNorm: [
        nn.LayerNorm(WIDTH),
        nn.LayerNorm((WIDTH,), eps=0.1, bias=False),
        nn.LayerNorm(WIDTH, elementwise_affine=False),
    ],
    nn.RMSNorm: [
        nn.RMSNorm(WIDTH),
        nn.RMSNorm(WIDTH, eps=0.1),
        nn.RMSNorm(WIDTH, elementwise_affine=False),
    ],
    nn.Dropout: [nn.Dropout(0.4), nn.Dropout(0.4, inplace=True)],
    nn.Dropout2d: [nn.Dropout2d(0.4)],
    nn.Identity: [nn.Identity()],
}
# What attention is made of, see test_attention, and what reads levels, see test_lookup.
ELSEWHERE = {torch.matmul, operator.matmul, torch.masked_fill, torch.softmax, F.softmax, nn.Softmax}
ELSEWHERE |= {
    "matmul",
    "masked_fill",
    "masked_fill_",
    "softmax",
    F.one_hot,
    F.embedding,
    "long",
    nn.Embedding,
}
FEATURES_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm)


def cases(table):
    return [
        pytest.param(key, case, id=f"{getattr(key, '__name__', key)}-{number}")
        for key, some in table.items()
        for number, case in enumerate(some)
    ]


def targets(model):
    return {node.target for node in graph_of(model.network).nodes}


@pytest.mark.parametrize(
    ("allowed", "tested"),
    [(FUNCTIONS, OF_FUNCTIONS), (METHODS, OF_METHODS), (MODULES, OF_MODULES)],
    ids=["functions", "methods", "modules"],
)
def test_no_entry_of_the_allowlist_is_untested(allowed, tested):
    assert tested.keys() == allowed.keys() - ELSEWHERE


@pytest.mark.parametrize(("function", "body"), cases(OF_FUNCTIONS))
def test_functions_mean_in_a_program_what_they_mean_in_forward(function, body):
    model = small_model(body)
    assert function in targets(model)
    assert_followed(model)


@pytest.mark.parametrize(("method", "body"), cases(OF_METHODS))
def test_methods_mean_in_a_program_what_they_mean_in_forward(method, body):
    model = small_model(body)
    assert method in targets(model)
    assert_followed(model)


def with_features_last(s, y):
    return s.layer(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("kind", "layer"), cases(OF_MODULES))
def test_modules_mean_in_a_program_what_they_mean_in_forward(kind, layer):
    assert isinstance(layer, kind)
    last = isinstance(layer, FEATURES_LAST)
    assert_followed(
        small_model(with_features_last if last else lambda s, y: s.layer(y), layer=layer)
    )


SHAPES = [
    lambda y: y[:, : y.shape[1] - 2],
    lambda y: y[:, : y.size(1) - 1],
    lambda y: F.pad(y, (1, 0))[..., : y.shape[3]],
    lambda y: F.pad(y, (0, 0, 2, 0))[:, :, : y.size()[2]],
    lambda y: y * y.shape[1] + y.dim() + y.ndim,
    lambda y: sum(y[:, i : i + 1] for i in range(y.size(1))),
    lambda y: sum(part.tanh() * len(y.chunk(3, 1)) for part in y.chunk(2, 1)),
    lambda y: torch.mul(*map(torch.tanh, y.split([3, 3], 1))),
    lambda y: y if y.size(1) % 2 == 0 else y.tanh(),
    lambda y: F.pad(y, (2, 0))[:, :, :, : y.permute(LAST).unflatten(3, (2, 3)).shape[2]],
]


@pytest.mark.parametrize("body", SHAPES)
def test_features_are_counted_and_other_sizes_are_followed(body):
    assert_followed(small_model(lambda s, y: body(y)))


SHAPES += [
    lambda y: y[:, None].flatten(1, 2) + y.unflatten(1, (2, 3)).tanh().mul(2).flatten(1, 2),
    lambda y: (y.unflatten(1, (2, 3)) - y.unflatten(1, (3, 2)).transpose(1, 2)).flatten(1, 2),
    lambda y: y.flatten(2).tanh().view(y.shape),
    lambda y: y.permute(LAST).reshape(-1, 2, 3)[:, 1].view(*y[:, 0].shape, 3).permute(BACK),
    lambda y: F.linear(by_position(y), torch.eye(5, WIDTH).to(y)).view(sizes(y, 5)).permute(BACK),
    lambda y: torch.cat([y, torch.ones(y.size(0), 2, *y.shape[2:], dtype=y.dtype)], 1),
    lambda y: y + torch.ones(1, WIDTH, 1, 1).to(y).expand(y.size(0), -1, *map(int, y.shape[2:])),
]


def by_position(y):
    """Features of all positions of all images below one another."""
    n, height, width, features = sizes(y, WIDTH)
    return y.permute(LAST).contiguous().view(n * height * width, features)


def sizes(y, features):
    return [*(int(size) for size in y.permute(LAST).size()[:3]), features]


NO_SHAPES = {
    "joins positions": lambda y: y.view(y.size(0), y.size(1), -1),
    "other positions": lambda y: y.view(y.size(0), y.size(1), y.size(3), y.size(2)),
    "one size only": lambda y: y.view(y.size(0), 2, 3, 3, 5).flatten(1, 2),
    "images as features": lambda y: y.view(-1, 2, 3, 3, 5).flatten(0, 1),
    "a position": lambda y: y.unflatten(1, (2, 3))[:, :, :, 0],
    "rows and columns exchanged": lambda y: y.transpose(2, 3),
    "two arrangements": lambda y: y.unflatten(1, (2, 3)) + y.unflatten(1, (3, 2)).transpose(1, 2),
    "a tensor of several dimensions": lambda y: y.unflatten(1, (2, 3)) * torch.ones(2, 3, 1, 1),
    "a new dimension of rows": lambda y: y[:, :, :1, None],
    "another size": lambda y: y + y.new_zeros(y.size(0), y.size(1), y.size(2) - 1, y.size(3)),
}


@pytest.mark.parametrize("body", NO_SHAPES.values(), ids=NO_SHAPES)
def test_what_would_move_positions_is_refused(body):
    model = small_model(lambda s, y: y)
    model.network.body = lambda s, y: body(y)
    with pytest.raises(Unlowerable):
        trace(model.network)


# Compositions


def joined(y):
    return torch.cat([y, y.exp().clamp(max=3)], 1)[:, 1:6]


def coarser(y):
    """Halves and back, each feature for itself."""
    kernel = torch.linspace(0.2, 0.9, 4).view(1, 1, 2, 2).to(y).expand(WIDTH, 1, 2, 2)
    half = F.elu(F.conv2d(F.pad(y, (1, 0, 1, 0)), kernel, stride=2, groups=WIDTH))
    whole = F.conv_transpose2d(half, kernel, stride=2, groups=WIDTH)
    return whole[:, :, : y.size(2), : y.size(3)]


STEPS = [
    lambda y: 1 - y,
    lambda y: y / 3 + y**2 * 0.1,
    lambda y: F.elu(y, 0.4),
    lambda y: F.gelu(y, approximate="tanh"),
    lambda y: F.softplus(y, 2, 1.5),
    lambda y: F.hardswish(F.leaky_relu(y, 0.2)),
    lambda y: torch.tanh(y).mul_(2),
    lambda y: y * torch.sigmoid(-y),
    lambda y: torch.cat(torch.chunk(y, 3, 1)[::-1], 1),
    lambda y: y[:, :3] - y[:, -3:],
    lambda y: F.glu(torch.cat([y, y], dim=1), 1),
    lambda y: y.permute(LAST).clamp(-1, 0.6).permute(BACK),
    lambda y: F.relu6(y + 1).movedim(1, -1).movedim(-1, 1),
    lambda y: torch.split(y, [1, 2, 3], 1)[2].abs().neg(),
    joined,
    coarser,
    lambda y: torch.stack(y.flatten(2).tanh().chunk(2, 1), 2).flatten(1, 2).view(y.shape) * y,
]


class Composed(networks.Network):
    """Random steps and masked layers, with links over some of them."""

    def __init__(self, seed, channels, out):
        super().__init__(channels, out, "pixel", None, 0)
        generator = torch.Generator().manual_seed(seed)
        self.steps = torch.randint(len(STEPS), (6,), generator=generator).tolist()
        colours = (0,) * WIDTH
        self.first = layers.MaskedConv2d((0,) * channels, colours, (3, 3), sees_itself=False)
        shapes = [(1, 3), (3, 1), (1, 1)]
        self.layers = nn.ModuleList()
        with torch.no_grad():
            for i in self.steps:
                width = STEPS[i](torch.zeros(2, WIDTH, 5, 7)).shape[1]
                kernel = shapes[int(torch.randint(3, (), generator=generator))]
                self.layers.append(
                    layers.MaskedConv2d((0,) * width, colours, kernel, sees_itself=True)
                )
        self.head = nn.Conv2d(WIDTH, out, 1)

    def forward(self, x, condition=None):
        y = before = self.first(x)
        for i, layer in zip(self.steps, self.layers, strict=True):
            y, before = torch.tanh(layer(STEPS[i](y))) + before / 2, y
        return self.head(y)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", range(12))
def test_random_compositions_mean_what_they_mean_in_forward(seed, channels):
    torch.manual_seed(seed)
    output = outputs.LogisticMixture(levels=4, components=1)
    network = Composed(seed, channels, output.parameters_per_pixel(channels))
    assert_followed(alive(network, output, (channels, 3, 5)).double())
