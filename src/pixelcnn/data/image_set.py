"""The one type for images: integer levels with what is known about them."""

import base64
import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pixelcnn.config import check_integer
from pixelcnn.data.bins import Bins
from pixelcnn.data.content import as_bytes
from pixelcnn.data.labels import labels_tensor
from pixelcnn.data.lazy import LazyImages, chosen, pieces, rows_of
from pixelcnn.data.noise import coin_flips, content_places
from pixelcnn.data.tensors import condition_tensor, evenly, level_count, levels_tensor, names_in
from pixelcnn.errors import DataError
from pixelcnn.shapes import ImageShape
from pixelcnn.surroundings import independent
from pixelcnn.text import counted, escaped

Step = Callable[[Tensor], Tensor]
SHOWN = 30
"""Images that a notebook shows of a set."""
OF_EACH = ("labels", "condition", "index", "group", "assigned")
"""What may be known of each image, as tensors."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images of one shape as integer levels, optionally with labels and names.

    Training and evaluation take their integers from :meth:`levels_at` and from nowhere else.

    Raises:
        DataError: not integers ``(n, c, h, w)``, a value outside ``[0, levels)``, or labels, names
            or indices that do not fit the images.

    Example:
        >>> images = ImageSet(torch.tensor([[[[0, 1]]], [[[1, 1]]]]), levels=2, name="two")
        >>> len(images), images.shape, images.images.dtype
        (2, ImageShape(channels=1, height=1, width=2), torch.uint8)
        >>> images[1:].images.tolist()
        [[[[1, 1]]]]
        >>> images
        <ImageSet two all: 2 images of 1x1x2, 2 levels>
    """

    images: Tensor
    """Levels ``(n, c, h, w)``, uint8 up to 256 levels, else int32. Images in a file are read, and become
    levels, when they are indexed: see :class:`pixelcnn.data.lazy.LazyImages`. Of a dynamic set these are
    the grey values that each epoch binarises anew."""
    levels: int
    """Values that a sub-pixel can take, 2 to 65,536."""
    labels: Tensor | None = None
    """Class of each image, int64 ``(n,)``; words become these, and the names of the classes."""
    classes: tuple[str, ...] = ()
    """Names of the classes, if they have any."""
    name: str = ""
    """Of the data set: never a path."""
    split: str = "all"
    """``train``, ``val``, ``test``, ``all``, ``tutorial-train`` or ``tutorial-val``."""
    binarisation: str = "none"
    """``none``, ``fixed`` (two levels as given), ``unsaid`` (levels of an array,
    however they came about), ``threshold T``, ``dynamic`` or ``dynamic, seed S``."""
    quantisation: str = "none"
    """``none``, ``256 -> 8 equal bins``, or ``bins`` in words."""
    names: tuple[str, ...] = ()
    """Of the images, where they come from files; what cannot be printed is spelt out. Of others their places
    in the source, counted from 0, if some of it was left out."""
    skipped: int = 0
    """Damaged files or rows that were left out of the whole source."""
    grey_levels: int | None = None
    """Levels of the grey values of a dynamic set; ``None`` for all others."""
    condition: Tensor | None = None
    """What each image is given besides itself, in units of its own: vectors ``(n, d)``, float64, or maps
    ``(n, d, h, w)``, float32."""
    source_levels: int | None = None
    """Levels of the stored values that these levels were made of; by default the same."""
    condition_names: tuple[str, ...] = ()
    """Of the ``d`` features of the condition, if they have any; of a data frame always its columns."""
    index: Tensor | None = None
    """Place of each image in the whole split: what dynamic binarisation is keyed by."""
    bins: Bins | None = None
    """What made the levels of measured values; ``None`` if they were integers from the start."""
    group: Tensor | None = None
    """Number of the photograph that each image is a patch of, int64 ``(n,)``."""
    assigned: Tensor | None = None
    """Part of a split that the source assigns each image to, as its place among train, val and test."""
    fit: str = ""
    """How pictures of other sizes are brought to this one, see :class:`Options`; empty if nobody asked."""
    picture_levels: int | None = None
    """How many levels the stored values of image files have, where these do not fill their range."""
    packed: bool = False
    """Whether they were prepared, and so lie in another order than their files did."""

    as_tensor = staticmethod(levels_tensor)
    """Makes of images, and the number of their levels, what :attr:`images` is."""

    @independent
    def __post_init__(self) -> None:
        if self.labels is not None:
            labels, classes = labels_tensor(self.labels, tuple(self.classes))
            object.__setattr__(self, "labels", labels)
            object.__setattr__(self, "classes", classes)
        object.__setattr__(self, "levels", level_count(self.levels))
        if self.grey_levels is not None:
            object.__setattr__(self, "grey_levels", level_count(self.grey_levels))
        stored = self.grey_levels or self.levels
        object.__setattr__(self, "source_levels", level_count(self.source_levels or stored))
        object.__setattr__(self, "images", self.as_tensor(self.images, stored))
        if self.condition is not None:
            names = names_in(self.condition) or tuple(self.condition_names)
            object.__setattr__(self, "condition_names", names)
            found = condition_tensor(self.condition, self.shape, self.condition_names)
            object.__setattr__(self, "condition", found)
        for what in ("names", *OF_EACH):
            values = getattr(self, what)
            unnamed = what == "names" and not values
            if values is not None and len(values) != len(self.images) and not unnamed:
                raise DataError(f"{len(values)} {what} for {counted(len(self), 'image')}")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        name = " ".join(filter(None, (self.name, self.split)))
        return f"<ImageSet {name}: {counted(len(self), 'image')} of {self.shape}, {self.levels} levels>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the first images."""
        from pixelcnn import plotting

        if not len(self):
            return escaped(repr(self))
        grid = plotting.grid(self.images[:SHOWN].cpu(), self.grey_levels or self.levels, columns=10)
        source = base64.b64encode(grid._repr_png_() or b"").decode("ascii")
        return f'<img src="data:image/png;base64,{source}"><br>{escaped(repr(self))}'

    @property
    def shape(self) -> ImageShape:
        """Channels, height and width."""
        return ImageShape(*self.images.shape[1:])

    @property
    def dynamic(self) -> bool:
        """Whether every epoch draws its own binary images from the grey values."""
        return self.grey_levels is not None

    @property
    def label_count(self) -> int:
        """Number of classes: their names, else the largest label and one; 0 without labels."""
        if self.labels is None:
            return 0
        return max(len(self.classes), int(self.labels.max()) + 1 if len(self) else 0)

    def given(self, kind: str) -> Tensor | None:
        """The condition of a kind that each image has: labels, vectors or maps; None if it has none."""
        if kind == "label":
            return self.labels
        axes = 2 if kind == "vector" else 4
        fits = self.condition is not None and self.condition.ndim == axes
        return self.condition if fits else None

    @property
    def content_hash(self) -> str:
        """SHA-256 (hex) of the number of levels, the shape and every pixel, as they are now.

        Labels, names and the way the set was made do not count, so the same images have the same
        hash wherever they come from. A set shares the memory of its owner, who may write to it.
        """
        kind = f"{self.levels} levels" + (f" from {self.grey_levels}" if self.dynamic else "")
        digest = hashlib.sha256(f"{kind}, {len(self)} images {self.shape}\n".encode())
        for piece in pieces(self.images):
            digest.update(as_bytes(self.images[piece]))
        return digest.hexdigest()

    @independent
    def __getitem__(self, which: Any) -> "ImageSet":
        """The chosen images as a set: a slice, an index, indices or a mask of booleans.

        A range of neighbours shares memory with this set, other choices are copied; images in a file
        stay there.
        """
        each, dynamic = known_of_each(self), self.dynamic
        rows = rows_of(which, len(self))
        device = rows.device if isinstance(rows, Tensor) else None
        indices = torch.arange(len(self), device=device)[rows]  # counted from 0 on
        taken = {what: values[rows] for what, values in each.items()}
        if dynamic:
            taken.setdefault("index", indices)
        names = tuple(self.names[i] for i in indices.tolist()) if self.names else ()
        return dataclasses.replace(self, images=chosen(self.images, rows), names=names, **taken)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """The images at some indices one by one, as PyTorch's ``DataLoader`` asks for them.

        Each is its levels ``(c, h, w)``; with labels, or else a condition, a pair of them and its own. A
        dynamic set gives the images of its first epoch: :meth:`levels_at` draws others.
        """
        levels = self.levels_at(indices)
        given = self.condition if self.labels is None else self.labels
        return list(levels if given is None else zip(levels, given[indices], strict=True))

    @independent
    def limit(self, n: int | None) -> "ImageSet":
        """At most ``n`` images, evenly strided; a :class:`ConfigError` unless that is a positive integer.

        A prefix would not be a fair sample: some official test files are sorted by class.

        Example:
            >>> ImageSet(torch.arange(10).reshape(10, 1, 1, 1), 10).limit(4).images.flatten().tolist()
            [0, 2, 5, 7]
        """
        if n is None or check_integer("limit", n, 1, 2**31) >= len(self):
            return self
        return self[evenly(len(self), n)]

    @independent
    def levels_at(
        self, indices: Any, seed: int = 0, epoch: int | None = 0, transform: Step | None = None
    ) -> Tensor:
        """Integer levels ``(k, c, h, w)`` of the images at ``indices``.

        Args:
            indices: which images: a slice, indices or a mask of booleans.
            seed: of dynamic binarisation and of patches; other sets ignore it.
            epoch: a dynamic set draws new binary images in each, one of patches takes others, and those of
                evaluation for None; other sets ignore it.
            transform: augments levels; the grey values of a dynamic set before coins are tossed for them.

        Returns:
            uint8 up to 256 levels, else int32, on the images' device. Of a dynamic set an image depends
            on nothing but its grey values, the seed and the epoch, and in training its place in the set.
        """
        rows = rows_of(indices, len(self))
        if isinstance(self.images, LazyImages):
            images = self.images.drawn(rows, seed, epoch)
        else:
            images = self.images[rows]
        images = images if transform is None else transform(images)
        if self.grey_levels is None:
            return images
        places = content_places(images) if epoch is None else self._places(rows)
        return coin_flips(images, self.grey_levels, seed, epoch, places)

    def _places(self, rows: slice | Tensor) -> Tensor:
        """Place of some images in the whole split."""
        if self.index is not None:
            return self.index[rows.to(self.index.device) if isinstance(rows, Tensor) else rows]
        if isinstance(rows, slice):
            return torch.arange(*rows.indices(len(self)))
        return rows % len(self)

    @independent
    def frozen(self, seed: int = 0) -> "ImageSet":
        """A dynamic set drawn once, and patches in their grid, for evaluation; any other set is itself.

        The draw is none that an epoch of training with the same seed sees.
        """
        if not self.dynamic:
            if isinstance(self.images, LazyImages) and self.images.draw:
                return dataclasses.replace(self, images=self.images.fixed())
            return self
        lazy = isinstance(self.images, LazyImages)
        draw = functools.partial(self.levels_at, seed=seed, epoch=None)
        return dataclasses.replace(
            self,
            images=LazyImages(self.images.shape, torch.uint8, draw, 2)
            if lazy
            else draw(slice(None)),
            binarisation=f"dynamic, seed {seed}",
            grey_levels=None,
            index=None,
        )


def known_of_each(images: ImageSet) -> dict[str, Any]:
    """What is known of each image of a set, of :data:`OF_EACH`."""
    each = {what: getattr(images, what) for what in OF_EACH}
    return {what: values for what, values in each.items() if values is not None}


class Splits(NamedTuple):
    """What to train on, what to choose by, and what to report on."""

    train: ImageSet
    val: ImageSet
    test: ImageSet

    def _repr_html_(self) -> str:
        """What a notebook shows: the first images of each."""
        return "<br>".join(part._repr_html_() for part in self)
