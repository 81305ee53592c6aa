"""The meaning of reductions, softmax, norms and attention on each storage type."""

import math

import pytest
import torch
from nn_ops import FLOATS, rand, run
from xdsl.ir import Attribute

from swkpu.dialects import nn
from swkpu.types import i8

DIMS = [((1,), False), ((0, 2), True), ((0, 1, 2), False)]


@pytest.mark.parametrize("element", FLOATS, ids=str)
@pytest.mark.parametrize(("dims", "keepdim"), DIMS)
def test_reductions_give_f32(dims: tuple[int, ...], keepdim: bool, element: Attribute) -> None:
    x = rand(3, 4, 5, element=element)
    wide = x.double()
    torch.testing.assert_close(run(nn.SumOp, x, dims=dims, keepdim=keepdim), wide.sum(dims, keepdim).float())
    torch.testing.assert_close(run(nn.MeanOp, x, dims=dims, keepdim=keepdim), wide.mean(dims, keepdim).float())


@pytest.mark.parametrize("element", [*FLOATS, i8], ids=str)
@pytest.mark.parametrize(("dims", "keepdim"), DIMS)
def test_largest_and_smallest_keep_the_type(dims: tuple[int, ...], keepdim: bool, element: Attribute) -> None:
    x = rand(3, 4, 5, element=element)
    assert torch.equal(run(nn.MaxOp, x, dims=dims, keepdim=keepdim), x.amax(dims, keepdim))
    assert torch.equal(run(nn.MinOp, x, dims=dims, keepdim=keepdim), x.amin(dims, keepdim))


def test_integer_sums_and_products() -> None:
    x = torch.tensor([[100, 100], [-3, 7]], dtype=torch.int8)
    assert run(nn.SumOp, x, dims=(1,), keepdim=False).tolist() == [200, 4]
    assert run(nn.ProdOp, x, dims=(0, 1), keepdim=False).item() == 100 * 100 * -3 * 7
    large = torch.tensor([2**40, 2**40])
    assert run(nn.SumOp, large, dims=(0,), keepdim=False).item() == 2**41


def test_product() -> None:
    x = rand(3, 4, 5)
    torch.testing.assert_close(run(nn.ProdOp, x, dims=(0, 2), keepdim=True), x.prod(2, True).prod(0, True))


def test_any() -> None:
    x = torch.tensor([[False, False], [True, False]])
    assert run(nn.AnyOp, x, dims=(1,), keepdim=False).tolist() == [False, True]
    assert run(nn.AnyOp, x, dims=(0, 1), keepdim=False).item() is True


def test_no_dims_reduce_nothing() -> None:
    x = rand(2, 3)
    for op in (nn.SumOp, nn.MeanOp, nn.ProdOp, nn.MaxOp, nn.MinOp):
        assert torch.equal(run(op, x, dims=(), keepdim=False), x)


def test_not_a_number_wins() -> None:
    x = torch.tensor([1.0, math.nan, 3.0])
    for op in (nn.MaxOp, nn.MinOp):
        assert run(op, x, dims=(0,), keepdim=False).isnan()
    for op in (nn.ArgMaxOp, nn.ArgMinOp):
        assert run(op, x, dim=0, keepdim=False).item() == 1


def test_first_of_equals_is_taken() -> None:
    x = torch.tensor([[1, 3, 3], [2, 0, 0]], dtype=torch.int32)
    assert run(nn.ArgMaxOp, x, dim=1, keepdim=False).tolist() == [1, 0]
    assert run(nn.ArgMinOp, x, dim=1, keepdim=True).tolist() == [[0], [1]]
    assert run(nn.ArgMaxOp, torch.tensor([False, True, True]), dim=0, keepdim=False).item() == 1


@pytest.mark.parametrize("element", FLOATS, ids=str)
def test_running_reductions(element: Attribute) -> None:
    x = rand(3, 4, element=element)
    torch.testing.assert_close(run(nn.CumSumOp, x, dim=1), x.double().cumsum(1).float())
    torch.testing.assert_close(run(nn.CumProdOp, x, dim=0), x.double().cumprod(0).float())
    assert torch.equal(run(nn.CumMaxOp, x, dim=0), x.cummax(0).values)
    assert torch.equal(run(nn.CumMinOp, x, dim=1), x.cummin(1).values)


