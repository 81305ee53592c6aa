"""Slices, borders, concatenation and elements by index at the nn level: any storage type, nothing rounded."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from nn_ops import FLOATS, rand, run, run_variadic
from xdsl.utils.exceptions import VerifyException

from swkpu.dialects import nn
from swkpu.types import i1, i8, i32, i64

ELEMENTS = [*FLOATS, i1, i8, i32, i64]


@pytest.mark.parametrize("element", ELEMENTS)
def test_movement_of_every_type(element: object) -> None:
    x, y = rand(4, 1, 5, element=element), rand(4, 3, 5, element=element, seed=1)
    assert torch.equal(run(nn.ExpandOp, x, shape=(4, 3, 5)), x.expand(4, 3, 5))
    assert torch.equal(run(nn.FlipOp, y, dims=(2, 0)), y.flip(2, 0))
    assert torch.equal(run(nn.SliceOp, y, starts=(1, 0, 0), sizes=(2, 2, 3), steps=(1, 2, 2)), y[1:3, ::2, ::2])
    assert torch.equal(run_variadic(nn.ConcatOp, [x, y, x], dim=1), torch.cat([x, y, x], 1))
    expected = F.pad(y, (2, 1, 0, 0, 0, 3), value=1)
    assert torch.equal(run(nn.PadOp, y, low=(0, 0, 2), high=(3, 0, 1), value=1), expected)
    expected = y.clone()
    expected[1::2, :1] = x[:2]
    src = x[:2].contiguous()
    assert torch.equal(run(nn.InsertSliceOp, y, src, starts=(1, 0, 0), steps=(2, 1, 1)), expected)
    for index in (i32, i64):
        places = (rand(2, 3, element=index) % 3).to(rand(1, element=index).dtype)
        assert torch.equal(run(nn.TakeOp, y, places, dim=1), y[:, places.long()])
        along = rand(4, 2, 5, element=index) % 3
        assert torch.equal(run(nn.GatherOp, y, along, dim=1), torch.gather(y, 1, along.long()))


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_slice_is_what_python_slices_are(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    x = torch.arange(float(torch.tensor(shape).prod())).reshape(shape)
    starts, sizes, steps = [], [], []
    for s in shape:
        start, step = data.draw(st.integers(0, s - 1)), data.draw(st.integers(1, 4))
        starts.append(start)
        steps.append(step)
        sizes.append(data.draw(st.integers(1, len(range(start, s, step)))))
    y = run(nn.SliceOp, x, starts=starts, sizes=sizes, steps=steps)
    assert torch.equal(y, x[tuple(slice(a, a + n * t, t) for a, n, t in zip(starts, sizes, steps))])
    back = run(nn.InsertSliceOp, x, y, starts=starts, steps=steps)
    assert torch.equal(back, x)


def test_pad_with_infinity() -> None:
    y = run(nn.PadOp, rand(2), low=(1,), high=(0,), value=float("-inf"))
    assert y[0] == float("-inf")


def test_box_outside_is_refused() -> None:
    with pytest.raises(VerifyException, match="dim 0 of tensor<4xf32> has no 3 elements from 0 in steps of 2"):
        run(nn.SliceOp, rand(4), starts=(0,), sizes=(3,), steps=(2,))
    with pytest.raises(VerifyException, match="dim 0 of tensor<4xf32> has no 3 elements from 2"):
        run(nn.InsertSliceOp, rand(4), rand(3), starts=(2,), steps=(1,))
