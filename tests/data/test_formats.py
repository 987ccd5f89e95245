"""HDF5, Zarr, FITS and IDX, which differ in nothing but how they are stored."""

import gzip
import json
import lzma
import os
import re
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelcnn import data
from pixelcnn.data import arrays, packed, zarr_codecs
from pixelcnn.data.reading import Reading
from pixelcnn.data.zarr_store import Zarr, ZarrArray
from pixelcnn.errors import ConfigError, DataError, ResourceError

h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")
numcodecs = pytest.importorskip("numcodecs")
fits = pytest.importorskip("astropy.io.fits")

NOISE = np.random.default_rng(0).integers(0, 256, (11, 5, 7), np.uint8)
LABELS = np.arange(11) % 3
ROWS = torch.tensor([10, 0, 3, 2, 9, 3])
CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def idx(values):
    """A file of this format by the byte."""
    code = CODES[values.dtype.str.replace("|", "")]
    header = bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.tobytes()


def hdf5_file(path, values, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=values, **options)
        file["labels"] = LABELS
    return path


def zarr_store(path, values, **options):
    array = zarr.create_array(path, shape=values.shape, dtype=values.dtype, **options)
    array[:] = values
    return path


def written(path, content):
    path.write_bytes(content)
    return path


SMALL = (4, 3, 7)
HDF5 = {
    "contiguous": {},
    "chunks": {"chunks": SMALL},
    "gzip": {"chunks": SMALL, "compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"chunks": SMALL, "compression": "lzf"},
}
ZARR = {
    "v2": {"zarr_format": 2, "chunks": SMALL},
    "v2 F": {"zarr_format": 2, "chunks": SMALL, "order": "F", "compressors": None},
    **{
        f"v2 {codec.codec_id}": {"zarr_format": 2, "chunks": SMALL, "compressors": codec}
        for codec in (
            numcodecs.Zlib(), numcodecs.GZip(), numcodecs.BZ2(), numcodecs.LZMA(), numcodecs.LZ4(),
            numcodecs.Blosc(cname="zlib"), numcodecs.Zstd(),
        )
    },
    "v3": {"chunks": SMALL},
    "v3 plain": {"chunks": SMALL, "compressors": None},
    "v3 blosc": {"chunks": SMALL, "compressors": zarr.codecs.BloscCodec()},
    "v3 gzip crc": {
        "chunks": SMALL, "compressors": [zarr.codecs.GzipCodec(), zarr.codecs.Crc32cCodec()]
    },
    "v3 shards": {"chunks": (2, 3, 7), "shards": (4, 6, 7)},
    "v3 transposed": {"chunks": SMALL, "filters": [zarr.codecs.TransposeCodec(order=(2, 0, 1))]},
    "v3 named": {"chunks": SMALL, "chunk_key_encoding": {"name": "v2", "separator": "."}},
}  # fmt: skip


def check(images, values=NOISE):
    """Whether a set holds these images, however some of them are asked for."""
    assert np.array_equal(images.images[:, 0].numpy(), values)
    assert np.array_equal(images.images[ROWS, 0].numpy(), values[ROWS.numpy()])
    assert np.array_equal(images.images[1:8:3, 0].numpy(), values[1:8:3])


@pytest.mark.parametrize("kind", HDF5)
@pytest.mark.parametrize("dtype", ["u1", ">i4"])
def test_every_common_layout_of_hdf5_is_read_by_rows(tmp_path, kind, dtype):
    path = hdf5_file(tmp_path / "a.h5", NOISE.astype(dtype), **HDF5[kind])
    images = data.load_all(path, source_levels=256)
    check(images)
    assert images.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("kind", ZARR)
@pytest.mark.parametrize("dtype", ["u1", ">u2"])
def test_every_common_codec_of_zarr_is_read_by_rows(tmp_path, kind, dtype):
    path = zarr_store(tmp_path / "a.zarr", NOISE.astype(dtype), **ZARR[kind])
    check(data.load_all(path, source_levels=256))


def test_chunks_that_were_never_written_hold_the_fill_value(tmp_path):
    for name, options in {"plain": {}, "shards": {"shards": (8, 3, 7)}}.items():
        path = tmp_path / f"{name}.zarr"
        array = zarr.create_array(
            path, shape=NOISE.shape, dtype="u1", chunks=SMALL, fill_value=9, **options
        )
        array[:4] = NOISE[:4]
        check(data.load_all(path), np.concatenate([NOISE[:4], np.full_like(NOISE[4:], 9)]))


def test_a_chunk_that_is_kept_is_the_one_asked_for_whatever_another_thread_reads(tmp_path):
    path = zarr_store(tmp_path / "a.zarr", NOISE, chunks=(4, 5, 7))
    array = Zarr(path)["images"]
    kept = [((at, 0, 0), array.rows(4 * at, 4 * at + 4)) for at in (0, 0, 1)]

    class Shared(ZarrArray):
        """Another chunk is kept after two looks at it."""

        _kept = property(lambda _: kept.pop(0), lambda *_: None)

    array.__class__ = Shared
    assert np.array_equal(array.rows(0, 4), NOISE[:4])


@pytest.mark.parametrize(
    ("dtype", "levels"), [("u1", 256), ("i2", 65_536), ("u2", 65_536), ("u4", 256), ("i4", 256)]
)
@pytest.mark.parametrize("tiles", [False, True])
def test_fits_images_are_read_by_rows_and_unsigned_where_they_were(tmp_path, dtype, levels, tiles):
    kind = fits.CompImageHDU if tiles else fits.ImageHDU
    units = [fits.PrimaryHDU(), kind(NOISE.astype(dtype), name="SCI")]
    fits.HDUList(units).writeto(tmp_path / "a.fits")
    for key in (None, "SCI", "1"):
        images = data.load_all(tmp_path / "a.fits", key=key)
        check(images)
        assert images.levels == levels


def test_a_fits_file_of_one_image_is_a_set_of_one(tmp_path):
    fits.PrimaryHDU(NOISE[0]).writeto(tmp_path / "a.fits")
    assert np.array_equal(data.load_all(tmp_path / "a.fits").images[0, 0].numpy(), NOISE[0])


@pytest.mark.parametrize("dtype", [kind for kind in CODES if "f" not in kind])
@pytest.mark.parametrize("name", ["my-images-idx3-ubyte", "my-images.idx3-ubyte", "images.idx"])
def test_idx_files_of_ones_own_are_read(tmp_path, dtype, name):
    written(tmp_path / name, idx((NOISE // 2).astype(dtype)))
    check(data.load_all(tmp_path / name, source_levels=256), NOISE // 2)


@pytest.mark.parametrize("packing", ["", ".gz", ".xz"])
def test_idx_files_have_their_labels_beside_them_packed_or_not(tmp_path, packing):
    pack = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}[packing]
    path = written(tmp_path / f"my-images-idx3-ubyte{packing}", pack(idx(NOISE)))
    written(tmp_path / "my-labels-idx1-ubyte.gz", gzip.compress(idx(LABELS.astype("u1"))))
    images = data.load_all(path)
    check(images)
    assert images.labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize(("images", "labels"), [("images", "labels"), ("x_train", "y_train")])
def test_npy_files_have_their_labels_beside_them_in_a_row_or_a_column(tmp_path, images, labels):
    np.save(tmp_path / f"{images}.npy", NOISE)
    for values in (LABELS, LABELS[:, None]):
        np.save(tmp_path / f"{labels}.npy", values)
        assert data.load_all(tmp_path / f"{images}.npy").labels.tolist() == LABELS.tolist()
    assert data.load_all(tmp_path / f"{images}.npy", labels=False).labels is None


@pytest.mark.parametrize("layout", ["h w n", "hwcn", "n h w"])
@pytest.mark.parametrize("axes", [1, 4])
def test_labels_beside_images_are_as_many_as_their_layout_says(tmp_path, layout, axes):
    lengths = dict(zip("nhwc", (*NOISE.shape, 1), strict=True))
    values = NOISE.transpose(["nhw".index(axis) for axis in layout if axis in "nhw"])
    sides = [lengths[axis] for axis in layout if axis in "nhwc"]
    np.save(tmp_path / "images.npy", values.reshape(sides))
    np.save(tmp_path / "labels.npy", LABELS.reshape(-1, *[1] * (axes - 1)))
    found = data.load_all(tmp_path / "images.npy", layout=layout)
    check(found)
    assert found.labels.tolist() == LABELS.tolist()


def test_a_file_of_matlab_says_what_reads_it(tmp_path):
    for name, version in (("a.mat", "5.0"), ("b.mat", "7.3"), ("c.h5", "7.3")):
        with h5py.File(tmp_path / name, "w", userblock_size=512) as file:
            file["X"] = NOISE
        with (tmp_path / name).open("r+b") as stream:
            stream.write(f"MATLAB {version} MAT-file".encode())
        with pytest.raises(DataError) as caught:
            data.load_all(tmp_path / name)
        assert "scipy.io.loadmat(path)" in caught.value.hint
        assert "h5py.File(path) those of version 7.3" in caught.value.hint


@pytest.mark.parametrize("beside", [LABELS[1:], LABELS * 0.5, NOISE, np.array(["a"] * 2), None])
def test_what_cannot_be_labels_of_an_npy_file_is_told_of_and_left_out(tmp_path, caplog, beside):
    np.save(tmp_path / "images.npy", NOISE)
    np.save(tmp_path / "labels.npy", beside)
    images = data.load_all(tmp_path / "images.npy")
    check(images)
    assert images.labels is None
    assert "images.npy: labels.npy beside it is left out" in caplog.text


@pytest.mark.parametrize("packing", [".gz", ".xz"])
def test_packed_labels_beside_that_are_damaged_are_left_out_too(tmp_path, caplog, packing):
    np.save(tmp_path / "images.npy", NOISE)
    written(tmp_path / f"labels.npy{packing}", b"packed by nobody")
    images = data.load_all(tmp_path / "images.npy")
    check(images)
    assert images.labels is None
    assert f"images.npy: labels.npy{packing} beside it is left out" in caplog.text


def test_what_cannot_be_labels_of_an_idx_file_is_left_out_too(tmp_path, caplog):
    path = written(tmp_path / "my-images-idx3-ubyte", idx(NOISE))
    for content in (idx(LABELS[1:].astype("u1")), idx(LABELS.astype("u1"))[:-1]):
        written(tmp_path / "my-labels-idx1-ubyte", content)
        assert data.load_all(path).labels is None
    assert caplog.text.count("my-labels-idx1-ubyte beside it is left out") == 2


def test_maps_of_codes_have_labels_beside_them(tmp_path):
    np.save(tmp_path / "codes.npy", NOISE)
    np.save(tmp_path / "labels.npy", LABELS)
    assert data.load_all(tmp_path / "codes.npy").labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("key", [None, "arr_0"])
def test_an_archive_of_one_array_has_its_labels_beside_it(tmp_path, key):
    np.savez(tmp_path / "kmnist-train-imgs.npz", NOISE)
    np.savez(tmp_path / "kmnist-train-labels.npz", LABELS)
    images = data.load_all(tmp_path / "kmnist-train-imgs.npz", key=key)
    check(images)
    assert images.labels.tolist() == LABELS.tolist()


def test_an_archive_beside_that_holds_more_than_labels_is_left_out(tmp_path, caplog):
    np.save(tmp_path / "images.npy", NOISE)
    np.savez(tmp_path / "labels.npy", LABELS, NOISE)
    (tmp_path / "labels.npy.npz").rename(tmp_path / "labels.npy")
    assert data.load_all(tmp_path / "images.npy").labels is None
    assert "labels.npy beside it is left out, since it holds 2 arrays" in caplog.text


def test_npy_files_of_other_names_have_no_labels_beside_them(tmp_path):
    np.save(tmp_path / "stars.npy", NOISE)
    np.save(tmp_path / "labels.npy", LABELS)
    assert data.load_all(tmp_path / "stars.npy").labels is None


def test_other_files_are_packed_too(tmp_path):
    fits.PrimaryHDU(NOISE).writeto(tmp_path / "a.fits")
    np.save(tmp_path / "a.npy", NOISE)
    for name in ("a.fits", "a.npy"):
        packed_file = written(
            tmp_path / f"{name}.gz", gzip.compress((tmp_path / name).read_bytes())
        )
        check(data.load_all(packed_file))


def grouped(path, kind):
    """Several arrays in groups."""
    arrays = {"a/images": NOISE, "a/labels": LABELS, "b/frames": NOISE[::-1], "b/other": LABELS}
    if kind == "zarr":
        root = zarr.open_group(path, mode="w")
        for name, values in arrays.items():
            root.create_array(name, data=values)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    return path


@pytest.mark.parametrize("kind", ["h5", "zarr"])
def test_a_key_says_which_array_and_labels_lie_in_its_group(tmp_path, kind):
    path = grouped(tmp_path / f"a.{kind}", kind)
    for key in (None, "a/images", "/a/images", "images"):
        images = data.load_all(path, key=key)
        check(images)
        assert images.labels.tolist() == LABELS.tolist()
    check(other := data.load_all(path, key="b/frames"), NOISE[::-1])
    assert other.labels is None
    with pytest.raises(DataError, match=r"no array called b/frame\.") as caught:
        data.load_all(path, key="b/frame")
    assert "a/images (11, 5, 7)" in caught.value.hint


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("set/x_train", "set/y_train", "set/x_test", "set/y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
    ],
)
def test_archives_of_keras_and_the_like_are_parts_of_one_set(tmp_path, names):
    rng = np.random.default_rng(1)
    train, test = (rng.integers(0, 256, (n, 5, 7), np.uint8) for n in (30, 9))
    arrays = (train, np.arange(30)[:, None] % 3, test, np.arange(9)[:, None] % 3)
    path = tmp_path / "keras.npz"
    np.savez(path, **dict(zip(names, arrays, strict=True)))
    splits = data.load(path)
    assert np.array_equal(splits.test.images[:, 0].numpy(), test)
    assert splits.test.labels.tolist() == [n % 3 for n in range(9)]
    assert len(splits.train) + len(splits.val) == 30 and len(splits.val)
    assert np.array_equal(data.load_all(path).images[:, 0].numpy(), np.concatenate([train, test]))
    only = data.load_all(path, key=names[2])
    assert np.array_equal(only.images[:, 0].numpy(), test)
    assert only.labels.tolist() == splits.test.labels.tolist()


@pytest.mark.parametrize("twice", ["data_train", "x_training"])
def test_two_arrays_that_could_be_the_same_part_are_refused(tmp_path, twice):
    parts = dict.fromkeys(("x_train", twice, "x_test"), NOISE)
    np.savez(tmp_path / "a.npz", **parts)
    with pytest.raises(DataError, match=rf"x_train .*, {twice} .* the part train"):
        data.load(tmp_path / "a.npz")
    check(data.load_all(tmp_path / "a.npz", key="x_train"))


def test_an_archive_without_names_holds_images_and_one_label_each(tmp_path):
    given, numbers = np.zeros((5, 4, 7), np.uint8), np.arange(5)
    np.savez(tmp_path / "a.npz", given, numbers)
    np.savez(tmp_path / "b.npz", given, np.arange(4))
    assert data.load_all(tmp_path / "a.npz").labels.tolist() == numbers.tolist()
    assert data.load_all(tmp_path / "b.npz").labels is None


def test_a_key_goes_with_files_of_arrays_only(tmp_path):
    table = written(tmp_path / "a.csv", b"1,2,3,4\n5,6,7,8\n")
    for source in (table, "digits"):
        with pytest.raises(ConfigError, match="key goes with"):
            data.load_all(source, key="images")


def test_conditions_are_taken_by_the_names_of_arrays(tmp_path):
    given = {
        "mass": np.linspace(0, 1, 11),
        "age": np.arange(11),
        "pair": np.arange(22.0).reshape(11, 2),
    }
    maps = {"sky": np.ones((11, 5, 7)), "sea": np.zeros((11, 2, 5, 7))}
    np.savez(tmp_path / "a.npz", images=NOISE, **given, **maps)
    images = data.load_all(tmp_path / "a.npz", condition=["mass", "pair"])
    assert images.condition_names == ("mass", "pair[0]", "pair[1]")
    wanted = np.column_stack([given["mass"], given["pair"]])
    assert np.array_equal(images.condition.numpy(), wanted)
    assert data.load_all(tmp_path / "a.npz", condition="sky,sea").condition.shape == (11, 3, 5, 7)
    for wrong, message in {
        "weight": "no array called weight",
        "mass,sky": "neither vectors nor",
    }.items():
        with pytest.raises(DataError, match=message):
            data.load_all(tmp_path / "a.npz", condition=wrong)


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_names_of_features_are_taken_from_beside_the_condition(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    given = {"images": NOISE, "condition": np.arange(22.0).reshape(11, 2)}
    given["condition_names"] = ["mass", "âge"]
    if kind == "npz":
        np.savez(path, **given)
    else:
        with h5py.File(path, "w") as file:
            for name, values in given.items():
                file.create_dataset(name, data=values)
    assert data.load_all(path).condition_names == ("mass", "âge")


ELSEWHERE = {
    "external link": lambda file, at: file.__setitem__("images", h5py.ExternalLink(at, "images")),
    "soft link": lambda file, at: file.__setitem__("images", h5py.SoftLink("/elsewhere")),
    "external values": lambda file, at: file.create_dataset(
        "images", (11, 5, 7), "u1", external=[(at, 0, 385)]
    ),
    "virtual": lambda file, at: file.create_virtual_dataset("images", virtual(at)),
}


def virtual(path):
    layout = h5py.VirtualLayout(NOISE.shape, np.uint8)
    layout[:] = h5py.VirtualSource(path, "images", NOISE.shape)
    return layout


@pytest.mark.parametrize("way", ELSEWHERE)
def test_names_of_other_files_in_hdf5_are_never_followed(tmp_path, way):
    other = hdf5_file(tmp_path / "other.h5", NOISE)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        ELSEWHERE[way](file, str(other))
    with pytest.raises(DataError, match=r"never followed"):
        data.load_all(tmp_path / "a.h5", key="images")


def test_what_is_packed_in_an_unusual_way_is_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=NOISE, scaleoffset=8, chunks=SMALL)
    with pytest.raises(DataError, match=r"filter 6 \(scaleoffset") as caught:
        data.load_all(tmp_path / "a.h5")
    assert "h5repack" in caught.value.hint
    delta = [numcodecs.Delta("u1")]
    path = zarr_store(tmp_path / "a.zarr", NOISE, zarr_format=2, chunks=SMALL, filters=delta)
    with pytest.raises(DataError, match="filtered by delta"):
        data.load_all(path)


def test_what_declares_far_more_than_it_holds_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", (10**9, 100, 100), "u1")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("images", (10**9, 100, 100), "u1", chunks=(1, 100, 100))
    zarr.create_array(
        tmp_path / "c.zarr", shape=(10**9, 100, 100), dtype="u1", chunks=(1, 100, 100)
    )
    for name in ("a.h5", "b.h5", "c.zarr"):
        with pytest.raises(DataError, match=r"declares 10,000|unpacks"):
            data.load_all(tmp_path / name)


def test_a_chunk_of_hdf5_that_unpacks_to_another_size_is_refused(tmp_path):
    path = hdf5_file(tmp_path / "a.h5", NOISE, chunks=SMALL, compression="gzip")
    for content in (bytes(83), bytes(85), bytes(10**6)):
        with h5py.File(path, "r+") as file:
            file["images"].id.write_direct_chunk((4, 0, 0), zlib.compress(content))
        with pytest.raises(DataError, match=r"a\.h5: is damaged: a chunk holds other bytes"):
            data.load_all(path)


def test_bombs_in_chunks_of_zarr_are_refused(tmp_path):
    for name, pack in {
        "gzip": gzip.compress, "zlib": zlib.compress, "zstd": numcodecs.Zstd().encode,
        "lz4": numcodecs.LZ4().encode, "blosc": numcodecs.Blosc().encode,
    }.items():  # fmt: skip
        with pytest.raises(DataError, match="unpacks to more than its 100 bytes"):
            zarr_codecs.UNPACKERS[name](pack(bytes(10**6)), 100)
        assert zarr_codecs.UNPACKERS[name](pack(bytes(100)), 100) == bytes(100)


def test_bombs_in_packed_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelcnn.data.stored.ALWAYS_FINE", 2**10)
    for suffix, pack in {".gz": gzip.compress, ".xz": lzma.compress}.items():
        path = written(tmp_path / f"a-images-idx3-ubyte{suffix}", pack(bytes(10**6)))
        with pytest.raises(DataError, match="unpacks"):
            data.load_all(path)


def test_what_astropy_warns_of_reaches_the_caller_and_the_values_are_read(tmp_path):
    unit = fits.PrimaryHDU(NOISE.astype(np.float32))
    unit.writeto(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    blank = content.replace(b"EXTEND  =                    T", b"BLANK   =                   -1")
    (tmp_path / "a.fits").write_bytes(blank)
    with pytest.warns(fits.verify.VerifyWarning, match="BLANK"):
        images = data.load_all(tmp_path / "a.fits", quantise=(0, 256))
    assert np.array_equal(images.images[:, 0].numpy(), NOISE)


def test_integers_of_fits_that_stand_for_no_value_are_refused(tmp_path):
    values = NOISE.astype(np.int16)
    values[3, 2, 1] = -1
    fits.PrimaryHDU(values).writeto(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    blank = content.replace(b"EXTEND  =                    T", b"BLANK   =                   -1")
    (tmp_path / "a.fits").write_bytes(blank)
    with pytest.raises(DataError, match=r"a\.fits: has pixels without a value"):
        data.load_all(tmp_path / "a.fits", source_levels=256)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
@pytest.mark.parametrize("name", ["a.h5", "a.fits", "a-images-idx3-ubyte.gz", "a.zarr"])
def test_pipes_are_refused_and_never_waited_for(tmp_path, name):
    if name == "a.zarr":
        zarr_store(tmp_path / name, NOISE, chunks=SMALL)
        chunk = tmp_path / name / "c" / "0" / "0" / "0"
        chunk.unlink()
        os.mkfifo(chunk)
    else:
        os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="is not a regular file"):
        data.load_all(tmp_path / name).images[:1]


@pytest.mark.parametrize("name", ["a.h5", "a.fits", "a-images-idx3-ubyte", "a.idx.gz", "a.zarr"])
def test_a_file_that_ends_early_is_refused_and_nothing_else(tmp_path, name):
    kinds = {
        "a.h5": lambda path: hdf5_file(path, NOISE, **HDF5["gzip"]),
        "a.fits": lambda path: fits.PrimaryHDU(NOISE).writeto(path),
        "a-images-idx3-ubyte": lambda path: written(path, idx(NOISE)),
        "a.idx.gz": lambda path: written(path, gzip.compress(idx(NOISE))),
        "a.zarr": lambda path: zarr_store(path, NOISE, chunks=SMALL),
    }
    kinds[name](path := tmp_path / name)
    damaged = path / "zarr.json" if path.is_dir() else path
    content = damaged.read_bytes()
    end = (
        NOISE.nbytes + 2880 if name == "a.fits" else len(content) - 1
    )  # blanks fill the last block
    for length in range(0, end, max(1, end // 12)):
        damaged.write_bytes(content[:length])
        with pytest.raises(DataError, match="a"):
            data.load_all(path).images[:]


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [11, 5, -7]},
        {"shape": "many"},
        {"data_type": "string"},
        {"data_type": {"name": "struct"}},
        {"codecs": [{"name": "vlen-utf8"}]},
        {"codecs": [{"name": "bytes"}, {"name": "pickle"}]},
        {"codecs": 7},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 3, 7]}}},
        {"chunk_grid": None},
        {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "/../"}}},
    ],
)
def test_a_description_of_zarr_that_is_not_understood_is_refused(tmp_path, change):
    path = zarr_store(tmp_path / "a.zarr", NOISE, chunks=SMALL)
    described = json.loads((path / "zarr.json").read_text())
    (path / "zarr.json").write_text(json.dumps(described | change))
    with pytest.raises(DataError, match=r"a\.zarr"):
        data.load_all(path)


