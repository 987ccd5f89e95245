"""Photographs in patches."""

import numpy as np
import pytest
import torch
from PIL import Image

from pictures import save_pictures
from pixelcnn import data
from pixelcnn.data.geometry import fitted
from pixelcnn.data.lazy import LazyImages, concatenated
from pixelcnn.data.patches import Patches
from pixelcnn.errors import ConfigError, DataError
from pixelcnn.training.batches import Batches, on_device

SIZES = [(11, 17), (9, 7), (23, 8), (7, 7), (8, 31), (14, 15)]
SIDE = 5


@pytest.fixture
def photos(tmp_path):
    """Photographs of different sizes, in two classes, whose pixels all differ from their neighbours."""
    noise = np.random.default_rng(0)
    images = (noise.integers(0, 256, size, np.uint8) for size in SIZES * 3)
    return save_pictures(tmp_path / "photos", images, classes=("land", "sea"))


def test_a_grid_covers_a_photograph_once_and_is_centred():
    photograph = torch.arange(11 * 17).reshape(1, 11, 17)
    patches = Patches([photograph], (SIDE, SIDE))
    cells = patches.at(slice(None))
    assert cells.shape == (6, 1, SIDE, SIDE)
    grid = cells.reshape(2, 3, SIDE, SIDE).permute(0, 2, 1, 3).reshape(10, 15)
    assert torch.equal(grid, photograph[0, 0:10, 1:16])


