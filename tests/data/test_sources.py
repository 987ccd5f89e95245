"""Objects that hold images: arrays, pictures of Pillow, datasets of PyTorch."""

from collections import deque

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import data
from pixelcnn.data import decoding, hugging_face, items, pictures, splits, values
from pixelcnn.data.lazy import LazyImages, concatenated
from pixelcnn.data.sources import IN_MEMORY
from pixelcnn.data.stored import Spool
from pixelcnn.errors import ConfigError, DataError

VALUES = np.random.default_rng(0).integers(0, 256, (40, 6, 5), np.uint8)
PICTURES = [Image.fromarray(image) for image in VALUES]


class Items(torch.utils.data.Dataset):
    """A dataset of these items."""

    def __init__(self, given):
        self.given = given

    def __len__(self):
        return len(self.given)

    def __getitem__(self, index):
        return self.given[index]


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, list, lambda v: v[::-1][::-1]])
def test_an_array_is_split_like_the_file_of_it(make, tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    for ours, file in zip(data.load(make(VALUES)), data.load(tmp_path / "a.npy"), strict=True):
        assert torch.equal(ours.images, file.images[:])
        assert (ours.split, ours.levels, ours.name) == (file.split, 256, "array")


@pytest.mark.parametrize("dtype", [torch.uint16, torch.int32, torch.int64, torch.bool])
def test_tensors_of_any_integers(dtype):
    values = torch.from_numpy(VALUES.astype(np.int64) % 2).to(dtype)
    assert torch.equal(data.load_all(values, source_levels=2).images[:, 0], values.to(torch.uint8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.complex64])
def test_floats_are_never_taken_for_levels(dtype):
    for source in (torch.zeros(3, 6, 5, dtype=dtype), Items([torch.zeros(1, 6, 5, dtype=dtype)])):
        with pytest.raises(DataError, match="levels are integers"):
            data.load_all(source)


def test_a_set_stays_what_it_is():
    binary = data.load("digits", threshold=0.3).test
    assert data.load_all(binary) is binary
    assert {part.binarisation for part in data.load(binary)} == {"threshold 0.3"}
    splits = data.load("digits", binarise="dynamic")
    assert [part.binarisation for part in data.load(splits)] == [p.binarisation for p in splits]
    assert data.load(splits, size=5).train.shape == (1, 5, 5)
    assert data.load(data.load("digits"), levels=4).val.levels == 4


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_picture_in_memory_is_the_same_as_its_file(mode, tmp_path):
    picture = PICTURES[0].convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        picture = Image.fromarray(VALUES[0].astype(np.uint16) * 257)
    name = "a.tif" if mode == "CMYK" else "a.png"
    picture.save(tmp_path / name)
    file, memory = (data.load_all(source) for source in (tmp_path / name, picture))
    assert torch.equal(file.images, memory.images)
    assert file.levels == memory.levels
    assert torch.equal(data.load_all((tmp_path / name).read_bytes()).images, file.images)


def test_a_part_of_a_set_is_a_set_with_the_same_levels(tmp_path):
    whole = data.ImageSet(torch.randint(17, (9, 1, 3, 4)), levels=17, labels=torch.arange(9))
    part = torch.utils.data.Subset(torch.utils.data.Subset(whole, range(8, 0, -1)), [0, 3])
    found = data.load_all(part)
    assert (found.levels, found.labels.tolist()) == (17, [8, 5])
    assert found.images.equal(whole.images[[8, 5]])


def test_several_sets_one_after_the_other_are_a_set():
    train, val, _ = data.load("digits")
    both = data.load_all(torch.utils.data.ConcatDataset([train, torch.utils.data.Subset(val, [3])]))
    assert (len(both), both.split, both.classes) == (len(train) + 1, "all", train.classes)
    assert both.images[-1].equal(val.images[3])
    assert both.labels[-1] == val.labels[3]


@pytest.mark.parametrize(
    ("options", "error"),
    [({"size": 5}, "further images are 1x5x5"), ({"threshold": 0.5}, "differ in binarisation")],
)
def test_sets_that_do_not_go_together_are_not_joined(options, error):
    first, other = data.load("digits").train, data.load("digits", **options).train
    with pytest.raises(DataError, match=error):
        data.load_all(torch.utils.data.ConcatDataset([first, other]))


def test_parts_of_a_dynamic_set_are_drawn_before_they_are_one():
    splits = data.load(VALUES, binarise="dynamic")
    whole = data.load_all(splits)
    assert (whole.levels, whole.binarisation, whole.split) == (2, "dynamic, seed 0", "all")
    assert torch.equal(whole.images, torch.cat([part.frozen().images for part in splits]))


def test_images_that_were_chosen_from_a_dynamic_set_are_joined():
    train = data.load(VALUES, binarise="dynamic").train
    chosen = [torch.utils.data.Subset(train, places) for places in ([3, 1], [0])]
    found = splits.taken(torch.utils.data.ConcatDataset(chosen))
    assert found.dynamic and torch.equal(found.images, train.images[[3, 1, 0]])


def test_labels_and_classes_come_with_items():
    given = Items([(picture, index % 3) for index, picture in enumerate(PICTURES)])
    given.classes = ["a", "b", "c"]
    images = data.load_all(torch.utils.data.Subset(given, [4, 0, 5]))
    assert (images.labels.tolist(), images.classes) == ([1, 0, 2], ("a", "b", "c"))
    assert data.load_all(given, labels=False).labels is None
    assert np.array_equal(images.images[:, 0].numpy(), VALUES[[4, 0, 5]])
    unknown = Items([(image, -1) for image in VALUES])  # as the Hub writes it
    assert data.load_all(unknown).labels is None


@pytest.mark.parametrize(
    ("given", "options", "error"),
    [
        ([(VALUES[0], 0.5)], {}, "label of item 0 is 0.5"),
        ([(VALUES[0], 1, 2)], {}, "3 things"),
        ([(VALUES[0], 1), (VALUES[1], None)], {}, "item 1 has no label"),
        ([{"a": VALUES[0], "b": 1}], {}, "hold a, b: which is the image"),
        ([{"image": VALUES[0], "kind": 1}], {"label_column": "sort"}, "nothing called sort"),
        ([VALUES[0], VALUES[1, :3]], {}, "item 1 is uint8 .3, 5., item 0"),
        ([PICTURES[0], VALUES[1]], {}, "pictures and arrays"),
        ([PICTURES[0], PICTURES[1].resize((9, 9))], {}, "differ in size"),
        (["a.png"], {}, "item 0 is no image"),
        ([VALUES[:, :, :, None]], {}, "item 0 is no image: uint8 .40, 6, 5, 1"),
        ([VALUES[0].astype(object)], {}, "item 0 is no image: object .6, 5"),
        (
            [(each, -index) for index, each in enumerate(PICTURES)],
            {},
            "^Items: labels count from 0",
        ),
        ([], {}, "no items"),
    ],
)
def test_items_that_are_no_images_are_named(given, options, error):
    with pytest.raises(DataError, match=error):
        data.load_all(Items(given), **options)


def test_a_dataset_without_a_length_is_refused():
    class Endless(torch.utils.data.Dataset):
        def __getitem__(self, index):
            return torch.zeros(1, 6, 5, dtype=torch.uint8)

    with pytest.raises(DataError, match="Endless does not say how many images") as caught:
        data.load_all(Endless())
    assert "__len__" in caught.value.hint


def test_items_of_other_names_are_found_by_them():
    given = Items([{"scan": image, "kind": index} for index, image in enumerate(VALUES)])
    assert data.load_all(given, key="scan", label_column="kind").labels.tolist() == [*range(40)]
    usual = Items([{"pixel_values": image, "label": 3} for image in VALUES])
    assert data.load_all(usual).labels.tolist() == [3] * 40


def test_sets_in_one_tuple_are_told_where_they_go():
    images = data.load_all(VALUES)
    with pytest.raises(DataError, match="item 0 is no image") as caught:
        data.load_all((images, images))
    assert "px.fit(model, train, val)" in caught.value.hint


def test_pictures_may_come_in_any_sequence():
    assert np.array_equal(data.load_all(deque(PICTURES)).images[:, 0].numpy(), VALUES)


def test_pictures_of_a_dataset_say_how_they_were_read_as_those_of_a_folder_do(tmp_path):
    maps = [Image.fromarray(image % 5) for image in VALUES]
    for number, picture in enumerate(maps):
        picture.save(tmp_path / f"{number:02}.png")
    options = {"size": 4, "fit": "nearest", "source_levels": 5}
    folder, found = data.load_all(tmp_path, **options), data.load_all(Items(maps), **options)
    for images in (folder, found):
        assert (images.fit, images.picture_levels) == ("nearest", 5)
    assert torch.equal(found.images, folder.images)


def test_pictures_of_a_dataset_are_decoded_once(monkeypatch):
    decoded, decode = [], decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *a: (decoded.append(1), decode(*a))[1])
    assert len(data.load_all(Items(PICTURES))) == len(decoded)


