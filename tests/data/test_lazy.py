"""Images that are read when they are indexed, against the same images in memory."""

import dataclasses

import numpy as np
import pytest
import torch

from pixelcnn import data, networks, outputs, scoring
from pixelcnn.data import ImageSet, lazy
from pixelcnn.data.content import content_keys
from pixelcnn.data.geometry import fitted, in_colour
from pixelcnn.data.lazy import LazyImages, chosen, each, whole
from pixelcnn.data.quantise import coded
from pixelcnn.data.reading import Reading
from pixelcnn.errors import DataError, ResourceError
from pixelcnn.model import PixelModel
from pixelcnn.training.batches import Batches

GREYS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (23, 1, 5, 7), np.uint8))


def read_on_demand(images=GREYS, log=None):
    def read(rows):
        found = images[rows].clone()
        if log is not None:
            log.append(len(found))
        return found

    return LazyImages(images.shape, images.dtype, read, 256)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(lazy, "PIECE", 4 * 35)


INDICES = [
    3, -1, slice(None), slice(2, 9), slice(1, 20, 4), slice(9, 9), [4, 2, -3],
    torch.tensor([0, 22, 0]), np.array([5, 6]), torch.arange(23) % 3 == 0, torch.arange(0),
    (2, 0), (slice(3, 6), 0, slice(1, 3)), (slice(None), 0, 1), ..., None, torch.tensor([[1, 2], [3, 4]]),
]  # fmt: skip


@pytest.mark.parametrize("which", INDICES, ids=str)
def test_indexing_is_that_of_an_ordinary_tensor(which):
    found = read_on_demand()[which]
    assert type(found) is torch.Tensor
    assert torch.equal(found, GREYS[which])


def test_iterating_reads_a_piece_at_a_time():
    log = []
    for image, expected in zip(read_on_demand(log=log), GREYS, strict=True):
        assert torch.equal(image, expected)
    assert max(log) == 4


def test_an_index_out_of_range_is_an_index_error():
    for which in (23, -24, [0, 23], torch.tensor([-24])):
        with pytest.raises(IndexError):
            read_on_demand()[which]
    for images in (read_on_demand(), GREYS):
        with pytest.raises(ValueError, match="greater than zero"):
            images[::-1]


def test_what_it_is_is_known_without_reading():
    log = []
    images = read_on_demand(log=log)
    assert isinstance(images, torch.Tensor)
    assert (images.shape, images.dtype, images.device) == (GREYS.shape, torch.uint8, GREYS.device)
    assert (len(images), images.ndim, images.nbytes, images.numel()) == (23, 4, 805, 805)
    assert not images.is_floating_point()
    assert log == []


def test_everything_else_works_as_with_a_tensor():
    images = read_on_demand()
    assert torch.equal(images.float().mean(0), GREYS.float().mean(0))
    assert torch.equal(torch.cat([images, GREYS]), torch.cat([GREYS, GREYS]))
    assert torch.equal(images + 1, GREYS + 1)
    assert np.array_equal(images.numpy(), GREYS.numpy())
    assert np.array_equal(np.asarray(images), GREYS.numpy())
    assert [int(image.sum()) for image in images] == GREYS.flatten(1).sum(1).tolist()
    assert torch.equal(whole(images), GREYS)


def test_it_cannot_be_written_to():
    images = read_on_demand()
    with pytest.raises(TypeError, match="cannot be written to"):
        images[0] = 0
    with pytest.raises(TypeError, match="cannot be written to"):
        images.add_(1)


def test_more_than_the_memory_holds_is_refused_not_read(monkeypatch):
    log = []
    images = read_on_demand(log=log)
    monkeypatch.setattr("pixelcnn.memory.available", lambda: 100)
    with pytest.raises(ResourceError, match="needs 805 bytes"):
        images.float()
    assert log == []


OUTER = [slice(3, 20), slice(1, 22, 4), torch.tensor([9, 2, 2, 17])]


@pytest.mark.parametrize("outer", OUTER, ids=str)
def test_choosing_of_what_was_chosen_reads_the_right_rows(outer):
    expected = GREYS[outer]
    images = chosen(read_on_demand(), outer)
    assert isinstance(images, LazyImages)
    assert torch.equal(images[:], expected)
    for inner in (slice(1, 3), [2, 0], slice(None, None, 2)):
        assert torch.equal(images[inner], expected[inner])
        assert torch.equal(chosen(images, torch.tensor([1, 0]))[:], expected[[1, 0]])