@pytest.mark.parametrize(
    ("library", "name"), [("h5py", "a.h5"), ("astropy", "a.fits"), ("numcodecs", "a.zarr")]
)
def test_a_library_that_is_missing_is_named_with_the_extra(tmp_path, monkeypatch, library, name):
    hdf5_file(tmp_path / "a.h5", NOISE)
    fits.PrimaryHDU(NOISE).writeto(tmp_path / "a.fits")
    zarr_store(tmp_path / "a.zarr", NOISE, **ZARR["v3 blosc"])
    for module in [module for module in sys.modules if module.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=f"needs {library}, which is not installed") as caught:
        data.load_all(tmp_path / name).images[:1]
    assert caught.value.hint == "pip install 'pixelcnn[science]'"


def test_large_arrays_in_fortrans_order_are_read_by_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelcnn.data.npy.ALWAYS_FINE", 0)
    for dtype in ("u1", ">i4"):
        values = np.asfortranarray(NOISE.astype(dtype))
        np.save(tmp_path / "a.npy", values)
        images = data.load_all(tmp_path / "a.npy", source_levels=256)
        check(images)


def test_large_arrays_of_an_archive_that_is_not_packed_stay_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr("pixelcnn.data.npy.ALWAYS_FINE", 0)
    np.savez(tmp_path / "a.npz", images=NOISE, labels=LABELS)
    images = data.load_all(tmp_path / "a.npz")
    assert type(images.images).__name__ == "LazyImages"
    check(images)


