"""A twin is proven exact when it is built, is the same in every process, and is refused by name otherwise."""

import contextlib
import copy
import dataclasses
import hashlib
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.overrides import TorchFunctionMode
from typer.testing import CliRunner

import pixelcnn as px
from codec import test_exactness as exact
from forgery import forged
from pixelcnn import networks, outputs
from pixelcnn.cli import app
from pixelcnn.codec import calibration
from pixelcnn.codec.bounds import bounds, check_arithmetic
from pixelcnn.codec.calibration import Excess, excess, scattered
from pixelcnn.codec.coding import encode
from pixelcnn.codec.fixed import EXACT, SINGLE
from pixelcnn.codec.integers import integers
from pixelcnn.codec.weights import normed, settled
from pixelcnn.data.lazy import LazyImages
from pixelcnn.engines import parallel
from pixelcnn.errors import ConfigError, ModelError
from pixelcnn.program import Unlowerable

SHAPE = (1, 3, 5)


def model_of(network=None):
    """A small binary model, calibrated, and images."""
    torch.manual_seed(0)
    network = network or networks.PixelCNN(1, 1, width=4, depth=1, first_kernel=3, kernel=3)
    model = px.PixelModel(network, outputs.Bernoulli(), SHAPE).eval()
    images = torch.randint(0, 2, (5, *SHAPE), generator=torch.Generator().manual_seed(0))
    px.calibrate(model, images)
    return model, images.numpy()


def twin_of(model):
    return integers(model, model.shape)[0].twin


def fingerprint_of(model):
    return integers(model, model.shape)[1].hex()


def broken(program, op, **changes):
    """A program with other attributes of its first primitive of a name."""
    other = copy.copy(program)
    number = next(n for n, node in enumerate(program.nodes) if node.op == op)
    node = program.nodes[number]
    values = {key: change(node) for key, change in changes.items()}
    other.nodes = [*program.nodes]
    other.nodes[number] = dataclasses.replace(node, **values)
    return other


def scaled(factor):
    return lambda node: tuple(tap._replace(weight=tap.weight * factor) for tap in node.taps)


@pytest.mark.parametrize(
    ("op", "changes", "why"),
    [
        ("taps", {"taps": scaled(0.5)}, "not whole"),
        ("taps", {"taps": scaled(2.0**46)}, "numbers up to"),
        ("taps", {"bias": lambda node: node.bias + 0.25}, "not whole"),
        ("requantise", {"parameter": lambda node: node.parameter / 3}, "products of"),
        ("table", {"table": lambda node: node.table[1:]}, "a table of"),
        ("table", {"constants": lambda node: (node.constants[0] - 1,)}, "a table of"),
    ],
)
def test_a_program_that_is_not_exact_is_refused(op, changes, why):
    network = networks.GatedPixelCNN(1, 1, width=4, depth=1, first_kernel=3, kernel=3)
    program = twin_of(model_of(network)[0]).program
    assert max(bounds(program, 2)) < EXACT
    with pytest.raises(Unlowerable, match=why):
        bounds(broken(program, op, **changes), 2)


def test_no_value_outgrows_what_was_proven():
    model, images = model_of()
    found, _ = integers(model, model.shape)
    limits, seen = bounds(found.twin.program, 2), {}
    parallel.compute(
        found.twin.program,
        torch.from_numpy(images).double(),
        observe=lambda number, values: seen.update({number: float(values.abs().max())}),
    )
    assert all(value <= limits[number] for number, value in seen.items())
    assert found.twin.limits == limits


