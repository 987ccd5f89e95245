"""The fused block: PyTorch's numbers and gradients wherever it applies, and PyTorch's code elsewhere."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.autograd import Function
from torch.nn import functional
from torch.nn.modules.module import register_module_forward_hook

from pixelcnn import compiling, engines, outputs
from pixelcnn.compiling import compiler
from pixelcnn.errors import ResourceError
from pixelcnn.layers import MaskedConv2d, fused
from pixelcnn.masks import LAYOUTS, PAST
from pixelcnn.model import PixelModel
from pixelcnn.networks.compact import Compact, CompactBlock

pytestmark = pytest.mark.skipif(fused._library() is None, reason="no C++ compiler here")

TOLERANCE = 3e-6
"""Largest error of a value or gradient in float32, against the largest value of it in float64."""

WIDTH = 64
"""Features: two panels of the longest registers, so that a split between panels is met on any processor."""


@pytest.fixture
def calls(monkeypatch):
    """The shapes of the blocks that the C++ source computes, forward and backward."""
    made = []
    call = fused._call

    def counted(shape, *rest):
        made.append(shape)
        call(shape, *rest)

    monkeypatch.setattr(fused, "_call", counted)
    return made


@pytest.fixture
def afresh(tmp_path, monkeypatch):
    """The source is built anew, into an empty folder, and forgotten afterwards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fused._library.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    fused._library.cache_clear()


def features(width, colours, layout="interleaved"):
    past = width // 3 + 3  # where no vector of features ends
    return (PAST,) * past + LAYOUTS[layout](width - past, colours)


def a_block(colours=1, width=WIDTH, middle=WIDTH, kernel=3, layout="interleaved", **options):
    kinds = features(width, colours, layout), features(middle, colours, layout)
    arguments = {"norm": False, "dropout": 0.0} | options
    block = CompactBlock(*kinds, kernel, **arguments)
    with torch.no_grad():
        for bias in (block.widen.bias, block.mix.bias):
            bias.uniform_(-1, 1)
    return block


def images(n=2, width=WIDTH, size=(5, 9), layout=torch.channels_last):
    return torch.randn(n, width, *size).contiguous(memory_format=layout)


def values_and_gradients(block, x, grad, bias=None):
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = block(x, bias)
    wanted = [x, *(p for p in block.parameters() if p.requires_grad)]
    wanted += [] if bias is None else [bias]
    return [y.detach(), *torch.autograd.grad(y, wanted, grad.to(y))]


def error(block, x, bias=None):
    """The largest relative error of the block's value and gradients."""
    grad = torch.randn(x.shape)
    found = values_and_gradients(block, x, grad, bias)
    bias = None if bias is None else bias.detach().double().requires_grad_()
    exact = values_and_gradients(copy.deepcopy(block).double(), x.double(), grad, bias)
    assert len(found) == 7 + (bias is not None)
    return max(
        float((ours - theirs).abs().max() / theirs.abs().max())
        for ours, theirs in zip(found, exact, strict=True)
    )


@pytest.mark.parametrize("kernel", fused.COLUMNS)
@pytest.mark.parametrize("colours", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 7), (2, 8), (5, 9), (7, 13)])
def test_it_is_pytorchs_block_in_value_and_gradients(calls, kernel, colours, size):
    block = a_block(colours, kernel=kernel)
    assert error(block, images(size=size)) < TOLERANCE
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("width", "middle", "layout"),
    [(64, 32, "interleaved"), (32, 96, "contiguous"), (96, 64, "interleaved")],
)
def test_it_is_pytorchs_block_for_other_widths(calls, width, middle, layout):
    block = a_block(3, width, middle, 5, layout)
    assert error(block, images(1, width, (6, 11))) < TOLERANCE
    assert len(calls) == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("n", [1, 2, 5])
def test_it_is_pytorchs_block_on_two_threads(calls, n):
    assert error(a_block(3, kernel=7), images(n)) < TOLERANCE
    assert len(calls) == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("n", [1, 5])
def test_it_is_pytorchs_block_with_a_bias_of_each_image(calls, n):
    bias = torch.randn(n, 2 * WIDTH, 1, 1, requires_grad=True)
    assert error(a_block(3), images(n), bias) < TOLERANCE
    assert len(calls) == 2


def test_images_may_lie_in_memory_as_they_like(calls):
    block, x = a_block(), images(layout=torch.contiguous_format)
    assert error(block, x) < TOLERANCE
    block.widen.weight.data = block.widen.weight.data.contiguous(memory_format=torch.channels_last)
    assert error(block, images(size=(9, 5)).transpose(2, 3)) < TOLERANCE
    assert len(calls) == 4


