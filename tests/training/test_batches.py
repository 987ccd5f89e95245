"""Which images a step sees is a pure function of the seed and the step."""

import numpy as np
import pytest
import torch

from pixelcnn.data import ImageSet
from pixelcnn.training.batches import Batches, order, seed_step

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


def test_the_noise_of_a_step_depends_on_seed_step_and_rank():
    def noise(*key):
        seed_step(*key)
        return torch.rand(3).tolist()

    assert noise(0, 5, 0) == noise(0, 5, 0)
    assert len({tuple(noise(*key)) for key in [(0, 5, 0), (1, 5, 0), (0, 6, 0), (0, 5, 1)]}) == 4