CODINGS = [
    Reading(), Reading(levels=4), Reading(levels=2), Reading(threshold=0.3), Reading(binarise="dynamic"),
    Reading(levels=17),
]  # fmt: skip


@pytest.mark.parametrize("coding", CODINGS, ids=str)
@pytest.mark.parametrize("rgb", [False, True])
def test_a_set_in_a_file_is_the_set_in_memory(coding, rgb):
    sets = []
    for images in (GREYS, read_on_demand()):
        made = fitted(ImageSet(images, 256, torch.arange(23)), (4, 9), "pad")
        sets.append(coded(in_colour(made) if rgb else made, coding))
    eager, late = sets
    assert isinstance(late.images, LazyImages)
    for part in (slice(None), slice(2, 11), [4, 0, 4], torch.arange(23) % 2 == 0):
        for a, b in ((eager[part], late[part]), (eager[part].limit(2), late[part].limit(2))):
            assert isinstance(b.images, LazyImages)
            assert a.content_hash == b.content_hash
            assert torch.equal(a.levels_at(slice(None), 3, 1), b.levels_at(slice(None), 3, 1))
            assert torch.equal(a.levels_at([0], 3, 1), b.levels_at([0], 3, 1))
        frozen = late[part].frozen(5)
        assert isinstance(frozen.images, LazyImages)
        assert frozen.content_hash == eager[part].frozen(5).content_hash
    assert (eager.levels, eager.binarisation, eager.quantisation) == (
        late.levels, late.binarisation, late.quantisation,
    )  # fmt: skip
    assert np.array_equal(content_keys(eager.images), content_keys(late.images))


def test_nothing_reads_more_than_a_piece_at_a_time():
    log = []
    images = coded(ImageSet(read_on_demand(log=log), 256, name="late"), Reading(levels=4))
    output = outputs.Categorical(levels=4)
    model = PixelModel(networks.PixelCNN(1, 4, width=4, depth=1), output, (1, 5, 7))
    score = scoring.evaluate(model, images, batch_size=4)
    eager = dataclasses.replace(images, images=whole(images.images))
    assert score.nats == scoring.evaluate(model, eager, batch_size=4).nats
    assert torch.equal(scoring.png_nats(images.images, 4), scoring.png_nats(eager.images, 4))
    batches = Batches(images, 4, seed=0)
    for step in range(batches.steps_per_epoch):
        assert torch.equal(batches[step].levels, Batches(eager, 4, seed=0)[step].levels)
    content_keys(images.images)
    assert max(log) <= 4
    assert sum(log) > 4 * 23


def test_scoring_reads_no_batch_twice():
    log = []
    output = outputs.Categorical(levels=256)
    model = PixelModel(networks.PixelCNN(1, 256, width=4, depth=1), output, (1, 5, 7))
    scoring.score(model, read_on_demand(log=log), batch_size=16)
    assert log == [1, 16, 7]  # the first is looked at before memory is asked for


def test_values_beyond_the_levels_are_found_in_a_file_too():
    with pytest.raises(DataError, match="17 levels are the values 0 to 16"):
        ImageSet(read_on_demand(), 17)
    assert ImageSet(read_on_demand(GREYS % 17), 17).levels == 17


def test_a_size_and_colours_read_nothing():
    log = []
    images = ImageSet(read_on_demand(GREYS % 17, log), 17)
    log.clear()
    assert in_colour(fitted(images, (4, 9), "pad")).shape == (3, 4, 9)
    assert log == []


def test_a_step_in_memory_is_done_at_once():
    assert type(each(GREYS, lambda some: some + 1)) is torch.Tensor


def test_arrays_in_files_stay_there_when_they_are_quantised_and_split(tmp_path):
    np.save(tmp_path / "a.npy", np.repeat(GREYS.numpy().astype(">u2")[:, 0], 3, 0))
    for part in data.load(tmp_path / "a.npy", levels=4, rgb=True, size=4):
        assert isinstance(part.images, LazyImages)
        assert part.shape == (3, 4, 4)
