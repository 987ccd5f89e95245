"""What becomes of the images that a command draws: a grid, an animation, an array or a folder."""

import bisect
import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from PIL.Image import Image
from torch import Tensor

from pixelcnn import files, physical, plotting
from pixelcnn.cli import output
from pixelcnn.cli.animation import FrameRecorder
from pixelcnn.cli.console import Advance, say
from pixelcnn.config import check_choice
from pixelcnn.errors import ConfigError, ResourceError

if TYPE_CHECKING:
    from pixelcnn.model import PixelModel

Kind = Literal["grid", "animation", "array", "folder"]
Unit = Literal["values", "levels"]
MOST_PIXELS: dict[Kind, int] = {"grid": 2**25, "animation": 2**21}
"""Of a picture, and of each frame: more take gigabytes to write, and programs refuse to open them."""
PICTURES = {"grid": "a picture", "animation": "an animation"}
KINDS: dict[str, Kind] = {".png": "grid", ".gif": "animation", ".npy": "array", ".npz": "array"}


def kind_of(path: Path, *read: str | None, json: bool = False) -> Kind:
    """What ``path`` asks for, by its suffix; checked before the drawing starts.

    A pipe or device whose name says nothing, as ``/dev/stdout``, gets a grid.

    Args:
        path: what ``--out`` says.
        read: what the command reads, see :func:`pixelcnn.cli.output.refuse_read`.
        json: whether stdout is for JSON.

    Raises:
        ConfigError: a suffix we do not write, a folder that cannot be there, a terminal, or what is read.
        OSError: the path cannot be written.

    Example:
        >>> kind_of(Path("samples.png")), kind_of(Path("samples"))
        ('grid', 'folder')
    """
    output.refuse_read(path, *read)
    kind = KINDS.get(path.suffix.lower(), "grid" if files.is_direct(path) else None)
    if kind is not None:
        output.check_target(path, json=json, terminal=False)
        return kind
    if path.suffix and not path.is_dir():
        raise ConfigError(
            f"cannot write {path.suffix} files ({path})",
            hint=".png is a grid, .gif the drawing, .npy and .npz the levels; "
            "a name without suffix, or a folder that is there, takes PNG files",
        )
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path} is a file", hint="choose another folder with --out")
    path.mkdir(parents=True, exist_ok=True)
    return "folder"


class Drawing:
    """Images that are about to be drawn, and where they go.

    Args:
        model: that draws.
        kind: see :func:`kind_of`.
        path: what ``--out`` says.
        count: images in all.
        columns: images in a row of a picture; None for about a square.
        asked: what ``--as`` says an array holds; by default the measured values of a model that has some.
        known: pixels that are there from the start, see :class:`FrameRecorder`.
        given: images that stand at the left of the rows of a grid.

    Raises:
        ConfigError: values of a picture, or of a model that has none; images that make no picture that
            programs open, and it says how many do.
        ResourceError: the array is larger than what is free on the disk.
    """

    def __init__(
        self,
        model: "PixelModel",
        kind: Kind,
        path: Path,
        count: int,
        *,
        columns: int | None = None,
        asked: str | None = None,
        known: Tensor | None = None,
        given: int = 0,
    ) -> None:
        self.model, self.kind, self.path = model, kind, path
        self.count, self.columns = count, columns
        self.unit = self._unit(asked)
        if kind in PICTURES:
            beside = given if kind == "grid" else 0
            self._check_pixels(count + beside, (columns or 0) + (beside > 0))
        elif path.suffix.lower() == ".npy" and not files.is_direct(path):
            self._check_disk()
        self._say_what_is_lost()
        self.frames = (
            FrameRecorder(model.shape, model.levels, known) if kind == "animation" else None
        )

    def _unit(self, asked: str | None) -> Unit:
        """What an array holds."""
        bins = physical.bins_of(self.model)
        if asked is not None:
            check_choice("--as", asked, get_args(Unit))
        if asked == "values" and (self.kind != "array" or bins is None):
            reason = (
                "pictures show levels" if bins else "the levels of this model stand for no values"
            )
            raise ConfigError(f"--as values: {reason}", hint="--out with .npy or .npz takes both")
        if self.kind != "array" or bins is None or asked == "levels":
            return "levels"
        say(f"note: values, the centres of {bins.describe()}; --as levels writes levels")
        return "values"

    def _check_pixels(self, count: int, columns: int) -> None:
        """Whether so many images make one picture."""
        (_, height, width), most = self.model.shape, MOST_PIXELS[self.kind]

        def pixels(images: int) -> int:
            return math.prod(plotting.canvas(images, height, width, min(columns, images) or None))

        if pixels(count) > most:
            fit = bisect.bisect_right(range(1, count), most, key=pixels)
            shape, picture = self.model.shape, PICTURES[self.kind]
            several = f"{count:,} images of {shape} are too many for {picture}, which takes {fit:,}"
            raise ConfigError(
                several if fit else f"an image of {shape} is too large for {picture}",
                hint="--out with .npy, .npz or a name without suffix (a folder) takes any size and number",
            )

    def _check_disk(self) -> None:
        """Whether the disk holds the array."""
        one = torch.empty((), dtype=self.model.image_dtype)
        one = physical.values(self.model, 0) if self.unit == "values" else one
        size = self.count * self.model.shape.dimensions * one.itemsize
        free = shutil.disk_usage(self.path.resolve().parent).free
        if size > free:
            raise ResourceError(
                f"{self.path} needs {size:,} bytes, {free:,} are free on its disk",
                hint="free some space, or write somewhere else with --out",
            )

    def _say_what_is_lost(self) -> None:
        """One line where pictures do not show all levels, or all channels."""
        lost, channels, levels = [], self.model.shape.channels, self.model.levels
        if channels > 3:
            lost.append(f"3 of {channels} channels")
        if levels > 256 and self.kind != "folder":
            lost.append(f"8 bits of {levels:,} levels")
        if lost and self.kind != "array":
            all_of_it = ".npy, .npz and a folder have" if channels <= 3 else ".npy and .npz have"
            say(f"note: pictures show {' and '.join(lost)}; {all_of_it} all")

    def arguments(self, engine: str, batch_size: int, advance: Advance) -> dict[str, Any]:
        """Engine, batch size and callback of the drawing: all images of an animation appear together.

        Args:
            engine: as asked for.
            batch_size: as asked for.
            advance: shows progress.
        """

        def follow(done: int, total: int, images: Any) -> None:
            advance(done, total)
            if self.frames is not None:
                self.frames(done, total, images)

        size = batch_size if self.frames is None else self.count
        return {"engine": engine, "batch_size": size, "callback": follow}

    def save(
        self,
        batches: Iterable[Tensor],
        given: Mapping[str, Any],
        page: Callable[[Tensor], Image],
        name: str = "sample",
    ) -> list[str]:
        """Writes images as they are drawn, or all of them as one picture; the paths of the files.

        Args:
            batches: levels (some, c, h, w).
            given: what they were drawn of, for an ``.npz``.
            page: makes a grid of all of them.
            name: what the names of files in a folder begin with.
        """
        levels = self.model.levels
        if self.kind == "folder":
            return output.save_each(batches, self.count, self.path, levels, name)
        if self.kind == "array":
            if self.unit == "values":
                batches = (physical.values(self.model, batch) for batch in batches)
            return output.save_array(batches, self.count, self.path, levels, given)
        images = torch.cat(list(batches))
        if self.frames is not None:
            return self.frames.save(self.path, columns=self.columns)
        return output.save_picture(page(images), self.path)
