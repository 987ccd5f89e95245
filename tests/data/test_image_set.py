"""The one type for images."""

import dataclasses

import numpy as np
import pytest
import torch

from pixelcnn.data import ImageSet, Splits
from pixelcnn.data.lazy import LazyImages
from pixelcnn.data.splits import joined
from pixelcnn.errors import ConfigError, DataError

GREYS = torch.arange(0, 240, dtype=torch.uint8).reshape(10, 1, 4, 6)


def grey(**options):
    return ImageSet(GREYS, 256, name="ramp", **options)


def dynamic():
    return ImageSet(GREYS, 2, grey_levels=256, binarisation="dynamic", name="ramp")


@pytest.mark.parametrize(
    ("levels", "dtype"),
    [(2, torch.uint8), (256, torch.uint8), (257, torch.int32), (65_536, torch.int32)],
)
@pytest.mark.parametrize("given", [torch.int64, torch.uint8, torch.int16])
def test_any_integer_type_becomes_uint8_up_to_256_levels_else_int32(levels, dtype, given):
    assert ImageSet(torch.ones(2, 1, 3, 3, dtype=given), levels).images.dtype == dtype


def test_numpy_arrays_and_booleans_are_taken():
    assert ImageSet(np.ones((2, 1, 3, 3), bool), 2).images.tolist() == [[[[1] * 3] * 3]] * 2


@pytest.mark.parametrize("value", [-1, 4, 255])
def test_a_value_outside_the_levels_is_refused_with_its_range(value):
    with pytest.raises(DataError, match=f"4 levels are the values 0 to 3, .* {value}"):
        ImageSet(torch.full((2, 1, 3, 3), value), 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": torch.zeros(2, 3, 3, dtype=torch.uint8)}, "four axes"),
        ({"images": torch.zeros(2, 1, 3, 3)}, "integer levels"),
        ({"levels": 1}, "2 to 65536 levels"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "3 labels for 2 images"),
        ({"labels": torch.zeros(2)}, "labels are integers"),
        ({"labels": torch.tensor([0, -1])}, "labels count from 0"),
        ({"names": ("a",)}, "1 names for 2 images"),
    ],
)
def test_what_is_no_set_of_images_is_refused(arguments, message):
    good = {"images": torch.zeros(2, 1, 3, 3, dtype=torch.uint8), "levels": 2}
    with pytest.raises(DataError, match=message):
        ImageSet(**{**good, **arguments})


def test_the_hash_is_of_levels_shape_and_pixels_alone():
    same = ImageSet(
        GREYS.to(torch.int64), 256, labels=torch.arange(10), name="another", split="test"
    )
    assert grey().content_hash == same.content_hash
    changed = GREYS.clone()
    changed[3, 0, 2, 1] += 1
    others = [
        ImageSet(changed, 256),
        ImageSet(GREYS, 257),
        ImageSet(GREYS.reshape(10, 1, 6, 4), 256),
        ImageSet(GREYS[:9], 256),
        dynamic(),
    ]
    assert len({grey().content_hash, *(other.content_hash for other in others)}) == 6


def test_the_hash_is_the_same_for_ever():
    assert grey().content_hash == (
        "cd527a76bc28c072adfb8dafd4989234960338409128162dc6b091b173d6004a"
    )


def test_a_slice_shares_memory_and_keeps_what_is_known():
    whole = grey(labels=torch.arange(10), names=tuple("abcdefghij"), classes=tuple("abcdefghij"))
    part = whole[2:5]
    assert part.images.data_ptr() == whole.images[2:].data_ptr()
    assert part.labels.tolist() == [2, 3, 4]
    assert part.names == ("c", "d", "e")
    assert (part.name, part.levels, part.classes) == (whole.name, whole.levels, whole.classes)


def test_neighbours_given_as_indices_share_memory_too():
    assert grey()[torch.tensor([4, 5, 6])].images.data_ptr() == GREYS[4:].data_ptr()


@pytest.mark.parametrize(
    "which", [[7, 1], torch.tensor([7, 1]), np.array([7, 1]), torch.tensor([-3, 1])]
)
def test_indices_choose_images_in_their_order(which):
    assert torch.equal(grey()[which].images, GREYS[[7, 1]])