def test_the_last_part_of_a_name_says_how_a_file_is_packed(tmp_path):
    assert packed.plain_name(tmp_path / "A.NPY.XZ") == "a.npy"


MANY = np.random.default_rng(2).integers(0, 256, (40, 5, 7), np.uint8)


def in_groups(path):
    with h5py.File(path, "w") as file:
        file["group/images"] = MANY
        file["group/masks"] = MANY > 9


def table(path):
    rows = [[*image[:, :5].ravel().tolist(), n % 3] for n, image in enumerate(MANY)]
    return written(path, "\n".join(",".join(map(str, row)) for row in rows).encode())


EXAMPLES = {
    "images.npy": lambda path: np.save(path, MANY),
    "set.npz": lambda path: np.savez(path, images=MANY, labels=np.arange(40) % 3),
    "mnist.npz": lambda path: np.savez(path, x_train=MANY[:30], x_test=MANY[30:]),
    "cells.h5": in_groups,
    "cells.zarr": lambda path: zarr.open_group(path, mode="w").create_array("images", data=MANY),
    "cutouts.fits": lambda path: fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(MANY, name="SCI"), fits.ImageHDU(MANY, name="ERR")]
    ).writeto(path),
    "my-images-idx3-ubyte.gz": lambda path: written(path, gzip.compress(idx(MANY))),
    "table.csv": table,
    "table.csv.gz": lambda path: path.write_bytes(gzip.compress(table(path).read_bytes())),
}


