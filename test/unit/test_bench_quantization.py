"""The benchmarks of quantization: what they count, and when a goal is missed."""

import torch

from benchmarks.quantization import digits
from benchmarks.quantization.data import SHAPES, Images, shapes
from benchmarks.quantization.networks import SmallCnn
from benchmarks.quantization.signal import arrays, named
from benchmarks.quantization.training import correct, train


def test_shapes_depend_on_the_seed_only():
    first, again, other = shapes(8, 3), shapes(8, 3), shapes(8, 4)
    assert torch.equal(first.images, again.images) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.images, other.images)
    assert first.images.shape == (8, 3, 64, 64) and set(shapes(120, 0).labels.tolist()) == set(range(SHAPES))


def test_all_images_count_once_and_fillers_never():
    """A model that says the truth about each image, which has its label in it."""
    count = 2 * digits.BATCH + 7
    labels = torch.arange(count) % 10
    images = Images(labels.float().reshape(-1, 1, 1, 1).expand(count, 1, 8, 8), labels)
    seen: list[int] = []

    def run(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return torch.nn.functional.one_hot(x[:, 0, 0, 0].long(), 10).float()

    assert digits.score(run, images) == count
    assert digits.score(lambda x: [run(x).roll(1, 1)], images) == 0
    assert set(seen) == {digits.BATCH}


def test_goals():
    met = {"int8": 0.5, "int4": 2.0, "pt2e": 0.2}
    assert digits.missed(met, 0) == []
    assert digits.missed({**met, "int8": 0.51}, 0) == [
        "int8 loses 0.51 points, accepted are 0.5",
        "int8 loses 0.31 points more than PyTorch's",
    ]
    assert digits.missed({**met, "int4": 2.25}, 0) == ["int4 loses 2.25 points, accepted are 2.0"]
    assert digits.missed(met, 3) == ["3 outputs of the binary differ from the nn level"]


def test_training_is_the_same_every_time():
    data = Images(torch.rand(64, 1, 8, 8), torch.arange(64) % 10)
    first, second = (train(SmallCnn, data, 1, seed=5) for _ in range(2))
    assert torch.equal(first(data.images), second(data.images)) and not first.training


def test_correct():
    assert correct(torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 1, 1])) == 2


def test_outputs_that_are_compared():
    floats = arrays(
        {"a": torch.ones(2), "b": (torch.zeros(1, dtype=torch.int64), None, torch.ones(1, dtype=torch.half))}
    )
    assert [a.dtype.name for a in floats] == ["float32", "float32"]


def test_names():
    assert named("a,b", ("a", "b", "c")) == ["a", "b"]
