"""What holds on the processor holds on a GPU; `python -m benchmarks gpu` runs these where there is one."""

import contextlib
import copy
import gc
import warnings

import pytest
import torch

import pixelcnn as px
import tiny
from engines.walks import condition_for, images_of, model_of, parameters
from pixelcnn.data import ImageSet
from pixelcnn.data.augmentation import Augmentation
from pixelcnn.data.tags import Tags
from pixelcnn.drawing import uniforms
from pixelcnn.engines.cached import CachedEngine
from pixelcnn.engines.cuda import CudaEngine
from pixelcnn.engines.trace import trace
from pixelcnn.inversion import invert
from pixelcnn.layers import CONDITIONS
from pixelcnn.outputs import LogisticMixture
from pixelcnn.training import batches as batches_module
from pixelcnn.training import loop
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.batches import Batches
from pixelcnn.training.saver import Saver
from training.trainings import assert_a_kill_changes_nothing, digits, model, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

KINDS = ("pixelcnn", "gated-pixelcnn", "compact", "pixelcnnpp", "snail", "row-lstm")


def small(kind, channels=1):
    """A tiny model of a kind of network."""
    output = tiny.small(LogisticMixture, levels=7)
    out = output.parameters_per_pixel(channels)
    torch.manual_seed(0)
    network = tiny.small(px.networks.NETWORKS[kind], channels=channels, out=out, order="pixel")
    return px.PixelModel(network, output, (channels, 5, 7)).eval()


def weights(trained):
    """All parameters in one row, on the processor."""
    return torch.cat([p.detach().cpu().flatten() for p in trained.parameters()])


def grey(n=40):
    """A set that is binarised anew in each epoch, with places of its own."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2 * n, 1, 8, 8), generator=generator)
    whole = ImageSet(images, levels=2, binarisation="dynamic", grey_levels=256)
    return whole[torch.randperm(2 * n, generator=generator)[:n]]


def test_four_steps_of_training_are_those_of_the_processor():
    here, there = (
        train(None, device=device, precision="64", epochs=1, dropout=0.0, weight_average=0.0)
        for device in ("cpu", "cuda")
    )
    assert here[1].steps == there[1].steps == 4
    torch.testing.assert_close(weights(there[0]), weights(here[0]), rtol=0, atol=1e-7)
    assert there[1].best == pytest.approx(here[1].best, rel=1e-7)
    assert there[0].device.type == "cpu"


def test_a_model_that_lies_on_the_gpu_is_trained_on_there():
    own = model().cuda()
    for _ in range(2):
        px.fit(own, *digits(), **OPTIONS)
    assert own.record["parent"]["steps"] == own.record["steps"]
    assert own.device.type == "cuda"


def test_the_best_weights_are_kept_outside_of_the_gpu(monkeypatch):
    kept, recalled = [], Saver._recalled
    monkeypatch.setattr(Saver, "_recalled", lambda own: kept.append(recalled(own)) or kept[-1])
    train(None, device="cuda", epochs=1)
    assert {value.device.type for value in kept[-1][0].values()} == {"cpu"}


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_resumed_training_ends_bit_for_bit_where_the_uninterrupted_one_ends(precision, tmp_path):
    assert_a_kill_changes_nothing(tmp_path, device="cuda", precision=precision, epochs=3)


@pytest.mark.parametrize("room", [0, 10**9])
def test_batches_are_those_of_the_processor(room, monkeypatch):
    monkeypatch.setattr(batches_module, "room_on", lambda device: room)
    data, ways = grey(), Augmentation(("shift 1", "rotate"), grey().shape)
    given = {"condition": torch.arange(40), "augmentation": ways}
    given |= {"tagged": Tags("label", 40, ways.count)}
    here = Batches(data, 16, seed=3, **given)
    with Batches(data, 16, seed=3, device="cuda", **given) as there:
        assert there.data.images.is_cuda == bool(room)
        for step in range(2 * here.steps_per_epoch):
            batch = there[step]
            assert batch.levels.is_cuda and batch.condition.is_cuda
            assert torch.equal(batch.levels.cpu(), here[step].levels)
            assert torch.equal(batch.condition.cpu(), here[step].condition)


def test_a_large_set_is_prepared_in_pinned_memory(monkeypatch):
    monkeypatch.setattr(batches_module, "room_on", lambda device: 0)
    with Batches(grey(), 16, seed=3, condition=torch.arange(40), device="cuda") as batches:
        batches[0]
        _, prepared = batches._next
        assert prepared.result().levels.is_pinned() and prepared.result().condition.is_pinned()


@contextlib.contextmanager
def waiting_is_an_error():
    """Raises where something waits for the GPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls this a prototype
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode(before)


@pytest.fixture
def watched(monkeypatch):
    """Training steps in which nothing may wait for the GPU, but for the first; their numbers."""
    taking, seen = loop.take_step, []

    def watch(trainer):
        if not trainer.state.step:  # fills caches
            taking(trainer)
            return
        seen.append(trainer.state.step)
        with waiting_is_an_error():
            taking(trainer)

    monkeypatch.setattr(loop, "take_step", watch)
    return seen


OPTIONS = {
    "device": "cuda",
    "epochs": 2,
    "batch_size": 16,
    "weight_average": 0.9,
    "gradient_clip": 1.0,
    "verbose": False,
}


def test_waiting_in_a_step_would_be_noticed(watched, monkeypatch):
    monkeypatch.setattr(WeightAverage, "update", lambda self: self.values[0].sum().item())
    with pytest.raises(RuntimeError, match="synchroniz"):
        px.fit(model(), *digits(), **OPTIONS)


