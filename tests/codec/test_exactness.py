"""The same whole numbers and bytes, whatever computes them: threads, batches, engines, builds, processors."""

import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pixelcnn as px
from pixelcnn import data, networks, outputs
from pixelcnn.codec.fixed import SINGLE
from pixelcnn.codec.integers import PRECISION, integers
from pixelcnn.compiling import compiler
from pixelcnn.engines import native, parallel
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.programs import program_of
from pixelcnn.shapes import coding_order

HERE = torch.backends.cpu.get_cpu_capability()
CAPABILITIES = ["default", "avx2", "avx512"][: {"AVX2": 2, "AVX512": 3}.get(HERE, 1)]
"""Instruction sets that torch can be told to use, of those that this processor has."""
BUILDS = {
    "unoptimised": ("-O0", "-march=native"),
    "baseline": ("-O2",),
    "this processor": ("-O2", "-march=native"),
}
"""Flags that the native engine is built with."""
MIXTURE = outputs.LogisticMixture(levels=8, components=2)
NETWORKS = {
    "pixelcnn": lambda out: networks.PixelCNN(3, out, width=6, depth=1, kernel=3, order="pixel"),
    "gated": lambda out: networks.GatedPixelCNN(
        3, out, width=6, depth=2, first_kernel=3, order="pixel"
    ),
    "compact": lambda out: networks.NETWORKS["compact"](3, out, width=6, depth=2, order="pixel"),
    "pixelcnnpp": lambda out: networks.PixelCNNpp(3, out, width=6, blocks=1, scales=2),
    "row-lstm": lambda out: networks.NETWORKS["row-lstm"](3, out, width=6, depth=1, order="pixel"),
}
PRECISIONS = {"compact": "long", "pixelcnnpp": "double"}
"""Of their sums; those of others are single."""


def model_of(name="gated"):
    """A small model of colours, with ranges that are the same in every process, and images."""
    torch.manual_seed(0)
    network = NETWORKS[name](MIXTURE.parameters_per_pixel(3))
    model = px.PixelModel(network, MIXTURE, (3, 3, 5)).eval()
    model.record["activation_ranges"] = [2.0] * len(program_of(model).nodes)
    model.record[PRECISION] = PRECISIONS.get(name, "single")
    drawn = torch.Generator().manual_seed(0)
    return model, torch.randint(0, 8, (33, *model.shape), generator=drawn)


def digest(numbers):
    return hashlib.sha256(np.ascontiguousarray(numbers, "<i8")).hexdigest()[:16]


def walked(walker, model, levels):
    """The parameters of a walker, int64 ``(n, out, h, w)``."""
    found = torch.zeros(len(levels), model.network.out, *model.shape[1:], dtype=torch.int64)
    for position in coding_order(model.shape):
        found[..., position.row, position.column] = walker.parameters(levels, position).long()
    return found


def ways(name, batches=(1, 8, 33)):
    """Digests of the parameters of some images, by what computed them, and what they are compressed to."""
    model, images = model_of(name)
    images = images[: max(batches)]
    twin, fingerprint = integers(model, model.shape)
    found = {}
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for batch in batches:
            found[f"parallel, {threads}, {batch}"] = digest(twin.parameters(images, None, batch))
            parts = images.split(batch)[: 1 if batch == 1 else None]
            walkers = {"cached": CachedEngine}
            if twin.native:
                walkers["native"] = functools.partial(native.NativeEngine, arithmetic=twin.native)
            for kind, engine in walkers.items():
                some = [
                    walked(engine(twin, twin.twin.program, len(p), None), model, p) for p in parts
                ]
                if batch == 1:
                    assert twin.parameters(images[:1], None, 1).equal(some[0].int())
                else:
                    found[f"{kind}, {threads}, {batch}"] = digest(torch.cat(some))
    torch.set_num_threads(before)
    packed = px.compress(model, images.numpy())
    assert np.array_equal(px.decompress(model, packed), images.numpy())
    return found, fingerprint.hex(), hashlib.sha256(packed).hexdigest()[:16]


def test_every_way_gives_the_same_numbers():
    found, _, _ = ways("gated", batches=(1, 3, 4))
    assert len(set(found.values())) == 1, found


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"gated"}))
def test_every_way_gives_the_same_numbers_of_other_networks(name):
    found, _, _ = ways(name)
    assert len(set(found.values())) == 1, found


