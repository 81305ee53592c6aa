"""torch.compile with the backend swkpu: its results, when it compiles again, and what it refuses."""

import inspect
from collections.abc import Callable, Iterator

import pytest
import torch
import torch._dynamo
from torch import nn

import swkpu
from swkpu.dynamo import Piece
from swkpu.errors import ModelError, UnsupportedOpError

FP32 = {"precision": "fp32"}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    with torch.no_grad():
        yield


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Piece]:
    """The graphs that are compiled, one entry each time."""
    seen: list[Piece] = []
    original = Piece.compiled

    def spy(self: Piece, args: tuple[object, ...]) -> Callable[..., object]:
        seen.append(self)
        return original(self, args)

    monkeypatch.setattr(Piece, "compiled", spy)
    return seen


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 4)
        self.register_buffer("scale", torch.full((4,), 2.0))

    def forward(self, x: torch.Tensor) -> dict[str, object]:
        return {"y": self.head(self.body(x).mean((2, 3))) * self.scale, "none": None, "size": x.shape[0]}


def image(batch: int) -> torch.Tensor:
    return torch.randn(batch, 3, 8, 8, generator=torch.Generator().manual_seed(batch))


def test_result_is_that_of_compile(compiled: list[Piece]) -> None:
    model, x = Net().eval(), image(2)
    fast = torch.compile(model, backend="swkpu", options=FP32)
    for _ in range(2):
        result = fast(x)
    assert result["none"] is None and result["size"] == 2
    assert torch.equal(result["y"], swkpu.compile(model, (x,), **FP32)(x)["y"])
    torch.testing.assert_close(result["y"], model(x)["y"])
    assert len(compiled) == 1


def test_layers_have_the_model_s_names(monkeypatch: pytest.MonkeyPatch) -> None:
    executables: list[swkpu.Executable] = []
    original = swkpu.compiler.compile

    def spy(*args: object, **kwargs: object) -> swkpu.Executable:
        executables.append(original(*args, **kwargs))
        return executables[-1]

    spy.__signature__ = inspect.signature(original)
    monkeypatch.setattr("swkpu.compiler.compile", spy)
    torch.compile(Net().eval(), backend="swkpu", options=FP32)(image(1))
    assert "body.0" in [layer.name for layer in executables[0].report.layers]


def test_other_shapes_compile_again(compiled: list[Piece]) -> None:
    model = Net().eval()
    fast = torch.compile(model, backend="swkpu", options=FP32)
    for batch in (1, 2, 3, 5, 3):
        x = image(batch)
        result = fast(x)
        assert result["size"] == batch
        torch.testing.assert_close(result["y"], model(x)["y"])
    assert len(compiled) == 4


def test_changed_parameters_are_seen(compiled: list[Piece]) -> None:
    model, x = Net().eval(), image(2)
    fast = torch.compile(model, backend="swkpu", options=FP32)
    before = fast(x)["y"]
    model.head.weight.mul_(3)
    after = fast(x)["y"]
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, model(x)["y"])
    model.scale = torch.ones(4)
    torch.testing.assert_close(fast(x)["y"], model(x)["y"])
    assert len(compiled) == 3


def test_graph_breaks(compiled: list[Piece]) -> None:
    first, second = nn.Linear(4, 4).eval(), nn.Linear(4, 4).eval()
    printed: list[float] = []

    def f(x: torch.Tensor) -> torch.Tensor:
        y = first(x).relu()
        printed.append(float(y.sum()))
        return second(y) if printed[-1] > 0 else y

    x = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    result = torch.compile(f, backend="swkpu", options=FP32)(x)
    torch.testing.assert_close(result, f(x))
    assert len(compiled) == 2


def test_inputs_changed_in_place() -> None:
    def f(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        y.add_(x)
        x[:, :2] = 0
        return x * y

    x, y = torch.randn(2, 4), torch.randn(2, 4)
    a, b = x.clone(), y.clone()
    result = torch.compile(f, backend="swkpu", options=FP32)(x, y)
    torch.testing.assert_close(result, f(a, b))
    assert torch.equal(x, a) and torch.equal(y, b)


def test_graphs_of_numbers_only_are_left_to_torch(compiled: list[Piece]) -> None:
    fast = torch.compile(lambda x, n: x.shape[0] * n, backend="swkpu", dynamic=True)
    assert fast(torch.zeros(3, 2), 4) == 12
    assert not compiled


def test_numbers_among_the_inputs(compiled: list[Piece]) -> None:
    fast = torch.compile(lambda x, n: x * n, backend="swkpu", dynamic=True, options=FP32)
    x = torch.randn(3, 2)
    for n in (2, 3, 2):
        torch.testing.assert_close(fast(x, n), x * n)
    assert len(compiled) == 2


def test_gradients_are_refused() -> None:
    fast = torch.compile(Net().eval(), backend="swkpu", options=FP32)
    with torch.enable_grad(), pytest.raises(ModelError, match=r"call the compiled model under torch\.no_grad"):
        fast(image(1))


def test_inference_mode() -> None:
    model, x = Net().eval(), image(1)
    with torch.inference_mode():
        torch.testing.assert_close(torch.compile(model, backend="swkpu", options=FP32)(x)["y"], model(x)["y"])


def test_unsupported_operators_are_named() -> None:
    fast = torch.compile(torch.special.bessel_j0, backend="swkpu")
    with pytest.raises(UnsupportedOpError, match=r"Unsupported operators: aten.special_bessel_j0.default"):
        fast(torch.randn(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"taget": "x"}}, r"no option 'taget'; it has target, precision, profile"),
        ({"mode": "reduce-overhead"}, "no mode 'reduce-overhead'"),
    ],
)
def test_wrong_options(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match=message):
        torch.compile(lambda x: x + 1, backend="swkpu", **arguments)(torch.zeros(2))
