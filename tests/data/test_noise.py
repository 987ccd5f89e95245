"""The coins of dynamic binarisation."""

import hashlib

import numpy as np
import pytest
import torch

from pixelcnn import streams
from pixelcnn.data import ImageSet
from pixelcnn.data.noise import CHUNK, coin_flips

FALSE_ALARM_SIGMAS = 5  # about one in two million


def ramp(n, levels=256):
    values = torch.arange(n * 35) * 7919 % levels
    return values.reshape(n, 1, 5, 7).to(torch.uint8 if levels <= 256 else torch.int32)


@pytest.mark.parametrize(
    ("epoch", "digest"),
    [(None, "4f3bb8d395cefb8c"), (0, "e1938dd5ce561807"), (3, "e779624820435a3b")],
)
def test_the_coins_are_the_same_for_ever(epoch, digest):
    bits = coin_flips(ramp(20), 256, 3, epoch, torch.arange(20))
    assert hashlib.sha256(bits.numpy().tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("levels", [2, 3, 17, 256, 65_536])
def test_a_coin_compares_a_uniform_number_with_the_grey_value(levels):
    grey = ramp(5, levels)
    bits = coin_flips(grey, levels, 1, 2, torch.arange(5))
    for image in range(5):
        uniforms = (streams.coins(1, 2, image).words(35) >> np.uint64(11)) * 2.0**-53
        expected = uniforms < grey[image].flatten().numpy() / (levels - 1)
        assert bits[image].flatten().tolist() == expected.tolist()


def test_a_pixel_is_one_as_often_as_its_grey_value_says():
    values = torch.arange(0, 256, 15).repeat(4000, 1).reshape(4000, 1, 1, 18)
    chance = torch.arange(0, 256, 15) / 255
    mean = coin_flips(values, 256, 0, 0, torch.arange(4000)).double().mean((0, 1, 2))
    sigma = (chance * (1 - chance) / 4000).sqrt()
    assert bool(((mean - chance).abs() <= FALSE_ALARM_SIGMAS * sigma).all())


def test_a_set_larger_than_one_block_is_drawn_like_its_parts():
    values = torch.full((CHUNK + 3, 1, 2, 2), 8, dtype=torch.uint8)
    whole = coin_flips(values, 17, 1, 1, torch.arange(CHUNK + 3))
    assert torch.equal(
        coin_flips(values[:2], 17, 1, 1, torch.tensor([CHUNK, CHUNK + 2])), whole[[-3, -1]]
    )


def test_images_on_a_device_never_leave_it():
    """The meta device computes shapes and holds no values: whoever looks at one fails."""
    grey = ramp(4, 17).to("meta")
    bits = coin_flips(grey, 17, 0, 0, torch.arange(4, device="meta"))
    assert (bits.device.type, bits.dtype, bits.shape) == ("meta", torch.uint8, grey.shape)


def test_indices_on_a_device_are_not_looked_at():
    images = ImageSet(ramp(10), 2, grey_levels=256)
    object.__setattr__(images, "images", images.images.to("meta"))
    chosen = torch.tensor([3, 4, 5], device="meta")
    assert images.levels_at(chosen).shape == (3, 1, 5, 7)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("epoch", [None, 0, 7])
def test_a_gpu_tosses_the_coins_of_the_processor(epoch):
    images = ImageSet(ramp(700), 2, grey_levels=256, binarisation="dynamic")
    moved = ImageSet(ramp(700).cuda(), 2, grey_levels=256, binarisation="dynamic")
    assert moved.images.is_cuda
    assert moved.content_hash == images.content_hash
    for chosen in (slice(None), torch.tensor([699, 3, 5]), torch.tensor([1, 2]).cuda()):
        there = moved.levels_at(chosen, 9, epoch)
        here = images.levels_at(
            chosen.cpu() if isinstance(chosen, torch.Tensor) else chosen, 9, epoch
        )
        assert there.is_cuda
        assert torch.equal(there.cpu(), here)