class Reduced(TorchFunctionMode):
    """Products of matrices in single precision, as a setting may make them."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (torch.Tensor.matmul, torch.Tensor.__matmul__, torch.matmul):
            return func(args[0].float(), args[1].float()).double()
        return func(*args, **(kwargs or {}))


def test_weights_that_decayed_to_nothing_leave_sums_exact_in_float32():
    """A unit that a training lets die keeps a bias that is far larger than its weights."""
    network = networks.Compact(1, 1, width=8, depth=2, kernel=3, first_kernel=3)
    with torch.no_grad():
        for block in network.blocks:
            block.widen.weight[3:5] *= 1e-12
            block.widen.bias[3:5] = -2.5
    model, images = model_of(network)
    assert max(twin_of(model).limits) < SINGLE
    assert max(map(abs, excess(model, torch.from_numpy(images)))) < 0.01


def test_reduced_precision_is_noticed_at_the_start():
    check_arithmetic()
    with Reduced(), pytest.raises(ModelError, match="float64 is not computed in full"):
        check_arithmetic()


def test_settings_for_reduced_precision_change_no_byte():
    model, images = model_of()
    packed = px.compress(model, images)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert px.compress(model, images) == packed
            assert np.array_equal(px.decompress(model, packed), images)
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_normed_weight_is_rounded_once():
    drawn = torch.Generator().manual_seed(0)
    direction = torch.randn(3, 2, 3, 5, generator=drawn)
    length = torch.randn(3, 1, 1, 1, generator=drawn)
    for dim, lengths in ((0, length), (-1, torch.tensor(1.5))):
        found = normed(lengths, direction, dim)
        expected = (
            torch._weight_norm(direction.double(), lengths.double(), dim) if dim == 0 else None
        )
        if expected is not None:
            assert torch.allclose(found, expected, rtol=1e-14)
        row = direction[0] if dim == 0 else direction
        exact = sum(Fraction(value) ** 2 for value in row.flatten().tolist())
        norm = math.sqrt(exact)  # of a float that is the exact sum, rounded once
        assert (
            found[0].flatten()[0] == direction.flatten()[0].double() / norm * lengths.flatten()[0]
        )


def test_weight_norm_has_an_integer_form_and_stays():
    output = outputs.LogisticMixture(levels=4, components=2)
    network = networks.PixelCNNpp(
        1, output.parameters_per_pixel(1), width=4, blocks=1, scales=2, norm="weight"
    )
    model = px.PixelModel(network, output, (1, 4, 4)).eval()
    images = torch.randint(0, 4, (3, 1, 4, 4), generator=torch.Generator().manual_seed(0)).numpy()
    assert abs(px.calibrate(model, images)) < 0.005
    before = model.log_prob(images)
    assert np.array_equal(px.decompress(model, px.compress(model, images)), images)
    assert torch.equal(model.log_prob(images), before)  # the model is still what it was
    assert settled(network) is not network and "parametrizations" in str(network)


def test_a_weight_that_is_computed_otherwise_is_refused_by_its_layer():
    network = networks.PixelCNN(1, 1, width=4, depth=1, first_kernel=3, kernel=3)
    spectral_norm(network.head[-1])
    with pytest.raises(
        ModelError, match=r"layer 'head\.\d+': its weight is computed.*_SpectralNorm"
    ):
        model_of(network)


def test_any_weight_norm_will_do():
    network = networks.PixelCNN(1, 1, width=4, depth=1, first_kernel=3, kernel=3)
    weight_norm(network.head[-1], dim=None)
    model, images = model_of(network)
    assert np.array_equal(px.decompress(model, px.compress(model, images)), images)


@pytest.mark.parametrize(("loss", "cut"), [(0.01, True), (0.0005, False)])
def test_large_values_are_cut_off_where_that_costs_the_fewest_bits(monkeypatch, loss, cut):
    model, images = model_of()
    whole = max(model.record["activation_ranges"])

    def cost(view, *_):
        cost = loss * (1 + abs(math.log(5 * max(view.record["activation_ranges"]) / whole)))
        return Excess(cost, -cost)

    monkeypatch.setattr(calibration, "excess", cost)
    px.calibrate(model, images)
    found = max(model.record["activation_ranges"])
    assert (abs(math.log2(5 * found / whole)) <= 0.25) if cut else found == whole


def test_calibration_says_what_whole_numbers_cost():
    model, images = model_of()
    record = model.record
    assert record["integer_loss"] == px.calibrate(model, images)
    assert abs(record["integer_loss"]) < 1e-5
    assert excess(model, torch.from_numpy(images)).expected < 1e-6
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)
    # Ranges that are not these weights'; and the model is now sure of what images are not.
    assert excess(model, torch.from_numpy(images)).expected > 0.01
    assert px.calibrate(model, images) < -0.5
    assert excess(model, torch.from_numpy(images)).expected < 1e-6


@pytest.mark.parametrize("levels", [257, 4_096, 65_536])
def test_a_mixture_over_all_of_many_levels_costs_next_to_nothing(levels):
    """Levels lie nearer to each other than entries of the curve, and are more than a sum has steps."""
    torch.manual_seed(0)
    output = outputs.LogisticMixture(levels=levels, components=2)
    out = output.parameters_per_pixel(1)
    network = networks.PixelCNN(1, out, width=8, depth=1, order="pixel")
    model = px.PixelModel(network, output, SHAPE).eval()
    images = torch.linspace(0, levels - 1, 6 * 15).long().reshape(6, *SHAPE)
    assert px.calibrate(model, images) < 5e-4
    twin, _ = integers(model, model.shape)
    with torch.no_grad():
        own = model.network(model.encode(images))
    assert (twin.parameters(images, None, 6) * twin.twin.scale - own).abs().max() < 0.02


def test_the_cost_of_many_levels_is_measured_in_parts_and_at_some_positions(monkeypatch):
    torch.manual_seed(0)
    output = outputs.LogisticMixture(levels=1_000, components=2)
    network = networks.PixelCNN(1, output.parameters_per_pixel(1), width=8, depth=1, order="pixel")
    model = px.PixelModel(network, output, SHAPE).eval()
    images = torch.randint(1_000, (4, *SHAPE), generator=torch.Generator().manual_seed(0))
    px.calibrate(model, images)
    loss = excess(model, images)
    monkeypatch.setattr(calibration, "TOGETHER", 1)
    assert excess(model, images) == pytest.approx(loss)
    largest = []
    pmf = outputs.LogisticMixture.pmf
    note = lambda self, *given: largest.append(len(given[0])) or pmf(self, *given)  # noqa: E731
    monkeypatch.setattr(outputs.LogisticMixture, "pmf", note)
    monkeypatch.setattr(calibration, "PROBABILITIES", 12_000)
    assert excess(model, images).expected == pytest.approx(loss.expected, rel=0.5)
    assert largest == [1] * 12


SIDES = (1, 2, 3, 5, 8, 13, 28, 32, 64, 90)


@pytest.mark.parametrize("height", SIDES)
def test_the_positions_of_which_a_cost_is_measured_are_spread_over_rows_and_columns(height):
    """At equal distances, as many as rows, all of them would lie at the left border, which sees little."""
    for width in SIDES:
        pixels = height * width
        assert sorted(scattered(height, width, pixels + 1).tolist()) == list(range(pixels))
        for few in (12, 16, 64):
            found = scattered(height, width, few)
            assert len(found.unique()) == len(found) == min(few, pixels)
            for side, places in ((height, found // width), (width, found % width)):
                ends = torch.cat([torch.tensor([-1]), places.unique(), torch.tensor([side])])
                assert ends.diff().max() - 1 <= side // 3


def test_other_positions_of_each_image_are_looked_at(monkeypatch):
    """Of very many levels one of each, which is not the first one of all, that sees no other pixel."""
    torch.manual_seed(0)
    network = networks.Compact(1, 4, width=16, depth=2, kernel=3, first_kernel=3)
    model = px.PixelModel(network, outputs.Categorical(levels=4), (1, 8, 8)).eval()
    columns = 1 + torch.arange(8).expand(4, 1, 8, 8)
    px.calibrate(model, images := columns.sin().mul(2).add(2).long())
    asked = []
    monkeypatch.setattr(calibration, "PROBABILITIES", 8 * images[:, 0, 0, 0].numel() * 4)
    keep = lambda *given: asked.append(scattered(*given)) or asked[-1]  # noqa: E731
    monkeypatch.setattr(calibration, "scattered", keep)
    assert excess(model, images) == excess(model, images)
    assert [len(each) for each in asked] == [8] * 8 and len(torch.cat(asked).unique()) == 32


def test_a_cost_is_that_of_the_levels_that_images_have():
    """A model that is sure of what images are not: its twin is less so, and they take fewer bits."""
    output = outputs.LogisticMixture(levels=4_096, components=2)
    torch.manual_seed(0)
    network = networks.PixelCNN(1, output.parameters_per_pixel(1), width=8, depth=1, order="pixel")
    with torch.no_grad():
        network.head[-1].bias[4:6] = -5.0  # narrow
    model = px.PixelModel(network, output, (1, 8, 8)).eval()
    images = torch.randint(4_096, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    px.calibrate(model, images[:30])
    model.record["integer_precision"] = "single"
    twin, _ = integers(model, model.shape)
    bits = 32 * len(encode(twin, images))
    own = -float(model.log_prob(images).detach().double().sum()) / math.log(2)
    share, cost = bits / own - 1, excess(model, images)
    assert share < -0.05 and cost.expected > 0
    assert cost.found == pytest.approx(share, rel=0.1)
    assert cost.worse == cost.expected


def test_a_model_that_coarse_steps_would_cost_too_much_takes_finer_ones():
    """Large parameters, whose errors are as large as what they decide."""
    torch.manual_seed(0)
    network = networks.Compact(1, 4, width=16, depth=2, kernel=3, first_kernel=3)
    with torch.no_grad():
        network.head[3].weight *= 300
    model = px.PixelModel(network, outputs.Categorical(levels=4), SHAPE).eval()
    images = px.sample(model, 5, seed=0).long()
    fine = px.calibrate(model, images)
    assert model.record["integer_precision"] == "long" and fine < 0.002
    blob = px.compress(model, images)
    assert torch.equal(torch.as_tensor(px.decompress(model, blob)), images)
    model.record["integer_precision"] = "single"
    assert excess(model, images).expected > max(0.002, 10 * fine)
    model.record["integer_precision"] = "half"
    with pytest.raises(ModelError, match="'half' precision"):
        integers(model, SHAPE)


def test_calibration_takes_images_of_any_source():
    model, images = model_of()
    loss, found = px.calibrate(model, images), model.record.copy()
    for source in (px.data.ImageSet(images, levels=2), images[:, 0]):
        assert px.calibrate(model, source) == loss and model.record == found


def test_calibration_reads_the_images_that_it_looks_at():
    model, images = model_of()
    many, seen = torch.from_numpy(images).repeat(20, 1, 1, 1), []

    def read(rows):
        seen.extend(torch.arange(len(many))[rows].tolist())
        return many[rows]

    px.calibrate(model, LazyImages(many.shape, many.dtype, read, 2), most=3)
    assert seen == [0, 33, 66]


@pytest.mark.parametrize("most", [0, -1])
def test_calibration_looks_at_an_image_at_least(most):
    model, images = model_of()
    with pytest.raises(ConfigError, match="most"):
        px.calibrate(model, images, most=most)


def test_calibration_leaves_a_model_as_it_was():
    model, images = model_of()
    before = model.train().record.copy()
    network = networks.NETWORKS["snail"](1, 1, width=4, depth=1)
    other = px.PixelModel(network, outputs.Bernoulli(), SHAPE)
    with pytest.raises(ModelError, match="attend"):
        px.calibrate(other, images)
    assert not other.record
    px.calibrate(model, images)
    assert model.training and model.record.keys() == before.keys()


@pytest.mark.parametrize(
    "value",
    [
        "null",
        "{}",
        '"2"',
        "[-1]",
        "[true]",
        "[NaN]",
        "[1e999]",
        "[null]",
        "[[1]]",
        "[1e19]",
        "[]",
        "[2]",
    ],
)
def test_ranges_that_are_none_are_refused_on_one_line(tmp_path, value):
    model, images = model_of()
    px.save(model, tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", images)
    path = tmp_path / "forged.safetensors"
    forged(tmp_path / "m.safetensors", path, {"record.activation_ranges": value})
    found = CliRunner().invoke(app, ["compress", str(path), str(tmp_path / "x.npy"), "-c"])
    assert found.exit_code == 4 and not found.stdout
    assert found.stderr.count("error:") == 1 and "bug" not in found.stderr


@pytest.mark.parametrize("network", ["pixelcnn", "pixelcnnpp", "row-lstm"])
def test_ranges_out_of_all_proportion_are_refused_or_cost_only_bits(network):
    model, images = exact.model_of(network)
    images = images[:2].numpy()
    ranges, some = model.record["activation_ranges"], np.random.default_rng(0)
    for size in (0, 5e-324, 1e-31, 1e-3, 1e6, 10**18):
        for share in (0.1, 1.0):
            chosen = some.random(len(ranges)) < share
            model.record["activation_ranges"] = [
                size if other else kept for other, kept in zip(chosen, ranges, strict=True)
            ]
            with contextlib.suppress(ModelError):
                assert np.array_equal(px.decompress(model, px.compress(model, images)), images)


BUILD = """
import sys; sys.path.insert(0, {tests!r})
from codec.test_twin import fingerprint_of, model_of
import pixelcnn as px
model, images = model_of()
model.record["activation_ranges"] = {ranges!r}
import torch, hashlib
print(fingerprint_of(model), hashlib.sha256(px.compress(model, images)).hexdigest(), torch.get_num_threads())
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("capability", exact.CAPABILITIES)
def test_every_process_builds_the_same_twin(threads, capability):
    model, images = model_of()
    code = BUILD.format(
        tests=str(Path(__file__).parents[1]), ranges=model.record["activation_ranges"]
    )
    known = os.environ | {"OMP_NUM_THREADS": str(threads), "ATEN_CPU_CAPABILITY": capability}
    done = subprocess.run(
        [sys.executable, "-c", code], env=known, capture_output=True, text=True, check=True
    )
    digest = hashlib.sha256(px.compress(model, images)).hexdigest()
    assert done.stdout.split() == [fingerprint_of(model), digest, str(threads)]