def test_a_mask_an_index_and_nothing_choose_images():
    mask = torch.zeros(10, dtype=torch.bool)
    mask[[1, 7]] = True
    assert torch.equal(grey()[mask].images, GREYS[[1, 7]])
    assert torch.equal(grey()[-1].images, GREYS[9:])
    assert len(grey()[[]]) == 0
    with pytest.raises(IndexError):
        grey()[10]
    assert torch.equal(grey()[torch.tensor(3)].images, GREYS[3:4])


@pytest.mark.parametrize("which", [[10], [9, 10], [-11], torch.arange(8, 12), [True] * 9])
def test_an_image_that_is_not_there_is_an_index_error_and_never_left_out(which):
    stored = ImageSet(LazyImages(GREYS.shape, GREYS.dtype, lambda rows: GREYS[rows], 256), 256)
    for images in (grey(), stored):
        with pytest.raises(IndexError):
            images[which]
        with pytest.raises(IndexError):
            images.levels_at(which)


def test_limit_strides_evenly_over_the_whole_set():
    labels = torch.arange(10).repeat_interleave(100)  # sorted by class
    whole = ImageSet(torch.zeros(1000, 1, 1, 1, dtype=torch.uint8), 2, labels=labels)
    assert whole.limit(50).labels.bincount().tolist() == [5] * 10
    assert whole.limit(None) is whole
    assert whole.limit(5000) is whole
    for wrong in (0, True, "5"):
        with pytest.raises(ConfigError, match="limit must be an integer"):
            whole.limit(wrong)


def test_levels_of_a_fixed_set_ignore_seed_and_epoch():
    assert torch.equal(grey().levels_at([3, 1], seed=5, epoch=7), GREYS[[3, 1]])
    assert grey().frozen(3).images is grey().images


def test_dynamic_levels_depend_on_seed_epoch_and_image_but_not_on_the_batch():
    images = dynamic()
    whole = images.levels_at(slice(None), seed=1, epoch=2)
    assert torch.equal(images.levels_at([7, 2, 5], 1, 2), whole[[7, 2, 5]])
    assert torch.equal(images[3:].levels_at([4], 1, 2), whole[[7]])
    assert torch.equal(images[[9, 4]][1:].levels_at(0, 1, 2), whole[[4]])
    assert torch.equal(images.limit(3).levels_at(slice(None), 1, 2), whole[[0, 3, 6]])
    for seed, epoch in ((1, 3), (2, 2)):
        assert not torch.equal(images.levels_at(slice(None), seed, epoch), whole)
    assert whole.dtype == torch.uint8
    assert set(whole.unique().tolist()) == {0, 1}


def test_freezing_a_dynamic_set_names_the_seed_and_commutes_with_choosing():
    images = dynamic()
    fixed = images.frozen(seed=4)
    assert fixed.binarisation == "dynamic, seed 4"
    assert (fixed.levels, fixed.dynamic) == (2, False)
    assert torch.equal(fixed.levels_at([1], seed=9, epoch=9), fixed.images[[1]])
    assert images.limit(4).frozen(4).content_hash == fixed.limit(4).content_hash
    assert not torch.equal(fixed.images, images.frozen(5).images)
    assert not torch.equal(fixed.images, images.levels_at(slice(None), 4, 0))


def test_images_that_are_counted_from_the_end_keep_their_coins():
    images = dynamic()
    assert torch.equal(images[[-1, 2]].levels_at(slice(None)), images.levels_at([9, 2]))


def test_black_stays_black_and_white_stays_white():
    ends = torch.tensor([0, 255], dtype=torch.uint8).repeat(1000, 1).reshape(1000, 1, 1, 2)
    drawn = ImageSet(ends, 2, grey_levels=256).levels_at(slice(None), 0, 0)
    assert drawn.flatten(0, 2).unique(dim=0).tolist() == [[0, 1]]


def test_joined_sets_keep_order_and_labels():
    both = joined(grey(labels=torch.arange(10)), grey(labels=torch.arange(10)))
    assert len(both) == 20
    assert both.labels.tolist() == [*range(10), *range(10)]