def test_random_items_become_one_set_that_does_not_change():
    class Random(Items):
        def __getitem__(self, index):
            return torch.randint(256, (1, 6, 5), dtype=torch.uint8)

    images = data.load_all(Random(range(5)))
    assert torch.equal(images.images[:], images.images[:])


def test_many_items_are_kept_in_a_file(monkeypatch):
    monkeypatch.setattr("pixelcnn.data.stored.HELD", 100)
    images = data.load_all(Items([torch.from_numpy(image) for image in VALUES])).images
    assert isinstance(images, LazyImages)
    assert np.array_equal(images[:][:, 0].numpy(), VALUES)
    assert np.array_equal(images[torch.tensor([7, 3])][:, 0].numpy(), VALUES[[7, 3]])


def test_rows_of_a_spool_come_back_in_any_order(monkeypatch):
    monkeypatch.setattr("pixelcnn.data.stored.HELD", 10)
    spool = Spool((6, 5), VALUES.dtype)
    for image in VALUES:
        spool.append(image)
    for rows in (slice(3, 9), slice(0, 40, 7), slice(5, 5), torch.tensor([39, 3])):
        assert np.array_equal(spool[rows], VALUES[rows])


def test_lazy_sets_are_concatenated_lazily():
    whole = torch.arange(60).reshape(20, 3)
    lazy = LazyImages((8, 3), torch.int64, lambda rows: whole[:8][rows], 60)
    both = concatenated([lazy, whole[8:]])
    assert isinstance(both, LazyImages)
    for rows in (slice(5, 12), torch.tensor([19, 0, 7, 8, 8])):
        assert torch.equal(both[rows], whole[rows])


