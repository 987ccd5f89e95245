"""The coins of dynamic binarisation."""

import numpy as np
import torch

from pixelcnn.data.noise import CHUNK, coin_flips, uniforms

FALSE_ALARM_SIGMAS = 5  # about one in two million


def test_the_coins_are_the_same_for_ever():
    words = uniforms(seed=3, epoch=5, index=np.array([7]), count=2)
    assert words.tolist() == [[0.568679654036216, 0.04545229673727347]]


def test_every_image_has_coins_of_its_own():
    coins = uniforms(0, 0, np.arange(50), 40)
    assert len(np.unique(coins)) == 2000
    assert 0 <= coins.min() < coins.max() < 1


def test_a_pixel_is_one_as_often_as_its_grey_value_says():
    values = torch.arange(0, 256, 15).repeat(4000, 1).reshape(4000, 1, 1, 18)
    chance = torch.arange(0, 256, 15) / 255
    mean = coin_flips(values, 256, 0, 0, np.arange(4000)).double().mean((0, 1, 2))
    sigma = (chance * (1 - chance) / 4000).sqrt()
    assert bool(((mean - chance).abs() <= FALSE_ALARM_SIGMAS * sigma).all())


def test_a_set_larger_than_one_block_is_drawn_like_its_parts():
    values = torch.full((CHUNK + 3, 1, 2, 2), 8, dtype=torch.uint8)
    whole = coin_flips(values, 17, 1, 1, np.arange(CHUNK + 3))
    assert torch.equal(
        coin_flips(values[:2], 17, 1, 1, np.array([CHUNK, CHUNK + 2])), whole[[-3, -1]]
    )
