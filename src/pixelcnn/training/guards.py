"""What surrounds a training: checks before it, quiet and order around it, plain words for what ran out."""

import contextlib
import errno
import warnings
from collections.abc import Iterator

import torch

from pixelcnn.data import ImageSet
from pixelcnn.errors import ConfigError, DataError, ModelError, ResourceError
from pixelcnn.model import PixelModel

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says when the disk is full."""


def check_fit(model: PixelModel, train: ImageSet, val: ImageSet) -> None:
    """Compares a model with the data before any training.

    Raises:
        DataError: an empty set.
        ModelError: another shape, other levels, or no labels for a class-conditional model.
        ConfigError: a kind of condition that sets of images do not carry.
    """
    kind = model.network.condition
    for use, images in (("train on", train), ("validate on", val)):
        if not len(images):
            raise DataError(f"{images.name} has no image to {use}")
        if tuple(images.shape) != tuple(model.shape):
            raise ModelError(
                f"the model is for {model.shape} images, {images.name} has {images.shape}"
            )
        if images.levels != model.levels:
            raise ModelError(
                f"the model is for {model.levels} levels, {images.name} has {images.levels}",
                hint=f"load the data with levels={model.levels}",
            )
        if kind == "label" and images.label_count == 0:
            raise ModelError(f"a class-conditional model needs labels, {images.name} has none")
        if kind == "label" and images.label_count > model.network.condition_size:
            raise ModelError(
                f"the model is for {model.network.condition_size} classes, {images.name} has"
                f" {images.label_count}"
            )
    if kind not in (None, "label"):
        raise ConfigError(
            f"fit cannot train a model with condition {kind!r}: sets of images carry labels only",
            hint="write a loop over model.log_prob",
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps Lightning's advice to itself: what it warns about is decided here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
        yield


@contextlib.contextmanager
def preserved(model: PixelModel) -> Iterator[None]:
    """Gives back torch's random state, and the model on the CPU, in evaluation mode."""
    with torch.random.fork_rng():
        try:
            yield
        finally:
            model.cpu().eval()
            for parameter in model.parameters():
                parameter.grad = None
                parameter.data = parameter.data.contiguous()


@contextlib.contextmanager
def resources(batch_size: int) -> Iterator[None]:
    """Says in one line what ran out.

    Raises:
        ResourceError: instead of what torch or the system raise for want of memory or disk.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(batch_size) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error) or "out of memory" in str(error):
            raise _out_of_memory(batch_size) from error
        raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise ResourceError(
            f"disk full: cannot write {error.filename or 'the run'}",
            hint="free some space and continue with --resume",
        ) from error


def _out_of_memory(batch_size: int) -> ResourceError:
    smaller = max(1, batch_size // 2)
    return ResourceError(
        f"out of memory at batch size {batch_size}", hint=f"try --batch-size {smaller}"
    )
