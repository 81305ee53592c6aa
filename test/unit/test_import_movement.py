"""Import of data movement: views, parts, joins, indices and scatters give torch's values on every type."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from imports import check, module_of

from swkpu.errors import ModelError, UnsupportedOpError

SEED = torch.Generator().manual_seed(1)
X = torch.randn(4, 6, 5, generator=SEED)
I = torch.tensor([[0, 2, 1], [5, 0, 3]])  # noqa: E741
J = torch.tensor([1, -1, 0])
MASK = torch.tensor([True, False, True, True, False, True])

Function = Callable[..., object]

MOVED: dict[str, tuple[Function, list[str] | None]] = {
    "expand": (lambda x: x[:, :1].expand(4, 3, 5), ["nn.slice", "nn.expand"]),
    "expand_new_dims": (lambda x: x.expand(2, 4, 6, 5), ["nn.reshape", "nn.expand"]),
    "repeat": (lambda x: x.repeat(2, 1, 3), ["nn.reshape", "nn.expand", "nn.reshape"]),
    "tile": (lambda x: x.tile(2), ["nn.reshape", "nn.expand", "nn.reshape"]),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 1), ["nn.reshape", "nn.expand", "nn.reshape"]),
    "slice": (lambda x: x[1:, -4:-1:2], ["nn.slice", "nn.slice"]),
    "slice_beyond": (lambda x: x[-9:2, 3:99], ["nn.slice", "nn.slice"]),
    "select": (lambda x: x[:, -1], ["nn.slice", "nn.reshape"]),
    "narrow": (lambda x: x.narrow(-1, 1, 3), ["nn.slice"]),
    "chunk": (lambda x: x.chunk(4, 1)[1], ["nn.slice"]),
    "split": (lambda x: x.split([1, 2, 2], -1), ["nn.slice", "nn.slice", "nn.slice"]),
    "tensor_split": (lambda x: x.tensor_split(3, 0)[2], ["nn.slice"]),
    "unbind": (lambda x: x.unbind(1)[4], ["nn.slice", "nn.reshape"]),
    "cat": (lambda x: torch.cat([x, x, torch.empty(0)], -2), ["nn.concat"]),
    "stack": (lambda x: torch.stack([x, x], -1), ["nn.reshape", "nn.reshape", "nn.concat"]),
    "roll": (lambda x: x.roll((1, -2), (0, 2)), ["nn.slice", "nn.slice", "nn.concat"] * 2),
    "roll_flat": (lambda x: x.roll(7), ["nn.reshape", "nn.slice", "nn.slice", "nn.concat", "nn.reshape"]),
    "flip": (lambda x: x.flip(-1, 0), ["nn.flip"]),
    "rot90": (lambda x: x.rot90(1, (0, 1)), ["nn.flip", "nn.permute"]),
    "movedim": (lambda x: x.movedim(0, -1), ["nn.permute"]),
    "swapaxes": (lambda x: x.swapaxes(0, 1), ["nn.permute"]),
    "unfold": (lambda x: x.unfold(1, 3, 2), ["nn.take", "nn.permute"]),
    "diagonal": (lambda x: x.diagonal(-1, 1, 2), ["nn.reshape", "nn.slice"]),
    "diag_embed": (torch.diag_embed, ["nn.reshape", "nn.where"]),
    "tril": (lambda x: x.tril(1), ["nn.where"]),
    "triu": (lambda x: x.triu(-1), ["nn.where"]),
    "select_scatter": (lambda x: torch.select_scatter(x, x[:, 0], 1, -2), None),
    "slice_scatter": (lambda x: torch.slice_scatter(x, x[:, :2], 1, 1, 6, 3), ["nn.slice", "nn.insert_slice"]),
    "diagonal_scatter": (lambda x: torch.diagonal_scatter(x, x[:, :4, 0], 1, 1, 2), None),
    "in_place_slice": (lambda x: (x.clone()[:, 1:3].fill_(2), x.clone())[1], []),
    "as_strided": (lambda x: x.contiguous().as_strided((3, 2), (1, 7), 2), ["nn.reshape", "nn.take"]),
    "as_strided_of_permuted": (lambda x: x.permute(2, 0, 1).as_strided((4, 30), (30, 1)), None),
    "as_strided_scatter": (lambda x: torch.as_strided_scatter(x, x[0, :3, :2], (3, 2), (1, 7), 2), None),
    "im2col": (lambda x: F.unfold(x[None], (2, 3), padding=1), None),
    "col2im": (lambda x: F.fold(x.reshape(1, 4 * 6, 5), (2, 5), (2, 1)), None),
    "meshgrid": (lambda x: torch.meshgrid(x[0, 0], x[0, :, 0], indexing="xy")[0], None),
    "assign_slice": (lambda x: _assigned(x), None),
}


def put(x: torch.Tensor, key: object, value: object) -> torch.Tensor:
    y = x.clone()
    y[key] = value
    return y


def _assigned(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[:, 1:5:2] = 3.0
    y[0] = x[1]
    return y


@pytest.mark.parametrize("case", MOVED)
def test_moved(case: str) -> None:
    function, ops = MOVED[case]
    check(function, X, ops=ops, tolerance=1e-6)


INDEXED: dict[str, tuple[Function, list[str] | None]] = {
    "one": (lambda x: x[:, I], ["nn.take"]),
    "even": (lambda x: x[:, torch.tensor([1, 3, 5])], ["nn.slice"]),
    "backwards": (lambda x: x[:, torch.arange(5, -1, -1)], ["nn.take"]),
    "outer": (lambda x: x[:, I[:, :, None], torch.tensor([3, 1])], ["nn.take", "nn.reshape", "nn.take"]),
    "joined": (lambda x: x[:, I, J], ["nn.reshape", "nn.take"]),
    "apart": (lambda x: x[J, :, I % 5], None),
    "all": (lambda x: x[J, I, J], ["nn.reshape", "nn.take"]),
    "negative": (lambda x: x[torch.tensor([-1, -4])], ["nn.take"]),
    "none": (lambda x: x[None, :, None], None),
    "index_select": (lambda x: x.index_select(-2, torch.tensor([5, 0])), ["nn.take"]),
    "take": (lambda x: x.take(torch.tensor([[9, 2]])), ["nn.reshape", "nn.take", "nn.reshape"]),
    "gather": (lambda x: x.gather(1, torch.ones(2, 3, 4, dtype=torch.int64)), ["nn.gather"]),
    "take_along_dim": (lambda x: torch.take_along_dim(x, x.argmax(1, keepdim=True), 1), None),
    "index_put": (lambda x: x.index_put((J, I), torch.zeros(())), None),
    "index_put_even": (
        lambda x: put(x, (slice(None), torch.tensor([0, 2])), x[:, :2]),
        None,
    ),
    "index_put_twice": (lambda x: x.index_put((torch.tensor([0, 2, 0]),), x[1:]), None),
    "index_add": (lambda x: x.index_add(1, torch.tensor([0, 2, 0]), x[:, :3]), None),
    "index_copy": (lambda x: x.index_copy(1, torch.tensor([4, 0, 2]), x[:, :3]), None),
    "index_fill": (lambda x: x.index_fill(2, torch.tensor([4, 0]), 7.0), None),
    "put": (lambda x: x.put(torch.tensor([3, -1]), x[0, 0, :2]), None),
}


@pytest.mark.parametrize("case", INDEXED)
def test_indexed(case: str) -> None:
    function, ops = INDEXED[case]
    check(function, X, ops=ops, tolerance=1e-6)


RUNTIME: dict[str, tuple[Function, torch.Tensor]] = {
    "index": (lambda x, i: x[:, i], I),
    "negative": (lambda x, i: x[i], J),
    "several": (lambda x, i: x[i, :, i], J),
    "int32": (lambda x, i: x.index_select(1, i), torch.tensor([3, 3, 0], dtype=torch.int32)),
    "embedding": (lambda x, i: F.embedding(i, x[0]), I),
    "gather": (lambda x, i: x.gather(2, i.expand(4, 2, 3) % 5), I),
    "one_hot": (lambda x, i: F.one_hot(i, 6) * x[0, 0, 0], I),
    "index_put": (lambda x, i: x.index_put((i,), x[:3] + 1), J),
    "index_add": (lambda x, i: x.index_add(0, i % 4, x[:3]), J),
    "scatter": (lambda x, i: x.scatter(1, i.expand(2, 2, 3), x[2:, 1:3, :3]), I),
    "scatter_value": (lambda x, i: x.scatter(1, i.expand(2, 2, 3), 9.0), I),
    "scatter_add": (lambda x, i: x.scatter_add(1, i.expand(2, 2, 3), x), I),
    "scatter_amax": (lambda x, i: x.scatter_reduce(1, i.expand(2, 2, 3), x, "amax", include_self=False), I),
    "scatter_mean": (lambda x, i: x.scatter_reduce(1, i.expand(2, 2, 3), x, "mean"), I),
    "masked_fill": (lambda x, m: x.masked_fill(m[None, :, None], 0.5), MASK),
    "mask_put_one": (lambda x, m: put(x, (slice(None), m), 2.0), MASK),
    "mask_put_many": (lambda x, m: put(x, (slice(None), m), x[:, :4] * 2), MASK),
    "masked_scatter": (lambda x, m: x.masked_scatter(m[None, :, None], x.flip(0)), MASK),
    "embedding_bag": (lambda x, i: F.embedding_bag(i.flatten(), x[0], torch.tensor([0, 4]), mode="mean"), I),
    "embedding_bag_max": (lambda x, i: F.embedding_bag(i, x[0], mode="max"), I),
}


@pytest.mark.parametrize("case", RUNTIME)
def test_run_time_indices(case: str) -> None:
    function, index = RUNTIME[case]
    check(function, X, index, tolerance=1e-5)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.int8, torch.int32, torch.int64, torch.bool, torch.uint8]
)
def test_every_type(dtype: torch.dtype) -> None:
    x = (X * 50).abs().to(dtype)
    functions: list[Function] = [
        lambda x: torch.cat([x.flip(0), x[:, 1:3]], 1),
        lambda x: x[:, I],
        lambda x: F.pad(x, (1, 2, 0, 1)),
        lambda x: x.roll(1, 0).unsqueeze(1).expand(4, 2, 6, 5),
        lambda x: torch.slice_scatter(x, x[:, :2], 1, 1, 3),
        lambda x: x.scatter(1, I.expand(2, 2, 3), x),
        lambda x: x.index_put((J,), x[:3]),
    ]
    for function in functions:
        check(function, x, tolerance=0)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda x: x[x > 0], ModelError),
        (lambda x: torch.view_as_complex(x[:, :, :2].contiguous()).real, UnsupportedOpError),
        (lambda x: x.view(torch.int32) + 1, UnsupportedOpError),
        (lambda x: x.index_put((torch.zeros(1 << 14, dtype=torch.int64),), x[:1].sum()), UnsupportedOpError),
    ],
)
def test_refused(function: Function, error: type[Exception]) -> None:
    with pytest.raises(error):
        module_of(function, X if error is ModelError else X.expand(1 << 14, 4, 6, 5)[..., :2].contiguous())