def test_label_count_is_that_of_the_names_or_of_the_largest_label():
    labels = torch.tensor([0, 3] * 5)
    assert grey(labels=labels).label_count == 4
    assert grey(labels=labels, classes=tuple("abcdef")).label_count == 6
    assert grey().label_count == 0


def test_a_condition_goes_where_its_image_goes():
    images = grey(condition=torch.arange(10.0)[:, None])
    assert images[[7, 2]].condition.tolist() == [[7], [2]]
    assert images[1:3].condition.tolist() == [[1], [2]]
    assert images.limit(2).condition.tolist() == [[0], [5]]
    assert joined(images[:1], images[9:]).condition.tolist() == [[0], [9]]
    assert joined(images[:1], grey()).condition is None


def test_a_condition_is_given_as_what_it_is():
    maps = torch.zeros(10, 2, *grey().shape[1:])
    assert grey(condition=maps).given("map").shape == maps.shape
    assert grey(condition=maps).given("vector") is None
    assert grey(condition=maps).given("label") is None
    assert grey(condition=maps[:, :, 0, 0]).given("vector").shape == (10, 2)


@pytest.mark.parametrize("shape", [(10,), (9, 2), (10, 2, 1, 1), (10, 2, 3)])
def test_a_condition_that_does_not_fit_is_refused(shape):
    with pytest.raises(DataError, match="condition"):
        grey(condition=torch.zeros(shape))


def test_a_notebook_is_shown_the_first_images_whatever_they_are():
    grey = torch.arange(40, dtype=torch.uint8).reshape(40, 1, 1, 1).expand(-1, 1, 4, 4)
    for images in (
        ImageSet(grey, levels=40, name="<grey>"),
        ImageSet(grey, levels=2, binarisation="dynamic", grey_levels=256, name="coins"),
        ImageSet(grey.repeat(1, 5, 1, 1).int() * 1000, levels=65_536, name="satellite"),
    ):
        page = images._repr_html_()
        assert page.startswith('<img src="data:image/png;base64,iVBOR')
        assert "40 images of" in page
        assert "<grey>" not in page
    assert "img" not in images[:0]._repr_html_()
    assert Splits(images, images, images)._repr_html_().count("<img") == 3


def test_the_coins_of_an_evaluated_image_depend_on_no_other():
    images = dynamic()
    drawn = images.frozen(4).images
    alone = ImageSet(GREYS[3:4], 2, grey_levels=images.grey_levels, binarisation="dynamic")
    assert torch.equal(alone.frozen(4).images, drawn[3:4])
    backwards = dataclasses.replace(images, images=GREYS.flip(0))
    assert torch.equal(backwards.frozen(4).images, drawn.flip(0))
    assert torch.equal(images[[5, 2]].frozen(4).images, drawn[[5, 2]])
    assert len(images[:0].frozen(4)) == 0


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({}, [(4, 1, 4, 6)]),
        ({"labels": torch.arange(10)}, [(4, 1, 4, 6), (4,)]),
        ({"condition": torch.rand(10, 3)}, [(4, 1, 4, 6), (4, 3)]),
    ],
)
def test_a_loader_of_pytorch_makes_batches_of_levels_and_of_what_they_are_given(options, shapes):
    images = grey(**options)
    for source, first in ((images, 0), (torch.utils.data.Subset(images, range(2, 9)), 2)):
        batch = next(iter(torch.utils.data.DataLoader(source, batch_size=4)))
        parts = batch if options else [batch]
        assert [tuple(part.shape) for part in parts] == shapes
        assert torch.equal(parts[0], GREYS[first : first + 4])


def test_a_loader_of_pytorch_gives_coins_of_a_dynamic_set_not_its_greys():
    batch = next(iter(torch.utils.data.DataLoader(dynamic(), batch_size=4)))
    assert torch.equal(batch, dynamic().levels_at(slice(0, 4)))


def test_one_image_is_no_images():
    assert repr(grey()[0]) == "<ImageSet ramp all: 1 image of 1x4x6, 256 levels>"


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_the_hash_is_that_of_what_the_owner_of_the_memory_has_written(kind):
    array = np.zeros((2, 1, 3, 3), np.uint8)
    images = ImageSet(kind(array), 4)
    before = images.content_hash
    array[1] = 3
    assert images.content_hash == ImageSet(array.copy(), 4).content_hash != before
