"""Data to calibrate with: a folder of images, `.npy` and `.npz` files, and made-up samples of the zoo's models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swkpu.errors import CalibrationError, InputError
from swkpu.images import SUFFIXES, load_image
from swkpu.quant.samples import ModelInput, batch_of

Array = np.ndarray[Any, np.dtype[Any]]

ACCEPTED = "expected a folder of images, a .npy or .npz file of samples, a calibration's .json, or synthetic[:N]"
SYNTHETIC = re.compile(r"synthetic(?::(?P<count>.*))?")
SYNTHETIC_SAMPLES = 100


@dataclass(frozen=True)
class Samples:
    """Samples that can be read once or more: `count` of them, each a dict by input of arrays with a first dim of 1."""

    count: int
    read: Callable[[int], Any]
    """The sample of a number, as `swkpu.quant.samples.runs` takes it."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return map(self.read, range(self.count))

    def first(self, count: int | None) -> Samples:
        """No more than this many. Raises CalibrationError where there are fewer."""
        if count is None:
            return self
        if not 0 < count <= self.count:
            raise CalibrationError(f"asked for {count} samples of {self.count}; expected from 1 to {self.count}")
        return Samples(count, self.read)


def open_samples(source: str, inputs: Sequence[ModelInput], zoo_name: str | None = None) -> Samples:
    """The samples that a text names, for a module of these inputs.

    zoo_name  the model's name, where it is one of the zoo's; `synthetic` is for those

    Raises CalibrationError.
    """
    if match := SYNTHETIC.fullmatch(source):
        return _synthetic(match["count"], inputs, zoo_name)
    path = Path(source)
    if path.is_dir():
        return _images(path, inputs)
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".npz"):
        raise CalibrationError(f"{source} is no calibration data; {ACCEPTED}")
    if not path.is_file():
        raise CalibrationError(f"there is no file {source}; {ACCEPTED}")
    return _arrays(path, inputs)


# ---- images --------------------------------------------------------------------------------------------------------


def _images(folder: Path, inputs: Sequence[ModelInput]) -> Samples:
    """All images in a folder and those inside it, sorted by path."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise CalibrationError(f"there are no images in {folder}; expected {', '.join(SUFFIXES)} files")
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] != 3:
        takes = ", ".join(map(str, inputs))
        raise CalibrationError(f"images fit a model of one input [N, 3, height, width]; this one takes {takes}")
    shape = (1, *inputs[0].shape[1:])

    def read(index: int) -> Array:
        try:
            return load_image(paths[index], shape)
        except InputError as error:
            raise CalibrationError(str(error)) from None

    return Samples(len(paths), read)


# ---- arrays --------------------------------------------------------------------------------------------------------


def _arrays(path: Path, inputs: Sequence[ModelInput]) -> Samples:
    """Arrays whose first dim counts samples: one for the only input, or those of an `.npz` by the inputs' names."""
    arrays = _by_input(path, _read(path), inputs)
    counts = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(counts.values())) != 1:
        text = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise CalibrationError(f"{path}: the first dim of all arrays is the number of samples, but they differ: {text}")
    single = batch_of(inputs) is None  # without a batch in common, a sample is a whole run

    def read(index: int) -> dict[str, Array]:
        at = index if single else slice(index, index + 1)
        return {name: np.asarray(array[at]) for name, array in arrays.items()}

    return Samples(next(iter(counts.values())), read)


def _by_input(path: Path, arrays: dict[str, Array], inputs: Sequence[ModelInput]) -> dict[str, Array]:
    names = [x.name for x in inputs]
    if len(inputs) == len(arrays) == 1:
        return {names[0]: next(iter(arrays.values()))}
    has = ", ".join(arrays) or "none"
    for name in names:
        if name not in arrays:
            raise CalibrationError(f"{path} has no array '{name}'; it has {has}, and the inputs are {', '.join(names)}")
    for name in arrays:
        if name not in names:
            raise CalibrationError(f"{path}: unknown input '{name}'; the inputs are {', '.join(names)}")
    return {name: arrays[name] for name in names}


def _read(path: Path) -> dict[str, Array]:
    """The arrays of an `.npz`, or that of an `.npy`, which stays on disk, as "array"."""
    try:
        if path.suffix.lower() == ".npy":
            return {"array": np.load(path, mmap_mode="r", allow_pickle=False)}
        with np.load(path, allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files}
    except Exception as error:  # OSError, ValueError, EOFError, BadZipFile, zlib.error ... by what is broken
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CalibrationError(f"cannot read samples from {path}: {reason}") from None


# ---- made-up samples -----------------------------------------------------------------------------------------------


def _synthetic(count: str | None, inputs: Sequence[ModelInput], zoo_name: str | None) -> Samples:
    """The zoo's example inputs with other seeds than the example's own."""
    from swkpu import zoo

    if zoo_name is None or zoo_name not in zoo.names():
        raise CalibrationError(f"synthetic samples are for models of the zoo; for others, {ACCEPTED}")
    batch = batch_of(inputs) or 1
    if count is not None and not (count.isdecimal() and int(count) > 0):
        raise CalibrationError(f"synthetic:{count}: expected a whole number of samples from 1, such as synthetic:100")
    samples = int(count) if count is not None else -(-SYNTHETIC_SAMPLES // batch) * batch
    shape = (1, *inputs[0].shape[1:]) if len(inputs) == 1 else None

    def read(index: int) -> tuple[Any, ...]:
        return zoo.example_inputs(zoo_name, 1, index + 1, shape)

    return Samples(samples, read)
