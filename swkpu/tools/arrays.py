"""Arrays in and out of the command line tools: `.npy`, `.npz` and image files, and made-up inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from swkpu.errors import InputError
from swkpu.images import SUFFIXES, load_image
from swkpu.program.model import DType

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class InputSpec:
    """What a program or module takes."""

    name: str
    shape: tuple[int, ...]
    dtype: DType


def read_inputs(path: Path, specs: Sequence[InputSpec]) -> dict[str, Array]:
    """The inputs in a file, by name: an array for the only input, or an `.npz` of arrays by name. Raises InputError."""
    if path.suffix.lower() == ".npz":
        return _by_name(path, _read(path), specs)
    if len(specs) != 1:
        names = ", ".join(s.name for s in specs) or "none"
        raise InputError(f"{path} holds one array, and there are {len(specs)} inputs ({names}): give an .npz of all")
    if path.suffix.lower() in SUFFIXES:
        return {specs[0].name: load_image(path, specs[0].shape)}
    if path.suffix.lower() != ".npy":
        raise InputError(f"{path}: expected a .npy, .npz or image file ({', '.join(SUFFIXES)})")
    return {specs[0].name: _read(path)[""]}


def _by_name(path: Path, arrays: dict[str, Array], specs: Sequence[InputSpec]) -> dict[str, Array]:
    """An `.npz` with one array serves a single input, whatever its name is."""
    if len(specs) == 1 and len(arrays) == 1:
        return {specs[0].name: next(iter(arrays.values()))}
    known = [s.name for s in specs]
    for name in known:
        if name not in arrays:
            raise InputError(f"{path} has no array '{name}'; it has {', '.join(arrays) or 'none'}")
    for name in arrays:
        if name not in known:
            raise InputError(f"{path}: unknown input '{name}'; the inputs are {', '.join(known)}")
    return {name: arrays[name] for name in known}


def _read(path: Path) -> dict[str, Array]:
    """The arrays of a `.npz`, or that of a `.npy` as ""."""
    try:
        with open(path, "rb") as file:
            loaded: Any = np.load(file, allow_pickle=False)
            return {"": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except Exception as error:  # OSError, ValueError, EOFError, BadZipFile, zlib.error ... by what is broken
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"cannot read arrays from {path}: {reason}") from None


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write an `.npz`; types that numpy's format lacks, such as bf16, as float32. Raises InputError."""
    from swkpu.tools.console import write_file

    plain = {name: a if a.dtype.kind in "biuf" else a.astype(np.float32) for name, a in arrays.items()}
    data = BytesIO()
    np.savez(data, **plain)  # pyright: ignore[reportArgumentType]
    write_file(path, data.getvalue())


def random_inputs(specs: Sequence[InputSpec], seed: int = 0) -> dict[str, Array]:
    """Normal numbers that depend on the seed and each input's name; zeros, valid as any index, for other types."""
    from swkpu.types import numpy_dtype

    out: dict[str, Array] = {}
    for spec in specs:
        dtype = numpy_dtype(spec.dtype)
        if spec.dtype.is_float:
            generator = np.random.default_rng([seed, crc32(spec.name.encode())])
            out[spec.name] = generator.standard_normal(spec.shape, dtype=np.float32).astype(dtype)
        else:
            out[spec.name] = np.zeros(spec.shape, dtype)
    return out