DATA_PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
COMMANDS = re.findall(
    r"pixelcnn train --data ([\w.-]+)(?: --key (\S+?))?"
    r"(?: --(?:set data\.)?(\w+-?\w*)[= ](\w+))?(?:`| *#| *\n)",
    DATA_PAGE,
)


def test_every_kind_of_file_on_the_page_of_data_is_tried():
    assert {name for name, *_ in COMMANDS} == set(EXAMPLES)


@pytest.mark.parametrize(("name", "key", "option", "value"), COMMANDS)
def test_what_the_page_of_data_shows_can_be_read(tmp_path, name, key, option, value):
    EXAMPLES[name](tmp_path / name)
    value = int(value) if value.isdigit() else value
    options = {option.replace("-", "_"): value} if option else {}
    splits = data.load(tmp_path / name, key=key or None, **options)
    assert sum(map(len, splits)) == 40


def in_memory(kind):
    """The same images as whatever a user may hold in hand."""
    file = h5py.File("x", "w", driver="core", backing_store=False)
    return {
        "list": NOISE.tolist(),
        "reversed": NOISE[::-1].copy()[::-1],
        "big-endian": NOISE.astype(">i4"),
        "fortran": np.asfortranarray(NOISE),
        "field": np.rec.fromarrays([NOISE, NOISE.astype("i4")], names="a,b")["a"],
        "tensor": torch.from_numpy(NOISE),
        "strided tensor": torch.from_numpy(NOISE).permute(2, 0, 1).contiguous().permute(1, 2, 0),
        "h5py": file.create_dataset("x", data=NOISE, chunks=SMALL),
        "zarr": zarr.array(NOISE, chunks=SMALL),
        "masked": np.ma.masked_array(NOISE, NOISE > 300),
    }[kind]