PROGRAM = """
import sys; sys.path.insert(0, {tests!r})
from pixelcnn.compiling import compiler
compiler.FLAGS = {flags!r}
from codec.test_exactness import NETWORKS, ways
from pixelcnn.engines import native
assert not native.why_not(), native.why_not()
for name in {names!r}:
    found, fingerprint, packed = ways(name)
    print(name, *set(found.values()), fingerprint, packed)
"""


def in_a_process(flags, capability, threads, cache):
    """What :func:`ways` says in a process of its own, a line for each network."""
    tests = str(Path(__file__).parents[1])
    code = PROGRAM.format(tests=tests, flags=flags, names=sorted(NETWORKS))
    known = os.environ | {
        "ATEN_CPU_CAPABILITY": capability,
        "OMP_NUM_THREADS": str(threads),
        "XDG_CACHE_HOME": str(cache),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=known, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_every_build_and_instruction_set_gives_the_same_bytes(tmp_path):
    always = [flag for flag in compiler.FLAGS if not flag.startswith(("-O", "-march"))]
    said = {}
    for number, (build, flags) in enumerate(BUILDS.items()):
        cache = tmp_path / str(number)
        cache.mkdir(mode=0o700)
        for capability in CAPABILITIES if build == "this processor" else CAPABILITIES[:1]:
            said[build, capability] = in_a_process(
                (*flags, *always), capability, 1 + number % 2, cache
            )
    assert len(set(said.values())) == 1, said
    assert all(len(line.split()) == 4 for line in next(iter(said.values())).splitlines())


@pytest.mark.skipif(bool(native.why_not()), reason="no native engine")
@pytest.mark.parametrize("width", [6, 7, 12, 16, 34, 80])
@pytest.mark.parametrize("kernel", [3, 5, 7, 11, 19])
@pytest.mark.parametrize(("precision", "sums"), [("single", "integer"), ("long", "long")])
def test_pairs_of_taps_give_the_sums_of_taps(precision, sums, kernel, width):
    """Even and odd numbers of them, in one vector of features and in several, one that is cut too."""
    torch.manual_seed(kernel)
    network = networks.NETWORKS["compact"](1, 2, width=width, depth=2, kernel=kernel)
    model = px.PixelModel(network, outputs.Categorical(levels=2), (1, 3, 14)).eval()
    model.record["activation_ranges"] = [2.0] * len(program_of(model).nodes)
    model.record[PRECISION] = precision
    twin, _ = integers(model, model.shape)
    images = torch.randint(0, 2, (3, *model.shape))
    assert twin.native == sums
    walker = native.NativeEngine(twin, twin.twin.program, 3, None, arithmetic=sums)
    assert walked(walker, model, images).equal(twin.parameters(images, None, 3).long())


def test_float32_gives_the_same_numbers_where_it_is_proven():
    model, images = model_of("pixelcnn")
    twin, _ = integers(model, model.shape)
    assert max(twin.twin.limits) < SINGLE
    values, program = {}, twin.twin.program
    parallel.compute(
        program, images[:2].double(), observe=lambda number, found: values.update({number: found})
    )
    alone = [n for n, node in enumerate(program.nodes) if node.op == "taps" and len(node.taps) == 1]
    assert alone
    for number in alone:
        node = program.nodes[number]
        read, weight = values[node.sources[0]].float(), node.taps[0].weight.float()
        assert (read @ weight.T + node.bias.float()).double().equal(values[number])


SIDE = st.integers(1, 9)


@settings(max_examples=4)
@given(
    shape=st.one_of(st.tuples(st.just(1), SIDE), st.tuples(SIDE, st.just(1))),
    seed=st.integers(0, 99),
)
def test_lines_of_pixels_come_back(shape, seed):
    model, _ = LINES
    images = np.random.default_rng(seed).integers(0, 8, (2, 3, *shape), np.uint8)
    found = px.decompress(model, px.compress(model, list(images)))
    assert all(np.array_equal(one, other) for one, other in zip(found, images, strict=True))


LINES = model_of("pixelcnn")


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_thousands_of_images_come_back(name):
    model, _ = model_of(name)
    images = np.random.default_rng(1).integers(0, 8, (2_048, *model.shape), np.uint8)
    assert np.array_equal(px.decompress(model, px.compress(model, images)), images)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.usefixtures("data_root")
def test_ten_thousand_digits_come_back_from_the_shipped_model():
    model, images = px.load("mnist"), data.load("binarized-mnist").test.images.numpy()
    packed = px.compress(model, images, verify=False)
    assert len(images) == 10_000 and np.array_equal(px.decompress(model, packed), images)
