"""What a caller has told PyTorch of devices, types and casts changes no number."""

import contextlib
import copy

import pytest
import torch

import pixelcnn as px
from pixelcnn import data, networks, outputs
from pixelcnn.codec.fixed import factor
from pixelcnn.data import ImageSet
from pixelcnn.data.lazy import LazyImages
from pixelcnn.statistics import Statistics
from pixelcnn.verify import check_model, receptive_field
from pixelcnn.verify.spots import spread_to_ends
from pixelcnn.walk import walk

IMAGES = torch.randint(2, (70, 1, 5, 7), generator=torch.Generator().manual_seed(0))
NUMBERED = LazyImages((9, 1, 5, 7), torch.uint8, lambda rows: torch.zeros(9, 1, 5, 7)[rows].byte())


@contextlib.contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def default_type(kind):
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def everything():
    with (
        default_device("meta"),
        default_type(torch.float64),
        torch.autocast("cpu", torch.bfloat16),
    ):
        yield


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = networks.GatedPixelCNN(1, 1, width=8, depth=2)
    return px.PixelModel(network, outputs.Bernoulli(), (1, 5, 7)).eval()


def saved_and_loaded(model, path):
    px.save(model, path)
    return px.load(path).state_dict()


def fitted(model):
    px.fit(model, IMAGES[:40], IMAGES[:8], epochs=2, batch_size=10, precision="bf16", verbose=False)
    return model.state_dict()


def packed(model):
    loss = px.calibrate(model, IMAGES[:8])
    file = px.compress(model, IMAGES[:3].numpy())
    return loss, file, px.decompress(model, file).tolist()


def walked(model):
    steps = walk(model, 2)
    found = [next(steps).pmf]
    with contextlib.suppress(StopIteration):
        while True:
            found.append(steps.send(torch.ones(2, 1, dtype=torch.int64, device="cpu")).pmf)
    return torch.cat(found)


def pictured(field):
    return field.as_json(), field.text(), field.picture().tobytes()


CALLS = {
    "score": lambda m, path: px.score(m, IMAGES),
    "score-lists": lambda m, path: px.score(m, IMAGES.tolist()),
    "evaluate": lambda m, path: px.evaluate(m, ImageSet(IMAGES, levels=2)).as_json(),
    "sample": lambda m, path: px.sample(m, 3, batch_size=2),
    "sample-full": lambda m, path: px.sample(m, 1, engine="full"),
    "sample-cached": lambda m, path: px.sample(m, 1, engine="cached"),
    "batches": lambda m, path: torch.cat(list(px.batches(m, 3, batch_size=2))),
    "stream": lambda m, path: torch.cat([some for _, some in px.stream(m, 2)], 1),
    "complete": lambda m, path: px.complete(m, IMAGES[:2], "top", n=2),
    "walk": lambda m, path: walked(m),
    "compress": lambda m, path: packed(m),
    "fit": lambda m, path: fitted(m),
    "files": saved_and_loaded,
    "verify": lambda m, path: check_model(m).passed,
    "field": lambda m, path: pictured(receptive_field(m.network, 5, 7)),
    "statistics": lambda m, path: Statistics.of(IMAGES.flatten(1)),
    "data": lambda m, path: data.load("digits").train.labels,
    "lazily": lambda m, path: ImageSet(NUMBERED, 2)[[3, 1, 7]].limit(2).images[:],
}


def plain(found):
    """Numbers with their type and device, so that equal means equal in all of it."""
    if isinstance(found, dict):
        return {name: plain(value) for name, value in found.items()}
    if isinstance(found, torch.Tensor):
        return str(found.device), str(found.dtype), found.tolist()
    return found


@pytest.mark.parametrize("name", CALLS)
def test_nothing_depends_on_what_surrounds_a_call(model, tmp_path, name):
    fresh = copy.deepcopy(model)  # nothing is known of it yet
    expected = plain(CALLS[name](model, tmp_path / "a.safetensors"))
    with everything():
        found = CALLS[name](fresh, tmp_path / "b.safetensors")
    assert plain(found) == expected


COLOURS = torch.randint(256, (2, 3, 3, 4), generator=torch.Generator().manual_seed(0))
MIXTURE, SOFTMAX = outputs.LogisticMixture(components=2), outputs.Categorical(levels=5)
NETWORKS = {
    "mixture": (lambda: networks.PixelCNNpp(3, 20, width=6, blocks=1, scales=2), MIXTURE),
    "units": (lambda: networks.MADE(3, 15, rows=3, columns=4, activation="elu"), SOFTMAX),
    "constants": (lambda: networks.PixelCNN(3, 15, width=9, depth=2), SOFTMAX),
}


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_depends_on_the_default_type(name, kind):
    torch.manual_seed(0)
    build, output = NETWORKS[name]
    model = px.PixelModel(build(), output, (3, 3, 4)).eval()
    fresh, images = copy.deepcopy(model), COLOURS % output.levels

    def found(model):
        drawn = [px.sample(model, 2, engine=engine) for engine in ("auto", "cached", "full")]
        packed = px.calibrate(model, images), px.compress(model, images.numpy())
        return plain(dict(enumerate([*drawn, px.score(model, images), *packed])))

    expected = found(model)
    with default_type(kind):
        assert found(fresh) == expected


def test_factors_of_the_codec_depend_on_no_setting():
    """Half precision has no power of two above 2^15, and what is flushed none below 2^-126."""
    ratio = torch.tensor([0.3, 1e9, 2.0**-120], dtype=torch.float64)
    expected = factor(ratio, 2**15)
    torch.set_flush_denormal(True)
    try:
        with default_type(torch.float16):
            assert torch.equal(factor(ratio, 2**15), expected)
    finally:
        torch.set_flush_denormal(False)


def test_places_that_are_verified_depend_on_no_setting():
    with default_type(torch.bfloat16):
        assert spread_to_ends(784, 3).tolist() == [0, 391, 783]


def test_scores_that_gradients_are_taken_of_stay_where_the_model_is(model):
    expected = model.log_prob(IMAGES)
    with torch.device("meta"):
        assert torch.equal(model.log_prob(IMAGES.tolist()), expected)


def test_own_loops_may_cast(model):
    """``log_prob`` is what they train with."""
    with torch.autocast("cpu", torch.bfloat16):
        cast = model.log_prob(IMAGES)
    assert not torch.equal(cast, model.log_prob(IMAGES))


def test_between_the_steps_of_an_iterator_the_surroundings_are_the_callers(model):
    def seen():
        settings = torch.get_default_device(), torch.get_default_dtype()
        return *settings, torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()

    with everything():
        before = seen()
        for _ in px.batches(model, 4, batch_size=2):
            assert seen() == before
        assert seen() == before


def test_a_new_model_is_on_the_cpu_and_of_the_default_type():
    with everything():
        model = px.create_model("compact", ImageSet(IMAGES, 2))
    assert {(str(p.device), p.dtype) for p in model.parameters()} == {("cpu", torch.float64)}
