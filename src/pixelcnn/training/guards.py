"""What surrounds a training: checks before it, quiet and order around it, plain words for what ran out."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from pixelcnn.data import ImageSet
from pixelcnn.errors import DISK_FULL, DataError, ModelError, ResourceError
from pixelcnn.model import PixelModel
from pixelcnn.scoring import condition_of

NO_MEMORY = ("out of memory", "can't allocate memory", "bad_alloc", "could not create a memory")
"""What torch and the libraries below it say when memory runs out."""

RESUME = "free some space and continue with --resume"


def check_fit(model: PixelModel, train: ImageSet, val: ImageSet) -> None:
    """Compares a model with the data before any training.

    Raises:
        DataError: an empty set.
        ModelError: another shape, other levels, or not the condition that the model needs.
    """
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
        condition_of(model, images)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps Lightning's advice to itself: what it warns about is decided here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
        warnings.filterwarnings("ignore", message="Grad strides do not match")  # of 1x1 kernels
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
def memory(batch_size: int) -> Iterator[None]:
    """Says in one line that memory ran out.

    Raises:
        ResourceError: instead of what torch or the system raise for want of memory.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(batch_size) from error
    except RuntimeError as error:
        if any(sign in str(error) for sign in NO_MEMORY):
            raise _out_of_memory(batch_size) from error
        raise


@contextlib.contextmanager
def room() -> Iterator[None]:
    """Says in one line that the disk is full, and how to go on.

    Raises:
        ResourceError: instead of what the system raises.
    """
    try:
        yield
    except ResourceError as error:
        if not isinstance(error.__cause__, OSError):  # it is memory that ran out
            raise
        raise ResourceError(str(error), hint=RESUME) from error
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        name = Path(error.filename).name if error.filename else "to the run folder"
        raise ResourceError(f"disk full: cannot write {name}", hint=RESUME) from error


def _out_of_memory(batch_size: int) -> ResourceError:
    smaller = f"try --batch-size {batch_size // 2}"
    return ResourceError(
        f"out of memory at batch size {batch_size}",
        hint=smaller if batch_size > 1 else "a narrower network or smaller images need less",
    )
