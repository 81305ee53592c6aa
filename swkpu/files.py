"""Writing files whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from swkpu.errors import SwkpuError

Chunk = bytes | memoryview


def write_whole(path: str | os.PathLike[str], chunks: Iterable[Chunk], error: type[SwkpuError]) -> None:
    """Write a file through a temporary one beside it, so that it appears under its name only when complete.

    A failure leaves nothing behind. What is not a regular file, such as /dev/null, is written to, never replaced.
    Raises `error`, with the path and the system's reason, where that cannot be done.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            _write(target, chunks, "wb")
            return
        temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")
        try:
            _write(temporary, chunks, "xb")
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as e:
        raise error(f"cannot write {path}: {e.strerror or e}") from None


def _write(path: Path, chunks: Iterable[Chunk], mode: str) -> None:
    with open(path, mode) as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        if path.is_file():
            os.fsync(file.fileno())
