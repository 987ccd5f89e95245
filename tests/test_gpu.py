"""What holds on the processor holds on a GPU; `python -m benchmarks gpu` runs these where there is one."""

import contextlib
import warnings

import pytest
import torch

import pixelcnn as px
import tiny
from pixelcnn.data import ImageSet
from pixelcnn.outputs import LogisticMixture
from pixelcnn.training import batches as batches_module
from pixelcnn.training import loop
from pixelcnn.training.averaging import WeightAverage
from pixelcnn.training.batches import Batches
from training.trainings import assert_same_end, digits, model, train

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


class Killed(BaseException):
    """Stands for a process that is gone from one instruction to the next."""


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_resumed_training_ends_bit_for_bit_where_the_uninterrupted_one_ends(
    precision, tmp_path, monkeypatch
):
    options = {"device": "cuda", "precision": precision, "epochs": 3, "checkpoint_every": "0s"}
    train(tmp_path / "whole", **options)
    going = loop.do_what_is_due
    with monkeypatch.context() as patch:

        def die(trainer):
            if trainer.state.step == 6:
                raise Killed
            going(trainer)

        patch.setattr(loop, "do_what_is_due", die)
        with pytest.raises(Killed):
            train(tmp_path / "run", **options)
    train(tmp_path / "run", resume=True, **options)
    assert_same_end(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("room", [0, 10**9])
def test_batches_are_those_of_the_processor(room, monkeypatch):
    monkeypatch.setattr(batches_module, "room_on", lambda device: room)
    data, given = grey(), torch.arange(40)
    here = Batches(data, 16, seed=3, condition=given)
    with Batches(data, 16, seed=3, condition=given, device="cuda") as there:
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
    px.fit(model(), *digits(), precision=precision, **OPTIONS)
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
