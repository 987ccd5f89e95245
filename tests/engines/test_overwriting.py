"""What is overwritten in place is read as what it became, or by another name of a part not at all."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from engines.small import assert_followed, small_model
from pixelcnn import layers
from pixelcnn.engines.trace import trace
from pixelcnn.program import Unlowerable


def assigned(s, y):
    z = y.tanh()
    z += 0.5
    z *= y
    z -= 1
    z /= 2
    z **= 2
    return z


def halves_apart(s, y):
    a, b = y.chunk(2, 1)
    return a.tanh_() * b


def after_its_last_reader(s, y):
    z = y.exp()
    return z.add_(1) * y


def a_copy(s, y):
    return y.clone().tanh_() + y


def read_again(s, y):
    return y.tanh_() + y


def assigned_to_another_name(s, y):
    z = y
    z += 1
    return z * y


def powers(s, y):
    z = y
    z **= 2
    return z + y


def its_layer(s, y):
    return s.act(y) + y


def its_function(s, y):
    return F.relu(y, inplace=True) + y


def one_part(s, y):
    y.chunk(2, 1)[0].tanh_()
    return y


def one_run(s, y):
    y[:, 2:4].tanh_()
    return y * 2


def the_whole_under_a_part(s, y):
    a, _ = y.split(3, 1)
    y.relu_()
    return a


def a_permuted_view(s, y):
    y.permute(0, 2, 3, 1).tanh_()
    return y.relu()


def through_dropout(s, y):
    F.dropout(y, 0.5, training=False).tanh_()
    return y.relu()


def through_identity(s, y):
    s.identity(y).tanh_()
    return y.relu()


def through_our_dropout(s, y):
    s.dropout(y).tanh_()
    return y.relu()


def contiguous(s, y):
    y.contiguous().tanh_()
    return y.relu()


def returned(s, y):
    y.tanh_()
    return y


def in_a_list(s, y):
    parts = y.chunk(2, 1)
    parts[1].tanh_()
    return torch.cat(parts, 1)


def a_view_of_a_view(s, y):
    a = y[:, 1:]
    a[:, 1:].tanh_()
    return a[:, :2] + y[:, 1:3]


def before_a_crop(s, y):
    rows = F.conv2d(y, s.first.weight[:, :, :2, :1].expand(-1, 6, -1, -1), padding=(1, 0))
    F.relu(rows, inplace=True)
    rows *= 2
    return rows[:, :, :-1] + y


def after_a_crop(s, y):
    rows = F.conv2d(y, s.first.weight[:, :, :2, :1].expand(-1, 6, -1, -1), padding=(1, 0))
    a = rows[:, :, :-1]
    rows += 1
    return a


def two_crops(s, y):
    rows = F.pad(y, (0, 0, 2, 0))
    a, b = rows[:, :, :-2], rows[:, :, 1:-1]
    a += 1
    return a * b


def every_second(s, y):
    y[:, ::2].tanh_()
    return y


def parts():
    return {"act": nn.ELU(inplace=True), "identity": nn.Identity(), "dropout": layers.Dropout()}


READABLE = [assigned, after_its_last_reader, a_copy, halves_apart, read_again, its_layer, powers]
READABLE += [assigned_to_another_name, its_function, through_dropout, through_identity, returned]
READABLE += [through_our_dropout, before_a_crop]


@pytest.mark.parametrize("body", READABLE)
def test_a_value_is_what_it_was_overwritten_with(body):
    assert_followed(small_model(body, **parts()))


UNREADABLE = [one_part, one_run, the_whole_under_a_part, a_permuted_view, in_a_list, contiguous]
UNREADABLE += [a_view_of_a_view, two_crops, every_second, after_a_crop]


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_was_overwritten_in_part_cannot_be_read_under_any_name(body):
    with pytest.raises(Unlowerable, match="overwritten in place"):
        trace(small_model(body, **parts()).network)