@pytest.mark.parametrize("room", [0, 10**9])
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_no_step_waits_for_the_gpu(room, precision, watched, monkeypatch):
    monkeypatch.setattr(batches_module, "room_on", lambda device: room)
    px.fit(model(), *digits(), precision=precision, augment=["shift 1", "rotate"], **OPTIONS)
    assert watched == list(range(1, 8))


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_of_any_network_waits(kind, watched):
    own = small(kind, channels=3)
    images = ImageSet(torch.randint(7, (40, *own.shape)), levels=7)
    px.fit(own, images, images.limit(4), **OPTIONS)
    assert watched == list(range(1, 6))


@pytest.mark.parametrize("room", [0, 10**9])
def test_no_step_waits_for_coins(room, watched, monkeypatch):
    monkeypatch.setattr(batches_module, "room_on", lambda device: room)
    own = px.create_model("pixelcnn", grey(), seed=0, width=6, depth=1)
    px.fit(own, grey(), grey().limit(4), **OPTIONS)
    assert watched == list(range(1, 6))


@pytest.mark.parametrize("optimizer", ["adamw", "nadam", "rmsprop"])
def test_no_optimiser_waits(optimizer, watched):
    px.fit(model(), *digits(), optimizer=optimizer, **OPTIONS)
    assert watched == list(range(1, 8))


@pytest.mark.parametrize("engine", ["full", "cached"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_draws_the_images_of_the_processor(kind, engine):
    own = small(kind, channels=3).double()
    here, there = (
        px.sample(own, 3, seed=5, engine=engine, device=device) for device in ("cpu", "cuda")
    )
    assert torch.equal(there, here)
    assert own.device.type == "cpu"


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_is_that_of_the_processor(kind):
    own = small(kind, channels=3)
    images = ImageSet(torch.randint(7, (8, *own.shape)), levels=7)
    here, there = (px.evaluate(own, images, device=device) for device in ("cpu", "cuda"))
    assert there.nats == pytest.approx(here.nats, rel=1e-6)


def replaying(own, n, condition=None):
    """The cuda engine of a model on a GPU."""
    return CudaEngine(own, trace(own.network), n, condition)


def drawing(own, n):
    """What images are drawn from: no level is known."""
    nothing = torch.zeros(n, *own.shape, dtype=torch.int64)
    return nothing, nothing.bool(), uniforms(5, range(n), own.shape)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("name", tiny.REPLAYED)
def test_what_is_replayed_equals_cached_on_the_processor(name, condition):
    own = model_of(name, (3, 5, 7), condition=condition).double()
    images, values = images_of(own, 3), condition_for(own, 3)
    expected = parameters(own, CachedEngine(own, trace(own.network), 3, values), images)
    there = own.cuda()
    values = None if values is None else values.cuda()
    found = parameters(there, replaying(there, 3, values), images.cuda())
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", tiny.REPLAYED)
def test_replayed_images_are_those_of_the_processor(name, channels):
    own = model_of(name, (channels, 9, 7)).double()
    expected = px.sample(own, 3, seed=5, engine="cached").long()
    engine = replaying(own.cuda(), 3)
    for _ in range(2):  # the second time nothing is captured
        assert torch.equal(engine.fill(*drawing(own, 3), 1.0), expected)


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("kind", KINDS)
def test_replayed_mixtures_are_those_of_the_processor(kind, temperature):
    own = small(kind, channels=3).double()
    expected = px.sample(own, 3, seed=5, temperature=temperature, engine="cached").long()
    assert torch.equal(replaying(own.cuda(), 3).fill(*drawing(own, 3), temperature), expected)


def test_levels_are_chosen_where_all_is_to_be_deterministic():
    pmf = torch.rand(3, 5, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pmf, u = pmf / pmf.sum(-1, keepdim=True), pmf[..., 0]
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(invert(pmf.cuda(), u.cuda()).cpu(), invert(pmf, u))
    finally:
        torch.use_deterministic_algorithms(False)


def test_replaying_leaves_stream_random_numbers_and_weights_alone():
    own = small("gated-pixelcnn").double().cuda()
    torch.cuda.manual_seed(7)
    state, stream = torch.cuda.get_rng_state(), torch.cuda.current_stream()
    engine = replaying(own, 2)
    expected = engine.fill(*drawing(own, 2), 1.0)
    with torch.no_grad():
        for tensor in own.parameters():
            tensor.zero_()
    assert torch.equal(engine.fill(*drawing(own, 2), 1.0), expected)
    assert torch.equal(torch.cuda.get_rng_state(), state)
    assert torch.cuda.current_stream() == stream


def test_replaying_frees_its_memory():
    own = small("snail", channels=3).cuda()
    replaying(own, 2).fill(*drawing(own, 2), 1.0)
    gc.collect()
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        replaying(own, 2).fill(*drawing(own, 2), 1.0)
    gc.collect()
    assert torch.cuda.memory_allocated() == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_network_depends_on_is_what_it_does_on_the_processor(kind):
    own = small(kind).network
    here, there = (px.verify.measure(network, 2, 3) for network in (own, copy.deepcopy(own).cuda()))
    assert there.measured.equal(here.measured) and there.claimed.equal(here.claimed)


def test_no_row_waits_for_the_gpu():
    own = small("gated-pixelcnn", channels=3).cuda()
    engine = replaying(own, 2)
    engine.fill(*drawing(own, 2), 1.0)
    given = engine._begin(*drawing(own, 2))
    with waiting_is_an_error(), torch.no_grad():
        for row in range(own.shape.height):
            engine._draw_row(given, row, 1.0)