KINDS = (
    "list", "reversed", "big-endian", "fortran", "field", "tensor", "strided tensor", "h5py", "zarr",
    "masked",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_in_memory_go_through_the_same_conversion(kind):
    images = data.load_all((in_memory(kind), LABELS.tolist()), source_levels=256)
    check(images)
    assert images.labels.tolist() == LABELS.tolist()


def test_arrays_of_h5py_that_memory_does_not_hold_are_refused_not_read(monkeypatch):
    given = in_memory("h5py")
    monkeypatch.setattr("pixelcnn.memory.available", lambda: 100)
    with pytest.raises(ResourceError, match="array: needs 385 bytes of memory"):
        data.load_all(given)


def test_a_packed_file_of_arrays_is_unpacked_once(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", NOISE)
    path = written(tmp_path / "a.npy.gz", gzip.compress((tmp_path / "a.npy").read_bytes()))
    seen, blocks = [], packed.blocks
    monkeypatch.setattr(packed, "blocks", lambda *given: seen.append(given[0]) or blocks(*given))
    check(data.load_all(path))
    assert seen == [path]


def test_masked_values_are_no_levels():
    with pytest.raises(DataError, match="array: has masked values"):
        data.load_all(np.ma.masked_array(NOISE, NOISE > 9))


def test_bytes_in_memory_are_shared():
    given = NOISE.copy()
    images = arrays.from_values(given, None, Reading(), "given")
    given[0, 0, 0] = 77
    assert int(images.images[0, 0, 0, 0]) == 77


@pytest.mark.parametrize("chunks", [None, (1,)])
def test_labels_in_hdf5_may_be_words_of_any_length(tmp_path, chunks):
    with h5py.File(path := tmp_path / "pets.h5", "w") as file:
        file["images"] = np.zeros((3, 8, 8), np.uint8)
        file.create_dataset("labels", data=["cát", "dog" * 1_000, "cát"], chunks=chunks)
    assert data.load_all(path).labels.tolist() == [0, 1, 0]


def test_words_in_hdf5_that_are_declared_and_not_there_are_refused(tmp_path):
    with h5py.File(path := tmp_path / "pets.h5", "w") as file:
        file["images"] = np.zeros((3, 8, 8), np.uint8)
        file.create_dataset("labels", (10**12,), h5py.string_dtype(), chunks=(1_000,))
    with pytest.raises(DataError, match="declares 1,000,000,000,000 words and holds fewer"):
        data.load_all(path)