def test_running_sum_of_integers() -> None:
    assert run(nn.CumSumOp, torch.full((3,), 100, dtype=torch.int8), dim=0).tolist() == [100, 200, 300]


# ---- softmax and norms ----


@pytest.mark.parametrize("element", FLOATS, ids=str)
def test_softmax(element: Attribute) -> None:
    x = rand(3, 4, 5, element=element)
    e = x.double().exp()
    expected = e / e.sum(1, keepdim=True)
    torch.testing.assert_close(run(nn.SoftmaxOp, x, dim=1), expected.float())
    torch.testing.assert_close(run(nn.LogSoftmaxOp, x, dim=1), expected.log().float())


def normalized(x: torch.Tensor, dims: tuple[int, ...], eps: float) -> torch.Tensor:
    x = x.double()
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    return (x - mean) / (variance + eps).sqrt()


@pytest.mark.parametrize("element", FLOATS, ids=str)
@pytest.mark.parametrize("parameters", [(), ("weight",), ("bias",), ("weight", "bias")])
def test_norms(parameters: tuple[str, ...], element: Attribute) -> None:
    x = rand(2, 6, 3, 4, element=element)
    by_channel = [rand(6, seed=i, element=element) for i, _ in enumerate(parameters)]
    trailing = [rand(3, 4, seed=i, element=element) for i, _ in enumerate(parameters)]

    def check(
        op: type, expected: torch.Tensor, values: list[torch.Tensor], shape: tuple[int, ...], **attributes
    ) -> None:
        given = {name: v.double().reshape(shape) for name, v in zip(parameters, values)}
        expected = expected * given.get("weight", 1.0) + given.get("bias", 0.0)

        def make(input, *operands):
            return op(input, eps=1e-3, **attributes, **dict(zip(parameters, operands)))

        torch.testing.assert_close(run(make, x, *values), expected.float(), rtol=1e-4, atol=1e-4)

    check(nn.LayerNormOp, normalized(x, (2, 3), 1e-3), trailing, (3, 4), dims=2)
    wide = x.double()
    check(nn.RmsNormOp, wide / (wide.square().mean((2, 3), keepdim=True) + 1e-3).sqrt(), trailing, (3, 4), dims=2)
    grouped = normalized(x.reshape(2, 3, 2, 3, 4), (2, 3, 4), 1e-3).reshape(x.shape)
    check(nn.GroupNormOp, grouped, by_channel, (6, 1, 1), groups=3)


# ---- attention ----


@pytest.mark.parametrize("element", FLOATS, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_sdpa(causal: bool, element: Attribute) -> None:
    q, k, v = rand(2, 1, 4, 8, element=element), rand(3, 6, 8, element=element, seed=1), rand(3, 6, 5, element=element)
    mask = rand(4, 6, seed=3)
    scores = q.double() @ k.double().mT * 0.5 + mask
    if causal:
        scores = scores.masked_fill(torch.ones(4, 6, dtype=torch.bool).triu(1), -math.inf)
    expected = scores.softmax(-1) @ v.double()
    torch.testing.assert_close(run(nn.SdpaOp, q, k, v, mask, scale=0.5, causal=causal), expected.float())


def test_row_that_sees_no_key_gives_zero() -> None:
    q, k = rand(2, 4), rand(3, 4, seed=1)
    mask = torch.tensor([[-math.inf] * 3, [0.0] * 3])
    result = run(nn.SdpaOp, q, k, k, mask, scale=1.0, causal=False)
    assert result[0].tolist() == [0.0] * 4
    torch.testing.assert_close(result[1], (q[1] @ k.mT).softmax(-1) @ k)


def test_sdpa_without_mask() -> None:
    q = rand(3, 4)
    result = run(lambda a, b, c: nn.SdpaOp(a, b, c, None, 1.0, False), q, q, q)
    torch.testing.assert_close(result, (q @ q.mT).softmax(-1) @ q)