@pytest.mark.parametrize("target", ["-march=x86-64", "-march=haswell"])
@pytest.mark.slow
def test_it_is_pytorchs_block_on_other_processors(afresh, monkeypatch, calls, target):
    """Each has tiles of its own."""
    if "avx2" not in compiling.processor():
        pytest.skip("the processor cannot run it")
    flags = tuple(target if flag == "-march=native" else flag for flag in compiler.FLAGS)
    monkeypatch.setattr(compiler, "FLAGS", flags)
    assert error(a_block(3, kernel=7), images()) < TOLERANCE
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("taps<0, COLUMNS / 2 + 1>(sums", "taps<0, COLUMNS / 2>(sums"),
        pytest.param("{d + past, n, 1}", "{d, n, 1}", marks=pytest.mark.slow),
        pytest.param("const Vector da = ", "const Vector da = 1.001f * ", marks=pytest.mark.slow),
        pytest.param("r + j >= q.height", "r + j >= q.height - 1", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("afresh")
def test_a_wrong_source_is_noticed(monkeypatch, right, wrong):
    load = compiling.load

    def broken(name, sources, functions):
        assert sources["fused.cpp"].count(right.encode()) == 1
        changed = sources["fused.cpp"].replace(right.encode(), wrong.encode())
        return load(name, sources | {"fused.cpp": changed}, functions)

    monkeypatch.setattr(compiling, "load", broken)
    assert error(a_block(3), images()) > 100 * TOLERANCE


def test_no_feature_reads_what_comes_later(calls):
    block, x = a_block(kernel=5), images(1, size=(4, 9))
    past = block.space.features.count(PAST)
    later = x.clone()
    later[:, past:, 2, 5:] += 1
    later[:, :, 3:] += 1
    y, changed = (block(z.requires_grad_(), None).detach() for z in (x, later))
    assert torch.equal(y[:, :, :2], changed[:, :, :2])
    assert torch.equal(y[:, :past, 2], changed[:, :past, 2])
    assert torch.equal(y[:, past:, 2, :5], changed[:, past:, 2, :5])
    assert not torch.equal(y[:, past:, 2, 5:], changed[:, past:, 2, 5:])
    assert len(calls) == 2


def test_gradients_reach_what_pytorchs_do_and_nothing_else(calls):
    block, x = a_block(3, kernel=5), images(1, size=(4, 9)).requires_grad_()
    exact, z = copy.deepcopy(block).double(), x.detach().double().requires_grad_()
    y, spec = block(x, None), exact(z, None)
    for feature in (0, -3, -2, -1):
        ours, theirs = (
            torch.autograd.grad(out[0, feature, 2, 4], image, retain_graph=True)[0] != 0
            for out, image in ((y, x), (spec, z))
        )
        assert torch.equal(ours, theirs)
    assert len(calls) == 5


def test_nan_stays_nan(calls):
    x = images(1)
    x[0, 3, 2, 2] = torch.nan
    y = a_block()(x.requires_grad_(), None)
    y.sum().backward()
    assert y.isnan().any() and x.grad.isnan().any()
    assert len(calls) == 2


def test_only_wanted_gradients_are_given(calls):
    block, x = a_block(), images().requires_grad_()
    block.widen.weight.requires_grad_(False)
    block(x, None).sum().backward()
    assert block.widen.weight.grad is None and block.mix.weight.grad is not None
    assert len(calls) == 2


@pytest.mark.usefixtures("two_threads")
def test_the_same_number_of_threads_gives_the_same_bits(calls):
    block, x, grad = a_block(), images(5), torch.randn(5, WIDTH, 5, 9)
    first, second = (values_and_gradients(block, x, grad) for _ in range(2))
    torch.set_num_threads(1)
    value, of_x, *_ = values_and_gradients(block, x, grad)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(first[0], value) and torch.equal(first[1], of_x)
    assert [images for images, *_ in calls] == [5] * 6


def hooked(name):
    block = a_block()
    getattr(block, name).register_forward_hook(lambda layer, inputs, y: None)
    return block


class Scaled(MaskedConv2d):
    """A layer that is no longer that of the package."""

    def forward(self, x):
        return 2 * super().forward(x)


def replaced():
    block = a_block()
    block.mix = Scaled(block.mix.inputs, block.mix.outputs, (1, 1), sees_itself=True)
    return block


def unordered():
    """The features that have seen finished rows only come last."""
    kinds = (0,) * 40 + (PAST,) * 24
    return CompactBlock(kinds, kinds, 3, norm=False, dropout=0.0)


@pytest.mark.parametrize(
    ("block", "x"),
    [
        pytest.param(lambda: a_block(norm=True), images, id="norm"),
        pytest.param(lambda: a_block(kernel=13), images, id="a large kernel"),
        pytest.param(lambda: a_block(width=WIDTH + 4), lambda: images(width=WIDTH + 4), id="width"),
        pytest.param(lambda: a_block(middle=WIDTH + 4), images, id="middle"),
        pytest.param(a_block, lambda: images(size=(9, 6)), id="a narrow image"),
        pytest.param(a_block, lambda: images(n=0), id="no image"),
        pytest.param(lambda: a_block().double(), lambda: images().double(), id="float64"),
        pytest.param(lambda: hooked("space"), images, id="a hook"),
        pytest.param(lambda: hooked("gate"), images, id="a hook of the gate"),
        pytest.param(replaced, images, id="a layer of another class"),
        pytest.param(unordered, images, id="features of the past behind others"),
    ],
)
def test_pytorch_computes_what_it_is_not_written_for(calls, block, x):
    block, x = block(), x().requires_grad_()
    y = block.space(x if block.norm is None else block.norm(x))
    expected = x + block.mix(block.gate(block.widen(y)))
    assert torch.equal(block(x, None), expected)
    assert not calls


@pytest.mark.parametrize(
    ("kind", "condition", "blocks"),
    [
        ("label", torch.tensor([0, 2]), 2),
        ("vector", torch.randn(2, 3), 2),
        ("map", torch.randn(2, 3, 7, 7), 0),
    ],
)
def test_pytorch_computes_a_condition_of_every_position_only(calls, kind, condition, blocks):
    network = Compact(1, 2, width=WIDTH, depth=1, condition=kind, condition_size=3)
    network(torch.randn(2, 1, 7, 7), condition).sum().backward()
    assert len(calls) == blocks


def test_pytorch_computes_dropout_which_is_in_training_only(calls):
    block, x = a_block(dropout=0.5), images().requires_grad_()
    block.train()(x, None)
    assert not calls
    block.eval()(x, None)
    assert len(calls) == 1


def test_pytorch_computes_what_a_hook_of_all_modules_is_to_see(calls):
    block, seen = a_block(), []
    hook = register_module_forward_hook(lambda layer, *_: seen.append(layer))
    try:
        block(images().requires_grad_(), None)
    finally:
        hook.remove()
    assert block.mix in seen
    assert not calls


def test_pytorch_computes_what_needs_no_gradient(calls):
    block = a_block()
    with torch.no_grad():
        block(images().requires_grad_(), None)
    block(images(), None)
    assert not calls


@pytest.mark.parametrize(
    ("width", "kind"), [(96, torch.bfloat16), (WIDTH, torch.float16)], ids=["odd", "float16"]
)
def test_pytorch_computes_half_precision_that_it_is_not_written_for(calls, width, kind):
    block, x = a_block(width=width, middle=width), images(width=width).requires_grad_()
    with torch.autocast("cpu", kind):
        block(x, None).sum().backward()
    assert not calls


class RoundedProduct(Function):
    """``x w`` of ``(n, k)`` and ``(k, m)`` whose operands are rounded to bfloat16, in gradients, too."""

    @staticmethod
    def forward(ctx, x, w):
        x, w = rounded(x), rounded(w)
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        grad = rounded(grad)
        return grad @ w.T, x.T @ grad


def rounded(x):
    return x.float().bfloat16().double()


def rounded_values_and_gradients(block, x, grad, bias):
    """As :func:`values_and_gradients`, by rounded products and float64 for everything else."""
    exact = copy.deepcopy(block).double()
    n, _, height, width = x.shape

    def product(y, layer):
        weight = layer.effective_weight()[:, :, 0, 0].T
        rows = RoundedProduct.apply(y.movedim(1, -1).flatten(0, 2), weight) + layer.bias
        return rows.unflatten(0, (n, height, width)).movedim(-1, 1)

    x = x.detach().double().requires_grad_()
    y = product(exact.space(x), exact.widen) + (0 if bias is None else bias)
    y = x + product(exact.gate(y), exact.mix)
    wanted = [x, *exact.parameters()] + ([] if bias is None else [bias])
    return [y.detach(), *torch.autograd.grad(y, wanted, grad.double())]


needs_half = pytest.mark.skipif(
    not fused._library() or not fused._library().pixelcnn_fused_half(),
    reason="the processor does not multiply bfloat16",
)
FEW_ROUND_OTHERWISE = 1e-3
"""As :data:`TOLERANCE`: a number whose last bit differs is now and then rounded to another one."""


@needs_half
@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("size", [(1, 7), (5, 8), (7, 13)])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("biased", [False, True])
def test_products_multiply_bfloat16_under_autocast(calls, kernel, size, kind, biased):
    block, x = a_block(3, kernel=kernel), images(size=size).to(kind)
    bias = torch.randn(2, 2 * WIDTH, 1, 1).to(kind) if biased else None
    grad = torch.randn(x.shape)
    ours = None if bias is None else bias.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = values_and_gradients(block, x, grad, ours)
    theirs = None if bias is None else bias.double().requires_grad_()
    exact = rounded_values_and_gradients(block, x, grad, theirs)
    assert found[0].dtype is torch.float32
    assert len(calls) == 2 and len(found) == len(exact)
    for our, their in zip(found, exact, strict=True):
        unit = 2**-8 if our.dtype is torch.bfloat16 else FEW_ROUND_OTHERWISE
        assert (our - their).abs().max() <= unit * their.abs().max()


@pytest.mark.filterwarnings("ignore")  # deprecations of PyTorch's own
def test_tracing_and_compiling_see_pytorchs_code(calls):
    block, x = a_block().requires_grad_(False), images().requires_grad_()
    traced = torch.jit.trace(block.forward, (x, torch.zeros(2 * WIDTH, 1, 1)))
    assert traced is not None
    compiled = torch.compile(block, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(x, None), copy.deepcopy(block)(x.detach(), None), atol=1e-6)
    assert not calls


@pytest.mark.filterwarnings("ignore")  # deprecations of PyTorch's own
@pytest.mark.parametrize("norm", [False, True])
def test_what_was_traced_can_be_saved(tmp_path, norm):
    block, example = a_block(norm=norm), (images(), torch.zeros(2 * WIDTH, 1, 1))
    torch.jit.trace(block.forward, example).save(tmp_path / "block.pt")
    again = torch.jit.load(tmp_path / "block.pt")
    assert torch.allclose(again(*example), block(*example), atol=1e-6)


def test_engines_see_pytorchs_code(calls):
    network = Compact(1, 2, width=WIDTH, depth=2, kernel=3, first_kernel=3).eval()
    model = PixelModel(network, outputs.Categorical(levels=2), (1, 5, 7))
    assert engines.choose(model, "cached").name == "cached"
    assert sum(node.op == "depthwise" for node in engines.program_of(model).nodes) == 2
    assert not calls


@pytest.mark.parametrize("variable", ["PIXELCNN_FUSED", "PIXELCNN_NATIVE"])
@pytest.mark.usefixtures("afresh")
def test_it_can_be_turned_off(monkeypatch, calls, variable):
    monkeypatch.setenv(variable, "0")
    a_block()(images().requires_grad_(), None).sum().backward()
    assert not calls


def test_a_compiler_that_fails_is_tried_once(afresh, monkeypatch, calls):
    compiler, log = afresh / "compiler", afresh / "log"
    compiler.write_text(f'#!/bin/sh\ntest "$1" = --version && exit\necho >> {log}\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    block, x = a_block(), images().requires_grad_()
    for _ in range(3):
        block(x, None).sum().backward()
    assert log.read_text() == "\n"
    assert not calls


def test_nothing_is_compiled_before_a_training_could_use_it(afresh):
    block, narrow = a_block(), a_block(width=WIDTH + 4)
    with torch.no_grad():
        block(images(), None)
    block.double()(images().double().requires_grad_(), None)
    narrow(images(width=WIDTH + 4).requires_grad_(), None)
    assert not (afresh / "pixelcnn").exists()


def test_an_end_of_memory_is_said(monkeypatch):
    class Full:
        pixelcnn_fused_panel = staticmethod(lambda: WIDTH)
        pixelcnn_fused_block = staticmethod(lambda *arguments: 1)

    monkeypatch.setattr(fused, "_library", Full)
    with pytest.raises(ResourceError, match="not enough memory for a block of 64 features"):
        a_block()(images().requires_grad_(), None)


STEPS, DEPTH = 8, 2


def a_training(seed):
    """A small network and its images."""
    torch.manual_seed(seed)
    return Compact(1, 1, width=WIDTH, depth=DEPTH, kernel=5, first_kernel=5), torch.rand(
        4, 1, 8, 9
    ).round()


def train(network, levels):
    """A few steps: their losses, and the parameters after them."""
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(network(levels), levels)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses), [p.detach() for p in network.parameters()]


def test_a_training_is_that_of_pytorch(monkeypatch, calls):
    ours, our_parameters = train(*a_training(0))
    assert len(calls) == 2 * DEPTH * STEPS
    monkeypatch.setenv("PIXELCNN_FUSED", "0")
    theirs, their_parameters = train(*a_training(0))
    assert len(calls) == 2 * DEPTH * STEPS
    assert theirs[-1] < theirs[0] - 0.01
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(our_parameters, their_parameters, rtol=0, atol=1e-5)


def test_two_trainings_at_once_do_not_disturb_each_other(calls):
    alone = [train(*a_training(seed)) for seed in (0, 1)]
    trainings = [a_training(seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(train, *zip(*trainings, strict=True)))
    assert len(calls) == 4 * 2 * DEPTH * STEPS
    for (losses, parameters), (expected, expected_parameters) in zip(together, alone, strict=True):
        assert torch.equal(losses, expected)
        assert all(map(torch.equal, parameters, expected_parameters))