def test_an_epoch_has_a_patch_for_each_cell_and_each_lies_in_its_photograph(photos):
    train = data.load(photos, size=SIDE, fit="patches").train
    whole = {each.stem: np.asarray(Image.open(each)) for each in photos.rglob("*.png")}
    cells = sum((h // SIDE) * (w // SIDE) for h, w in SIZES) * 3
    assert len(data.load_all(photos, size=SIDE, fit="patches")) == cells
    drawn = train.levels_at(slice(None), seed=3, epoch=2)
    for name, patch in zip(train.names, drawn, strict=True):
        photograph = whole[name.split("/")[1].split(".")[0]]
        windows = np.lib.stride_tricks.sliding_window_view(photograph, (SIDE, SIDE))
        assert (windows == patch[0].numpy()).all((2, 3)).any()


def test_every_place_is_drawn_and_none_more_often():
    """Of 1,200 draws each place has 200 with a deviation of 12.9: one seed in 40,000 fails."""
    patches = Patches([torch.arange(12).reshape(1, 3, 4)], (2, 2))
    rows = torch.zeros(1, dtype=torch.int64)
    corners = [int(patches.drawn(rows, 0, epoch)[0, 0, 0, 0]) for epoch in range(1200)]
    values, counts = np.unique(corners, return_counts=True)
    assert values.tolist() == [0, 1, 2, 4, 5, 6]
    assert abs(counts - 200).max() < 60


def test_patches_are_a_function_of_seed_epoch_and_index_alone(photos):
    train = data.load(photos, size=SIDE, fit="patches").train
    known = train.levels_at(slice(None), 7, 3)
    some = torch.tensor([4, 1, 9])
    assert torch.equal(train.levels_at(some, 7, 3), known[some])
    assert torch.equal(train.levels_at(some - len(train), 7, 3), known[some])
    assert torch.equal(train[some].levels_at(slice(None), 7, 3), known[some])
    assert torch.equal(train.limit(9).levels_at([2], 7, 3), known[[len(train) * 2 // 9]])
    again = data.load(photos, size=SIDE, fit="patches", workers=2).train
    assert torch.equal(again.levels_at(slice(None), 7, 3), known)
    for seed, epoch in ((7, 4), (8, 3)):
        assert not torch.equal(train.levels_at(slice(None), seed, epoch), known)


def test_evaluation_sees_the_grid(photos):
    train, val, test = data.load(photos, size=SIDE, fit="patches")
    for part in (val, test, data.load_all(photos, size=SIDE, fit="patches"), train.frozen()):
        assert torch.equal(part.levels_at(slice(None), 1, 5), part.images[:])
    assert torch.equal(train.levels_at(slice(None), 1, None), train.images[:])
    again = data.load(photos, size=SIDE, fit="patches")
    assert [part.content_hash for part in again] == [
        part.content_hash for part in (train, val, test)
    ]


def test_a_photograph_lies_in_one_part_and_so_do_its_copies(photos):
    (photos / "sea" / "copy.png").write_bytes((photos / "sea" / "1.png").read_bytes())
    parts = data.load(photos, size=SIDE, fit="patches")
    files = [{name.split("@")[0] for name in part.names} for part in parts]
    assert sum(map(len, files)) == len(set.union(*files)) == len(SIZES) * 3 + 1
    assert all(("sea/1.png" in part) == ("sea/copy.png" in part) for part in files)
    for part in parts:
        of = [("land", "sea").index(name.split("/")[0]) for name in part.names]
        assert part.labels.tolist() == of


@pytest.mark.parametrize(
    "options", [{"levels": 4}, {"threshold": 0.3}, {"binarise": "dynamic"}, {"rgb": True}]
)
def test_levels_are_made_of_what_is_drawn(photos, options):
    plain = data.load(photos, size=SIDE, fit="patches").train
    train = data.load(photos, size=SIDE, fit="patches", **options).train
    assert isinstance(train.images, LazyImages)
    drawn, grey = train.levels_at([0, 5], 2, 1), plain.levels_at([0, 5], 2, 1)
    if "levels" in options:
        assert torch.equal(drawn, grey // 64)
    elif "threshold" in options:
        assert torch.equal(drawn, (grey >= 0.3 * 256).to(torch.uint8))
    elif "rgb" in options:
        assert torch.equal(drawn, grey.expand(-1, 3, -1, -1))
    else:
        assert drawn[grey == 255].all() and not drawn[grey == 0].any()
        assert not torch.equal(drawn, train.levels_at([0, 5], 2, 2))
        assert train.frozen().binarisation == "dynamic, seed 0"


def test_batches_are_the_same_on_any_number_of_processes_and_after_a_resume(photos):
    train = data.load(photos, size=SIDE, fit="patches").train
    alone = Batches(train, 8, seed=5)
    together = [Batches(train, 8, seed=5, rank=rank, processes=2) for rank in (0, 1)]
    for step in (0, 1, alone.steps_per_epoch + 1):
        whole, parts = alone[step], [batches[step] for batches in together]
        for rank, part in enumerate(parts):
            assert torch.equal(part.levels, whole.levels[rank::2])
    assert not torch.equal(
        train.levels_at(alone[0].indices, 5, 0), train.levels_at(alone[0].indices, 5, 1)
    )


def test_patches_stay_off_a_device_that_would_freeze_them(photos, monkeypatch):
    train = data.load(photos, size=SIDE, fit="patches").train
    monkeypatch.setattr("pixelcnn.training.batches.room_on", lambda _: 2**40)
    batches = Batches(train, 8, seed=5, device="meta")
    assert batches.data is train
    assert not isinstance(on_device(train, torch.device("cpu")).images, LazyImages)


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_and_packed_sets_are_cut_into_patches_too(tmp_path, packed):
    values = np.random.default_rng(0).integers(0, 256, (9, 12, 11), np.uint8)
    np.save(tmp_path / "a.npy", values)
    path = tmp_path / "a.npy"
    if packed:
        photographs = save_pictures(tmp_path / "photos", values)
        data.prepare(photographs, path := tmp_path / "packed")
    parts = data.load(path, size=SIDE, fit="patches")
    assert sum(map(len, parts)) == 9 * 4
    assert len({int(g) for part in parts for g in part.group}) == 9
    assert not torch.equal(
        parts.train.levels_at([0, 1, 2], 0, 0), parts.train.levels_at([0, 1, 2], 0, 1)
    )


def test_patches_of_a_dynamic_set_toss_coins_of_their_own():
    grey = torch.full((11, 1, 14, 7), 128, dtype=torch.uint8)
    images = data.ImageSet(grey, 2, grey_levels=256, binarisation="dynamic")
    patches = fitted(images[torch.arange(3)], (7, 7), "patches")
    assert len(patches.levels_at(slice(None)).flatten(1).unique(dim=0)) == len(patches) == 6


def test_parts_in_folders_stay_patches_when_they_are_one_set(photos, tmp_path):
    for part in ("train", "test"):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / part).symlink_to(photos)
    whole = data.load_all(tmp_path / "set", size=SIDE, fit="patches")
    once = data.load_all(photos, size=SIDE, fit="patches")
    assert torch.equal(whole.images[:], torch.cat([once.images[:]] * 2))
    assert int(whole.group.max()) + 1 == 2 * len(SIZES) * 3
    parts = data.load(tmp_path / "set", size=SIDE, fit="patches")
    assert torch.equal(parts.test.images[:], once.images[:])


def test_patches_need_a_size_that_every_photograph_has(photos):
    with pytest.raises(ConfigError, match="patches have a size"):
        data.load(photos, fit="patches")
    with pytest.raises(DataError, match=r"7x7, smaller than 8x8"):
        data.load(photos, size=8, fit="patches")
    assert len(data.load_all(photos, size=8, fit="patches", skip_bad=True))
    with pytest.raises(ConfigError, match="patches are not packed"):
        data.prepare(photos, photos.parent / "packed", size=4, fit="patches")


def test_joined_sets_draw_as_their_parts_do():
    photographs = [torch.arange(24).reshape(1, 4, 6), torch.arange(100, 124).reshape(1, 6, 4)]
    parts = []
    for photograph in photographs:
        patches = Patches([photograph], (2, 2))
        parts.append(
            LazyImages((len(patches), 1, 2, 2), torch.int64, patches.at, 256, patches.drawn)
        )
    whole = concatenated([*parts, torch.zeros(1, 1, 2, 2, dtype=torch.int64)])
    rows = torch.tensor([12, 7, 0])
    assert torch.equal(whole[rows][1:], torch.cat([parts[1][[1]], parts[0][[0]]]))
    drawn = [parts[1].draw(torch.tensor([1]), 3, 4), parts[0].draw(torch.tensor([0]), 3, 4)]
    assert torch.equal(whole.draw(rows, 3, 4)[1:], torch.cat(drawn))
    assert not whole[rows][0].any()


def test_a_photograph_in_a_file_is_read_once_for_its_neighbouring_patches():
    stored, reads = torch.arange(2 * 36).reshape(2, 1, 6, 6), []

    def read(rows):
        reads.append(rows)
        return stored[rows]

    patches = Patches(LazyImages(stored.shape, stored.dtype, read), (2, 2))
    cells = torch.cat([patches.at(slice(start, start + 3)) for start in range(0, 18, 3)])
    assert torch.equal(cells, Patches(stored, (2, 2)).at(slice(None)))
    assert len(reads) == 2
    mixed = torch.tensor([9, 0, 10, 1])
    assert torch.equal(patches.at(mixed), cells[mixed])
    assert len(reads) <= 4


@pytest.mark.parametrize("count", [1, 2])
def test_few_photographs_are_split_into_bands_that_no_patch_leaves(tmp_path, count):
    height, width = 10 * SIDE + 3, 3 * SIDE + 2
    rows = np.arange(count * height, dtype=np.uint8).reshape(count, height, 1)
    path = save_pictures(tmp_path / "photos", np.broadcast_to(rows, (count, height, width)))
    parts = data.load(path, size=SIDE, fit="patches")
    assert all(map(len, parts)) and sum(map(len, parts)) == count * 10 * 3
    epochs = (None, *range(20))
    drawn = [torch.cat([part.levels_at(slice(None), 1, each) for each in epochs]) for part in parts]
    seen = [set(levels.unique().tolist()) for levels in drawn]
    assert sum(map(len, seen)) == len(set.union(*seen)) == count * 10 * SIDE


def test_bands_change_nothing_of_the_grid(tmp_path):
    photograph = np.random.default_rng(0).integers(0, 256, (23, 17), np.uint8)
    path = save_pictures(tmp_path / "photos", [photograph])
    whole = data.load_all(path, size=SIDE, fit="patches")
    cells = photograph[1:21, 1:16].reshape(4, SIDE, 3, SIDE).transpose(0, 2, 1, 3)
    assert np.array_equal(whole.images[:].numpy(), cells.reshape(12, 1, SIDE, SIDE))
    assert whole.names[4].endswith(f"@{1 + SIDE}x{1 + SIDE}")


def test_a_photograph_without_three_bands_that_differ_is_not_split(tmp_path):
    Image.new("L", (40, 30)).save(path := tmp_path / "a.png")
    with pytest.raises(DataError, match="at least 3 that differ are needed for 3 parts") as caught:
        data.load(path, size=8, fit="patches")
    assert "smaller patches" in caught.value.hint