def test_a_shuffling_loader_says_so(caplog):
    values = torch.utils.data.TensorDataset(torch.from_numpy(VALUES))
    state = torch.random.get_rng_state()
    data.load_all(torch.utils.data.DataLoader(values, batch_size=9, shuffle=True))
    assert "shuffles" in caplog.text
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("source", "option"),
    [
        (VALUES, {"skip_bad": True}),
        (VALUES, {"label_column": "last"}),
        (PICTURES, {"layout": "n h w"}),
        (data.ImageSet(VALUES[:, None], 256), {"layout": "n c h w"}),
        (VALUES, {"split": "tutorial"}),
    ],
)
def test_options_that_a_source_has_no_use_for_are_refused(source, option):
    (name,) = option
    with pytest.raises(ConfigError, match=f"{name} goes with|no split but"):
        data.load(source, **option)


class Ambiguous:
    """A sparse matrix of SciPy, which has no length."""

    def __getitem__(self, place):
        return self

    def __len__(self):
        raise TypeError("sparse array length is ambiguous")


@pytest.mark.parametrize("source", [None, 3, 1.5, {}, object(), len, Ambiguous()])
def test_what_is_no_source_is_refused_in_one_line(source):
    with pytest.raises(ConfigError, match="no images can be taken") as caught:
        data.load(source)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="no images can be taken"):
        data.load(VALUES, test=3)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (data.load("digits").test, splits.of_a_set),
        (data.load("digits"), IN_MEMORY[1].fits),
        ("hf:ada/cats", hugging_face.named),
        (PICTURES[0], pictures.listed),
        (PICTURES, pictures.listed),
        (["a.png"], pictures.listed),
        (VALUES, values.is_array),
        ([VALUES], values.is_array),
        ((VALUES, np.arange(len(VALUES))), values.is_labelled),
        (Items([VALUES[0]]), items.fits),
        ([(VALUES[0], 1)], items.paired),
    ],
)
def test_every_kind_of_source_is_told_from_the_others(source, kind):
    assert next(each.fits for each in IN_MEMORY if each.fits(source)) is kind


def test_what_can_be_read_but_once_is_to_be_kept_first():
    with pytest.raises(ConfigError, match="something of type generator") as caught:
        data.load_all(image for image in VALUES)
    assert "list(images)" in caught.value.hint
