"""Which images a step sees is a pure function of the seed and the step."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

import pretended
from pixelcnn import streams
from pixelcnn.data import ImageSet
from pixelcnn.layers import Dropout, set_dropout_generator
from pixelcnn.training import batches as batches_module
from pixelcnn.training.batches import Batches, order, seed_dropout

ORDER = [7, 4, 2, 6, 5, 0, 1, 3]  # Philox words are guaranteed never to change


def images(n=10, **values):
    return ImageSet(torch.arange(n).reshape(n, 1, 1, 1), levels=n, **values)


def test_an_epoch_visits_every_image_once():
    batches = Batches(images(), 4, seed=3)
    assert batches.steps_per_epoch == 3
    for epoch in range(3):
        seen = np.concatenate([batches.indices(3 * epoch + step) for step in range(3)])
        assert sorted(seen.tolist()) == list(range(10))


def test_the_last_step_of_an_epoch_takes_what_is_left():
    batches = Batches(images(), 4, seed=3)
    assert [len(batches.indices(step)) for step in range(6)] == [4, 4, 2, 4, 4, 2]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_each_image_of_a_step_weighs_the_same_in_its_mean_however_many_it_has(processes):
    shares = [Batches(images(7), 4, 3, rank=r, processes=processes) for r in range(processes)]
    for step, count in ((0, 4), (1, 3)):  # the last step of the epoch is smaller
        parts = [share[step] for share in shares]
        # The mean over the processes, of sums with weights, is the mean over the images.
        total = sum(part.weight * part.levels.sum() for part in parts) / processes
        seen = images(7).images[shares[0].indices(step)]
        assert len(seen) == count
        assert float(total) == pytest.approx(float(seen.double().mean()))


def test_a_step_does_not_depend_on_the_steps_before():
    one, other = (Batches(images(), 4, seed=3) for _ in range(2))
    forwards = [one.indices(step).tolist() for step in range(12)]
    backwards = [other.indices(step).tolist() for step in reversed(range(12))]
    assert forwards == backwards[::-1]


def test_seeds_and_epochs_differ():
    orders = {tuple(order(seed, epoch, 20).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_the_order_is_fixed_for_ever():
    assert order(0, 0, 8).tolist() == ORDER


def test_a_batch_holds_the_images_it_names():
    batch = Batches(images(), 4, seed=0)[1]
    assert batch.levels.flatten().tolist() == batch.indices.tolist()
    assert batch.condition is None
    assert batch.images == 4


def test_labels_come_along():
    batch = Batches(images(), 4, seed=0, condition=torch.arange(10) % 3)[0]
    assert batch.condition.tolist() == (batch.indices % 3).tolist()


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_each_step(processes):
    whole = Batches(images(), 5, seed=1)
    parts = [
        Batches(images(), 5, seed=1, rank=rank, processes=processes) for rank in range(processes)
    ]
    for step in range(4):
        mine = [part[step] for part in parts]
        assert sorted(np.concatenate([b.indices for b in mine]).tolist()) == sorted(
            whole.indices(step).tolist()
        )
        assert {b.images for b in mine} == {5}
        assert sum(len(b.indices) * b.weight for b in mine) == pytest.approx(processes)


def test_a_process_without_an_image_takes_part_without_weight():
    batches = Batches(images(), 9, seed=1, rank=1, processes=2)
    assert batches.indices(1).tolist() == batches[1].indices.tolist()
    assert (len(batches[1].levels), batches[1].images, batches[1].weight) == (1, 1, 0.0)


def test_dynamic_images_are_drawn_anew_each_epoch():
    grey = ImageSet(torch.full((4, 1, 6, 6), 8), levels=2, binarisation="dynamic", grey_levels=17)
    batches = Batches(grey, 4, seed=0)

    def drawn(step):
        batch = batches[step]
        return batch.levels[np.argsort(batch.indices)]

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))


def with_dropout():
    """A network of three dropouts, in one another, that shows what they keep."""
    return nn.Sequential(nn.Linear(1, 64), Dropout(0.5), nn.Sequential(Dropout(0.2), Dropout(0.5)))


def masks(model, *key):
    seed_dropout(model, *key)
    return (model(torch.ones(1, 1)) != 0).flatten().tolist()


def test_the_dropout_of_a_step_depends_on_seed_step_and_rank():
    model = with_dropout()
    assert masks(model, 0, 5, 0) == masks(model, 0, 5, 0) == masks(with_dropout(), 0, 5, 0)
    keys = [(0, 5, 0), (1, 5, 0), (0, 6, 0), (0, 5, 1)]
    assert len({tuple(masks(model, *key)) for key in keys}) == 4


def test_the_dropout_of_a_step_is_what_the_same_seed_gives_the_global_generator():
    """What models were trained with before dropout had a generator of its own."""
    model, seed = with_dropout(), int(streams.dropout(0, 5, 1).words(1)[0] >> np.uint64(1))
    own = masks(model, 0, 5, 1)
    set_dropout_generator(model, None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        assert (model(torch.ones(1, 1)) != 0).flatten().tolist() == own


def test_dropout_leaves_the_global_generator_alone():
    model = with_dropout()
    before = torch.random.get_rng_state()
    masks(model, 0, 5, 0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_dropout_of_pytorchs_own_is_seeded_for_each_step_too():
    model = nn.Sequential(nn.Linear(1, 64), nn.Dropout(0.5))
    with torch.random.fork_rng(devices=[]):
        assert masks(model, 0, 5) == masks(model, 0, 5) != masks(model, 0, 6)


def test_a_model_without_dropout_needs_no_seed():
    seed_dropout(nn.Identity(), 0, 0)


def test_dropout_in_two_threads_is_that_of_each_alone():
    def training(seed):
        model = with_dropout()
        return [masks(model, seed, step) for step in range(200)]

    alone = [training(seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(training, (0, 1))) == alone


@pytest.mark.parametrize("room", [0, 10**6])
def test_a_gpu_sees_the_batches_of_the_processor(room, monkeypatch):
    grey = ImageSet(torch.full((10, 1, 6, 6), 8), levels=2, binarisation="dynamic", grey_levels=17)
    given = torch.arange(10)
    here = Batches(grey, 4, seed=3, condition=given)
    steps = (*range(7), 3)  # the last of them out of turn
    wanted = [here[step] for step in steps]
    with (
        pretended.gpus(monkeypatch, room=room),
        Batches(grey, 4, seed=3, condition=given, device="cuda") as there,
    ):
        assert there.data.images.is_cuda == bool(room)
        for step, batch in zip(steps, wanted, strict=True):
            found = there[step]
            assert found.levels.is_cuda and found.condition.is_cuda
            assert torch.equal(found.levels.cpu(), batch.levels)
            assert torch.equal(found.condition.cpu(), batch.condition)
            assert found.indices.tolist() == batch.indices.tolist()


@pytest.mark.parametrize("room", [0, 10**6])
def test_batches_of_a_large_set_alone_are_pinned_ahead_by_another_thread(room, monkeypatch):
    pinned, threads, making = [], {}, Batches._batch

    def watched(self, step):
        threads[step] = threading.current_thread() is threading.main_thread()
        return making(self, step)

    monkeypatch.setattr(Batches, "_batch", watched)
    monkeypatch.setattr(batches_module, "pinned", lambda tensor: pinned.append(tensor) or tensor)
    with (
        pretended.gpus(monkeypatch, room=room),
        Batches(images(), 4, seed=0, condition=torch.arange(10), device="cuda") as batches,
    ):
        pinned.clear()
        assert batches[0].levels.is_cuda and batches[1].levels.is_cuda
        prepared = batches._next
    assert threads[0] and threads[1] == bool(room)
    if room:
        assert prepared is None and len(pinned) == 1  # the order of the epoch
    else:
        assert len(pinned) >= 4  # levels and conditions of both, and perhaps of the next
