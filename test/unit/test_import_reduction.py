"""Import of reductions, sorting, norms and attention: each form of ATen's gives torch's values, shapes and types."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from imports import check, module_of, ops_of
from torch import nn

from swkpu.errors import UnsupportedOpError

SEED = torch.Generator().manual_seed(1)
X = torch.randn(2, 3, 4, generator=SEED)
INTS = torch.randint(-5, 5, (2, 3, 4), generator=SEED)
BOOLS = INTS > 0
IMAGE = torch.randn(2, 6, 5, 5, generator=SEED)
WEIGHT, BIAS = torch.randn(6, generator=SEED), torch.randn(6, generator=SEED)

Function = Callable[..., object]

FLOATS: dict[str, tuple[Function, list[str]]] = {
    "sum_negative_dims": (lambda x: x.sum((-1, -3)), ["nn.sum"]),
    "prod": (torch.prod, ["nn.prod"]),
    "prod_dim": (lambda x: x.prod(-1, keepdim=True), ["nn.prod"]),
    "max_values": (lambda x: x.max(-1).values, ["nn.max"]),
    "max_indices": (lambda x: x.max(-1).indices, ["nn.argmax"]),
    "min_both": (lambda x: tuple(x.min(1, keepdim=True)), ["nn.min", "nn.argmin"]),
    "min_all": (torch.min, ["nn.min"]),
    "amin": (lambda x: x.amin((0, 2)), ["nn.min"]),
    "aminmax": (lambda x: tuple(x.aminmax(dim=1)), ["nn.min", "nn.max"]),
    "argmax_flat": (torch.argmax, ["nn.reshape", "nn.argmax"]),
    "argmax_keepdim": (lambda x: x.argmax(keepdim=True), ["nn.reshape", "nn.argmax", "nn.reshape"]),
    "argmin": (lambda x: x.argmin(-2, keepdim=True), ["nn.argmin"]),
    "var": (torch.var, ["nn.mean", "nn.sub", "nn.mul", "nn.sum", "nn.div", "nn.reshape"]),
    "any": (lambda x: (x > 1).any(-1), ["nn.gt", "nn.any"]),
    "all": (lambda x: (x > 1).all(), ["nn.gt", "nn.bitwise_not", "nn.any", "nn.bitwise_not"]),
    "norm_2": (lambda x: x.norm(dim=-1), ["nn.mul", "nn.sum", "nn.sqrt"]),
    "norm_1": (lambda x: x.norm(1, 0), ["nn.abs", "nn.sum"]),
    "norm_inf": (lambda x: torch.linalg.vector_norm(x, math.inf), ["nn.abs", "nn.max"]),
    "norm_0": (lambda x: torch.linalg.vector_norm(x.relu(), 0), ["nn.relu", "nn.ne", "nn.cast", "nn.sum"]),
    "norm_3": (lambda x: torch.linalg.vector_norm(x, 3), ["nn.abs", "nn.pow", "nn.sum", "nn.pow"]),
    "cumsum": (lambda x: x.cumsum(-1), ["nn.cumsum"]),
    "cumprod": (lambda x: x.cumprod(0), ["nn.cumprod"]),
    "cummax_values": (lambda x: x.cummax(1).values, ["nn.cummax"]),
    "softmax": (lambda x: x.softmax(1), ["nn.softmax"]),
    "log_softmax": (lambda x: x.log_softmax(-1), ["nn.log_softmax"]),
    "softmin": (lambda x: F.softmin(x, -1), ["nn.neg", "nn.softmax"]),
    "layer_norm": (lambda x: F.layer_norm(x, (3, 4)), ["nn.layer_norm"]),
    "rms_norm": (lambda x: F.rms_norm(x, (4,), torch.arange(4.0), 1e-3), ["nn.rms_norm"]),
}


@pytest.mark.parametrize("case", FLOATS)
def test_floats(case: str) -> None:
    function, ops = FLOATS[case]
    check(function, X, ops=ops)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x.var((0, 2), correction=0), x.std(1, keepdim=True), *torch.var_mean(x, correction=2)),
        lambda x: (x.logsumexp(1), x.logsumexp((0, 1), True), x.nansum(1), torch.count_nonzero(x, 1)),
        lambda x: (tuple(x.cummax(1)), tuple(x.cummin(-1)), x.logcumsumexp(1)),
        lambda x: (x.mean(dtype=torch.float32), x.mean((), keepdim=True), x.sum(()), x.sum(1, dtype=torch.float32)),
        lambda x: (F.normalize(x, dim=1), F.cosine_similarity(x, x.flip(1), dim=-1), torch.dist(x, x.flip(0), 1)),
        lambda x: torch.cdist(x, x.flip(1)),
    ],
)
def test_other_forms(function: Function) -> None:
    check(function, X)


def test_no_dims_is_a_tensor_of_one_element() -> None:
    x = torch.tensor(2.5)
    check(lambda x: (x.sum(0), x.max(0), x.argmax(0), x.cumsum(0), x.softmax(0), x.var(correction=0), x.sort()), x)
    check(lambda x: (x.cummax(0), x.logcumsumexp(0), x.all(), x.amax(0), x.topk(1), x.median()), x)


@pytest.mark.parametrize("x", [INTS, INTS.int(), INTS.to(torch.int8), BOOLS], ids=lambda x: str(x.dtype))
def test_integers(x: torch.Tensor) -> None:
    check(lambda x: (x.sum(), x.sum(1, keepdim=True), x.prod(2), x.cumsum(1), x.cumprod(-1), x.any(1), x.all()), x)
    check(lambda x: (x.amax(1), x.amin(), x.float().mean(0), x.sum(1, dtype=torch.float32)), x)
    if x.dtype != torch.bool:
        check(lambda x: (tuple(x.max(1)), x.min(), x.sort(stable=True), x.cummax(1), x.median(), x.argmax(2)), x)


def test_half_precision() -> None:
    check(
        lambda x: (x.sum(1), x.mean(), x.softmax(1), x.amax(1), F.layer_norm(x, (4,)), x.log_softmax(0)),
        X.half(),
        tolerance=2e-3,
    )


# ---- sorting ----


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dim", [0, -1])
def test_sort(dim: int, descending: bool) -> None:
    check(
        lambda x: (
            x.sort(dim=dim, descending=descending),
            x.argsort(dim, descending),
            x.sort(stable=True, dim=dim, descending=descending),
        ),
        X,
    )


def test_equal_elements_keep_their_order() -> None:
    check(lambda x: (x.sort(stable=True), x.sort(stable=True, descending=True)), torch.tensor([2, 1, 2, 0, 1, 2]))


def test_infinities_are_sorted() -> None:
    check(lambda x: (x.sort(stable=True), x.topk(4).values), torch.tensor([1.0, math.inf, -math.inf, 0.0, -math.inf]))
    check(lambda x: x.sort(stable=True), torch.tensor([1.0, math.nan, -math.inf, 2.0]))


@pytest.mark.parametrize("k", [1, 3, 9, 30])
@pytest.mark.parametrize("largest", [True, False])
def test_topk(k: int, largest: bool) -> None:
    x = torch.randperm(90, generator=SEED).reshape(3, 30)
    check(lambda x: (x.topk(k, largest=largest), x.mT.topk(k, dim=0, largest=largest)), x)
    check(lambda x: x.topk(k, largest=largest), x.float())


def test_order_statistics() -> None:
    check(lambda x: (x.median(), x.median(1), x.kthvalue(2, dim=0, keepdim=True), x.quantile(0.3, dim=1)), X)


def test_median_of_numbers() -> None:
    x = torch.tensor([[1.0, math.nan, 3.0, 2.0], [math.nan, 5.0, math.nan, 4.0], [1.0, 2.0, 3.0, 4.0]])
    check(lambda x: (x.nanmedian(1), x.nanmedian(), x.nanmedian(0, keepdim=True).values), x)


def test_places_in_sorted_rows() -> None:
    rows = torch.tensor([1.0, 2.0, 2.0, 3.0])
    x = torch.tensor([[0.0, 2.0], [2.5, 4.0]])
    check(lambda r, x: (torch.searchsorted(r, x), torch.searchsorted(r, x, right=True)), rows, x)
    check(lambda r, x: (torch.bucketize(x, r), torch.bucketize(x, r, right=True, out_int32=True)), rows, x)
    check(torch.searchsorted, rows.expand(2, 4).contiguous(), x)
    check(lambda r: (torch.searchsorted(r, 2.0), torch.searchsorted(r, 2.5, side="right")), rows)


def test_long_rows_are_refused() -> None:
    with pytest.raises(
        UnsupportedOpError, match=r"aten\.sort\.default \(along 2000 elements; up to 1024 are supported\)"
    ):
        module_of(torch.sort, torch.zeros(2000))


# ---- norms ----


def test_group_norm() -> None:
    check(lambda x: F.group_norm(x, 3, WEIGHT, BIAS), IMAGE, ops=["nn.group_norm"])
    check(lambda x: F.group_norm(x, 2, None, BIAS), IMAGE, ops=["nn.group_norm"])


def test_instance_norm() -> None:
    check(lambda x: F.instance_norm(x, weight=WEIGHT, bias=BIAS), IMAGE, ops=["nn.group_norm"])
    check(lambda x: F.instance_norm(x, WEIGHT, BIAS.abs(), use_input_stats=False), IMAGE, ops=["nn.batch_norm"])


def test_batch_norm_by_the_batch() -> None:
    check(lambda x: F.batch_norm(x, None, None, WEIGHT, BIAS, training=True), IMAGE)


def test_norms_give_their_statistics_where_used() -> None:
    check(lambda x: torch.native_layer_norm(x, (4,), None, None, 1e-5), X)
    check(lambda x: torch.native_group_norm(x, WEIGHT, BIAS, 2, 6, 25, 3, 1e-5), IMAGE)


# ---- attention ----

Q, K, V = (torch.randn(2, 4, n, 8, generator=SEED) for n in (5, 7, 7))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": torch.randn(5, 7, generator=SEED)},
        {"attn_mask": torch.randn(2, 1, 5, 7, generator=SEED)},
        {"attn_mask": torch.rand(2, 1, 5, 7, generator=SEED) > 0.5},
        {"attn_mask": torch.zeros(5, 7, dtype=torch.bool)},
    ],
    ids=lambda a: ",".join(a),
)
def test_sdpa(arguments: dict[str, object]) -> None:
    function = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **arguments)  # noqa: E731
    mask = arguments.get("attn_mask")
    is_bool = isinstance(mask, torch.Tensor) and mask.dtype == torch.bool
    check(function, Q, K, V, ops=["nn.where", "nn.sdpa"] if is_bool else ["nn.sdpa"])
    check(function, Q.half(), K.half(), V.half(), tolerance=2e-3)


def test_mask_that_is_an_input_is_added() -> None:
    mask = torch.rand(5, 7, generator=SEED) > 0.5
    check(F.scaled_dot_product_attention, Q, K, V, mask, ops=["nn.where", "nn.sdpa"])


@pytest.mark.parametrize("mask", [None, (5, 7), (2, 1, 5, 7), (2, 4, 5, 7)])
def test_grouped_queries(mask: tuple[int, ...] | None) -> None:
    added = None if mask is None else torch.randn(mask, generator=SEED)
    check(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, added, enable_gqa=True),
        Q,
        K[:, :2].clone(),
        V[:, :2].clone(),
    )


def test_dropout_is_refused() -> None:
    with pytest.raises(UnsupportedOpError, match="with dropout"):
        module_of(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.5), Q, K, V)


# ---- whole layers ----


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.MultiheadAttention(8, 2, batch_first=True), (2, 5, 8)),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
        (nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, activation="gelu"), (5, 2, 8)),
        (nn.LSTM(8, 6, num_layers=2, bidirectional=True), (5, 2, 8)),
        (nn.GRU(8, 6, batch_first=True), (2, 5, 8)),
        (nn.RNN(8, 6), (5, 2, 8)),
        (nn.LSTMCell(8, 6), (2, 8)),
    ],
    ids=lambda v: type(v).__name__,
)
def test_layers(layer: nn.Module, shape: tuple[int, ...]) -> None:
    layer.eval()
    x = torch.randn(shape, generator=SEED)
    arguments = (x, x, x) if isinstance(layer, nn.MultiheadAttention) else (x,)
    with torch.no_grad():
        check(lambda *inputs: layer(*inputs), *arguments)


def test_transformer_is_kept_whole() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    ops = ops_of(module_of(lambda x: layer(x), torch.randn(2, 5, 8)))
    assert ops.count("nn.sdpa") == 1 and ops.count("nn.layer_norm") == 2
