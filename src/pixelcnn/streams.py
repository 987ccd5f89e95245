"""Named streams: who draws which random words, so that no two draws share one but a pair named below.

All words come from Philox 4x64-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011), a
pure function of a key of two 64-bit words and a counter of four. NumPy guarantees its raw words for ever,
though not what its distributions make of them. The lowest word of the counter counts blocks of four words
from 1; the key and the other three words of the counter name the stream:

======================  =====================  =========================  ==============================
stream                  key                    counter above the lowest   limits
======================  =====================  =========================  ==============================
image of a sample       seed, image            0, 0, 0                    image < 2**63
fixed shuffle of a set  2016, 0                0, 0, 0
order of an epoch       seed, 0                epoch, 0, 1
dropout of a step       seed, 0                step, rank, 2
patches of an epoch     seed, 0                epoch, patch, 4
coins of an epoch       seed, 2**64-2 - epoch  0, 0, place of the image   epoch < 2**62
coins of evaluation     seed, 2**64-1          0, 0, place of the image
augmentation            seed, 2**64-2 - epoch  0, 1, image                epoch < 2**62
======================  =====================  =========================  ==============================

Completion k of image j is image ``j * 2**32 + k`` of a sample. Second words of a key below 2**63 belong to
samples, those above to coins and augmentation, whose counters differ in a word. Order, dropout and patches
share their key with image 0 of a sample, which never leaves the zeros of the counter, and differ from each
other in its highest word.

One pair does share words, because both were published so: the fixed shuffle, which no seed changes, has those
of image 0 of seed 2016.

Initial weights take no words: PyTorch's Mersenne Twister draws them, seeded with the seed itself as by
``torch.manual_seed``. A word of a step's dropout seeds a generator of the device that computes it.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pixelcnn.annotations import shown
from pixelcnn.errors import ConfigError

WORD_BITS = 64
SAMPLE_BITS = 63
"""Of the index of a sampled image, so that the upper half of the keys is left to coins."""
EPOCH_BITS = 62
"""Of the epochs that have coins of their own."""
SPLITS = 2016
"""Key of the fixed shuffle (the year of the PixelCNN papers)."""
ORDER, DROPOUT, PATCHES = 1, 2, 4
"""Highest word of the counter of the streams that share a key with samples."""
AUGMENTATION = 1
"""Middle word of the counter of the stream that shares a key with coins."""

ROUNDS = 10
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
"""What the key grows by after each round."""
HALF = 2**32 - 1
"""The lower half of a word."""


class Stream(NamedTuple):
    """Where a stream lies: the key, and the counter above the word that counts its blocks."""

    key: tuple[int, int]
    counter: tuple[int, int, int]

    def words(self, count: int) -> np.ndarray:
        """The first ``count`` words: uint64 ``(count,)``.

        Example:
            >>> order(seed=0, epoch=0).words(2).tolist()
            [6312158256571094726, 10634814581434429480]
        """
        start = np.array((0, *self.counter), dtype=np.uint64)
        key = np.array(self.key, dtype=np.uint64)
        return np.random.Philox(key=key, counter=start).random_raw(count)


def sample(seed: int, image: int) -> Stream:
    """The stream of an image of a sample.

    Raises:
        ConfigError: a seed or an image out of range, as in all functions here.
    """
    seed = _checked("seed", seed, WORD_BITS)
    return Stream((seed, _checked("image index", image, SAMPLE_BITS)), (0, 0, 0))


def split() -> Stream:
    """The stream of the fixed shuffle."""
    return Stream((SPLITS, 0), (0, 0, 0))


def order(seed: int, epoch: int) -> Stream:
    """The stream of the order in which an epoch visits its images."""
    return Stream(
        (_checked("seed", seed, WORD_BITS), 0), (_checked("epoch", epoch, WORD_BITS), 0, ORDER)
    )


def dropout(seed: int, step: int, rank: int) -> Stream:
    """The stream of a step's dropout on one process."""
    place = (_checked("step", step, WORD_BITS), _checked("rank", rank, WORD_BITS), DROPOUT)
    return Stream((_checked("seed", seed, WORD_BITS), 0), place)


def patch(seed: int, epoch: int, index: int) -> Stream:
    """The stream of the place of a patch in its photograph, in an epoch of training."""
    place = (_checked("epoch", epoch, WORD_BITS), _checked("patch", index, WORD_BITS), PATCHES)
    return Stream((_checked("seed", seed, WORD_BITS), 0), place)


def coins(seed: int, epoch: int | None, image: int) -> Stream:
    """The stream of an image's coins in an epoch of training, or in evaluation if None."""
    return Stream(_coin_key(seed, epoch), (0, 0, _checked("image", image, WORD_BITS)))


def augmentation(seed: int, epoch: int, image: int) -> Stream:
    """The stream of how an image is augmented in an epoch of training."""
    return Stream(_coin_key(seed, epoch), (0, AUGMENTATION, _checked("image", image, WORD_BITS)))


def coin_words(
    seed: int,
    epoch: int | None,
    images: Tensor,
    count: int,
    device: torch.device,
    stream: Callable[[int, Any, int], Stream] = coins,
) -> Tensor:
    """The first ``count`` words of the coins of some images, on a device.

    Args:
        seed: in [0, 2**64).
        epoch: of training, or None for evaluation.
        images: places in the set, int64 ``(k,)``.
        count: of words for each.
        device: where they are wanted. Anywhere but on the CPU they are computed there.
        stream: of an image in an epoch: :func:`coins`, or :func:`augmentation`, which shares their keys.

    Returns:
        int64 ``(k, count)``: the bits of the unsigned words.
    """
    key, (lower, middle, _) = stream(seed, epoch, 0)
    if device.type != "cpu":
        return philox_words(key, images.to(device), count, middle)
    words = np.empty((len(images), count), np.uint64)
    for row, image in enumerate(images.tolist()):
        words[row] = Stream(key, (lower, middle, image)).words(count)
    return torch.from_numpy(words.view(np.int64))


