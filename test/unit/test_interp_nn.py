"""The meaning of nn ops on each storage type, against plain definitions."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from nn_ops import FLOATS, rand, run
from xdsl.context import Context
from xdsl.dialects import test
from xdsl.dialects.builtin import Builtin, ModuleOp, bf16, f32
from xdsl.dialects.func import Func, FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.parser import Parser

from swkpu.dialects import nn
from swkpu.dialects.weights import WeightAttr
from swkpu.errors import InputError, IRError
from swkpu.interp import run_module
from swkpu.interp.constants import array_of, constant, inline_constant
from swkpu.types import i8, i32, tensor_type, to_numpy

# ---- batch norm ----


def test_batch_norm() -> None:
    x, statistics = rand(2, 3, 4, 5), [rand(3, seed=i).abs() for i in range(4)]
    weight, bias, mean, variance = (v.double().reshape(1, 3, 1, 1) for v in statistics)
    expected = (x.double() - mean) / (variance + 1e-3).sqrt() * weight + bias
    torch.testing.assert_close(run(nn.BatchNormOp, x, *statistics, eps=1e-3), expected.float())


# ---- contractions ----


def conv_reference(x, w, stride, padding, dilation, groups) -> np.ndarray:
    """Convolution by its definition, in f64."""
    x, w = x.double().numpy(), w.double().numpy()
    n = x.shape[0]
    o, ci, kh, kw = w.shape
    top, bottom, left, right = padding
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    oh = (x.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (x.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, o, oh, ow))
    for oc, i, j in itertools.product(range(o), range(oh), range(ow)):
        g = oc // (o // groups)
        rows = i * stride[0] + dilation[0] * np.arange(kh)
        columns = j * stride[1] + dilation[1] * np.arange(kw)
        patch = x[:, g * ci : (g + 1) * ci][:, :, rows][:, :, :, columns]
        y[:, oc, i, j] = (patch * w[oc]).sum((1, 2, 3))
    return y


CONVS = [
    ((2, 4, 9, 8), (6, 4, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ((1, 4, 9, 8), (6, 2, 3, 2), (2, 3), (0, 1, 2, 0), (1, 2), 2),
    ((1, 4, 9, 8), (4, 1, 5, 3), (2, 1), (2, 2, 1, 1), (1, 1), 4),
]


@pytest.mark.parametrize("element", [*FLOATS, i8], ids=str)
@pytest.mark.parametrize("case", CONVS)
def test_conv2d(case, element: Attribute) -> None:
    xs, ws, stride, padding, dilation, groups = case
    x, w = rand(*xs, element=element), rand(*ws, element=element, seed=1)
    y = run(nn.Conv2dOp, x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    expected = conv_reference(x, w, stride, padding, dilation, groups)
    if element == i8:
        assert np.array_equal(y.numpy(), expected)
    else:
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_contraction_of_half_floats_does_not_round() -> None:
    x = torch.tensor([[1.0, 2**-9]], dtype=torch.bfloat16)
    assert run(nn.LinearOp, x, torch.ones(1, 2, dtype=torch.bfloat16)).item() == 1 + 2**-9


@pytest.mark.parametrize("value", [-128, 127])
def test_int8_sums_are_exact_at_the_extremes(value: int) -> None:
    x = torch.full((1, 5000), value, dtype=torch.int8)
    assert run(nn.LinearOp, x, x).item() == 5000 * value * value


def test_linear_and_matmul() -> None:
    x, w = rand(2, 3, 4), rand(5, 4, seed=1)
    torch.testing.assert_close(run(nn.LinearOp, x, w), x @ w.t())
    a, b = rand(2, 1, 3, 4), rand(5, 4, 2, seed=1)
    torch.testing.assert_close(run(nn.MatmulOp, a, b), a @ b)


# ---- windows and reductions ----


@pytest.mark.parametrize("element", [*FLOATS, i8], ids=str)
def test_max_pool_is_exact_in_any_storage(element: Attribute) -> None:
    x = rand(2, 3, 9, 11, element=element)
    y = run(nn.MaxPool2dOp, x, kernel=(3, 2), stride=(2, 2), padding=(1, 1, 1, 1), ceil_mode=True)
    assert torch.equal(y.double(), F.max_pool2d(x.double(), (3, 2), 2, (1, 1), ceil_mode=True))


def test_padding_never_wins_a_max() -> None:
    x = torch.full((1, 1, 2, 2), -5.0)
    assert (run(nn.MaxPool2dOp, x, kernel=(2, 2), stride=(1, 1), padding=(1, 1, 1, 1)) == -5).all()


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    ceil=st.booleans(),
    include=st.booleans(),
    divisor=st.none() | st.integers(1, 5),
)
def test_avg_pool_is_torchs(size, kernel, stride, padding, ceil, include, divisor) -> None:
    padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel))
    if any(s + 2 * p < k for s, p, k in zip(size, padding, kernel)):
        return
    x = rand(1, 2, *size)
    sides = (padding[0], padding[0], padding[1], padding[1])
    y = run(
        nn.AvgPool2dOp,
        x,
        kernel=kernel,
        stride=stride,
        padding=sides,
        ceil_mode=ceil,
        count_include_pad=include,
        divisor=divisor,
    )
    expected = F.avg_pool2d(x, kernel, stride, padding, ceil, include, divisor)
    torch.testing.assert_close(y, expected)


def test_movement() -> None:
    x = rand(2, 3, 4, element=bf16)
    assert torch.equal(run(nn.ReshapeOp, x, shape=(4, 6)), x.reshape(4, 6))
    assert torch.equal(run(nn.PermuteOp, x, dims=(2, 0, 1)), x.permute(2, 0, 1))


# ---- constants ----


@pytest.mark.parametrize("element", [*FLOATS, i8, i32], ids=str)
@pytest.mark.parametrize("shape", [(), (3,), (5, 5)])
def test_constants_round_trip(shape: tuple[int, ...], element: Attribute) -> None:
    array = to_numpy(rand(*shape, element=element))
    for op in (constant(array), inline_constant(array)):
        assert np.array_equal(array_of(op), array) and array_of(op).dtype == array.dtype
        assert op.result.type == tensor_type(shape, element)
    assert isinstance(constant(array).value, WeightAttr) == (array.size > 16)


def test_numbers_that_xdsl_cannot_read_back_are_weights() -> None:
    assert isinstance(constant(np.array([1.0, -np.inf], np.float32)).value, WeightAttr)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dense<2.5> : tensor<2x2xf32>", [[2.5, 2.5], [2.5, 2.5]]),
        ("dense<[1.5, -2.0]> : tensor<2xbf16>", [1.5, -2.0]),
        ("dense<[true, false]> : tensor<2xi1>", [True, False]),
        ("dense<[-128, 127]> : tensor<2xi8>", [-128, 127]),
    ],
)
def test_parsed_constants(text: str, expected: object) -> None:
    context = Context()
    for dialect in (Builtin, Func, nn.NN):
        context.load_dialect(dialect)
    type_ = text.partition(" : ")[2]
    source = f"func.func @main() -> {type_} {{ %0 = nn.constant {text} : {type_} func.return %0 : {type_} }}"
    (result,) = run_module(Parser(context, source).parse_module(), [])
    np.testing.assert_array_equal(np.array(result.tolist()), np.array(expected))


def test_weight_of_another_shape_is_an_error() -> None:
    op = nn.ConstantOp(WeightAttr.from_array(np.zeros(3, np.float32), "w"), tensor_type((4,), f32))
    with pytest.raises(IRError, match=r"float32 array of shape \(3,\), declared as tensor<4xf32>"):
        array_of(op)


# ---- calling ----


def program(body: list[Operation], block: Block, result: SSAValue) -> ModuleOp:
    block.add_ops([*body, ReturnOp(result)])
    return ModuleOp([FuncOp("main", ([a.type for a in block.args], [result.type]), Region(block))])


def relu_program() -> ModuleOp:
    block = Block(arg_types=[tensor_type((2, 3), bf16)])
    block.args[0].name_hint = "x"
    op = nn.CastOp(block.args[0], f32)
    return program([op], block, op.result)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "@main takes 1 inputs, got 0"),
        ([torch.zeros(2, 3)], r'input 0 "x": expected bfloat16\[2, 3\], got float32\[2, 3\]'),
        ([torch.zeros(3, 2, dtype=torch.bfloat16)], r"expected bfloat16\[2, 3\], got bfloat16\[3, 2\]"),
        ([np.zeros((2, 3))], r"expected a torch.Tensor, got ndarray"),
    ],
)
def test_inputs_are_checked(inputs: list[torch.Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_module(relu_program(), inputs)


def test_module_without_main() -> None:
    with pytest.raises(IRError, match="no function @main"):
        run_module(ModuleOp([]), [])


def test_op_without_meaning() -> None:
    block = Block(arg_types=[tensor_type((2,), f32)])
    op = test.TestOp(block.args, [tensor_type((2,), f32)])
    with pytest.raises(IRError, match=r"cannot run @main: .*test\.op"):
        run_module(program([op], block, op.results[0]), [torch.zeros(2)])


def test_no_gradient_is_kept() -> None:
    x = torch.zeros(2, 3, dtype=torch.bfloat16, requires_grad=True)
    assert not run_module(relu_program(), [x])[0].requires_grad