def philox_words(key: tuple[int, int], highest: Tensor, count: int, middle: int = 0) -> Tensor:
    """Words of the streams ``Stream(key, (0, middle, h))`` for each h in ``highest``, on its device.

    Args:
        key: of all streams.
        highest: int64 ``(k,)``, the bits of unsigned words.
        count: of words for each.
        middle: word of the counter.

    Returns:
        int64 ``(k, count)``: the bits of the unsigned words.

    Example:
        >>> words = philox_words((3, 5), torch.tensor([7]), 9)[0]
        >>> bool((words.numpy().view("uint64") == Stream((3, 5), (0, 0, 7)).words(9)).all())
        True
    """
    blocks = torch.arange(1, -(-count // 4) + 1, device=highest.device).expand(len(highest), -1)
    nothing = torch.zeros_like(blocks)
    place = torch.stack((nothing, highest[:, None].expand_as(blocks)))
    even = torch.stack((blocks, torch.full_like(blocks, middle)))
    return philox(key, even, place).reshape(len(highest), -1)[:, :count]


def philox(key: tuple[int, int], even: Tensor, odd: Tensor) -> Tensor:
    """One block of Philox 4x64-10 for each counter, in integer arithmetic that every device has.

    Args:
        key: two unsigned words.
        even: words 0 and 2 of each counter, int64 ``(2, ...)``, the bits of unsigned words.
        odd: words 1 and 3, likewise.

    Returns:
        int64 ``(..., 4)``: the bits of the unsigned words.
    """
    multiplier, keys = _constants(key, even.device)
    shape = (2,) + (1,) * (even.ndim - 1)
    multiplier = multiplier.view(shape)
    low, high = multiplier & HALF, _shifted(multiplier, 32)
    for step in range(ROUNDS):
        upper = _upper_product(even, low, high)
        even, odd = upper.flip(0) ^ odd ^ keys[step].view(shape), (even * multiplier).flip(0)
    return torch.stack((even[0], odd[0], even[1], odd[1]), -1)


def _upper_product(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The upper word of the products of ``x`` with words given by their halves."""
    x_low, x_high = x & HALF, _shifted(x, 32)
    middle = x_high * low + _shifted(x_low * low, 32)
    other = x_low * high + (middle & HALF)
    return x_high * high + _shifted(middle, 32) + _shifted(other, 32)


def _shifted(words: Tensor, bits: int) -> Tensor:
    """The words moved to the right as unsigned ones are, without copies of the sign."""
    return words >> bits & 2 ** (64 - bits) - 1


@functools.lru_cache(maxsize=16)
def _constants(key: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """The multipliers ``(2,)`` and the keys of all rounds ``(10, 2)``.

    Computed on the device: sending them there would wait for what it is doing.
    """
    rounds = torch.arange(ROUNDS, device=device)
    keys = [rounds * _signed(w) + _signed(k) for k, w in zip(key, WEYL, strict=True)]
    multipliers = [torch.full_like(rounds[0], _signed(m)) for m in MULTIPLIERS]
    return torch.stack(multipliers), torch.stack(keys, 1)


def _signed(word: int) -> int:
    """The signed integer with the bits of an unsigned word, of which higher bits are dropped."""
    return (word + 2**63) % 2**64 - 2**63


class DrawFrom(TorchDispatchMode):
    """Has everything random that PyTorch does in this thread draw from one generator, in a ``with`` block.

    Initialisers thus stay plain PyTorch, and its global generator, which all threads share, is neither
    read nor written. What names a generator of its own keeps it; what cannot be given one, such as a fused
    attention with dropout, is left alone.

    Args:
        generator: lies on the device of the tensors that are drawn.

    Example:
        >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
        <...>
        >>> with DrawFrom(torch.Generator().manual_seed(5)):
        ...     layer = torch.nn.Linear(2, 2)
        >>> torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0)))
        True
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Of modes that are compiled; for others PyTorch imports its compiler, which takes a second."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            func = _taking_generator(func)
            names = [argument.name for argument in func._schema.arguments]
            if "generator" in names[len(args) :] and named.get("generator") is None:
                named = named | {"generator": self.generator}
        return func(*args, **named)


def _taking_generator(func: Any) -> Any:
    """The form of an operation that takes a generator, where it has one."""
    name = func._overloadname
    other = "generator" if name == "default" else f"{name}_generator"
    return getattr(func.overloadpacket, other, func)


def _coin_key(seed: int, epoch: int | None) -> tuple[int, int]:
    """The key of the coins of an epoch, or of evaluation."""
    last = 2**64 - 1
    second = last if epoch is None else last - 1 - _checked("epoch", epoch, EPOCH_BITS)
    return _checked("seed", seed, WORD_BITS), second


def _checked(name: str, value: int, bits: int) -> int:
    """A number that fits into so many bits."""
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if not 0 <= number < 2**bits:
        raise ConfigError(f"{name} must be an integer in 0..2**{bits}-1, got {shown(value)}")
    return number
