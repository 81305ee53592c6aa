"""What our command line tools print: tables, notes, progress on a terminal, and files written whole or not at all."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from swkpu.errors import InputError
from swkpu.files import write_whole

PIPE_WIDTH = 160
"""Columns of a table where there is no terminal: enough that nothing of ours is cut."""


def note(text: str) -> None:
    """Something the user should know, where it does not disturb the output."""
    print(f"note: {text}", file=sys.stderr)


# ---- progress ------------------------------------------------------------------------------------------------------


class Progress(Protocol):
    def __call__(self, step: str) -> None: ...


@contextmanager
def progress(steps: int | None = None) -> Generator[Progress]:
    """A callable that announces the next step: a bar on a terminal's standard error (one that only moves, where the
    number of steps is not known), nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=steps)
        started = False

        def announce(step: str) -> None:
            nonlocal started
            bar.update(task, description=step, advance=int(started))
            started = True

        yield announce


# ---- tables --------------------------------------------------------------------------------------------------------


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
    """A table on standard output; `right` names the columns of numbers."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().strip("\n").splitlines()))


def prepare() -> None:
    """What every tool does first, before torch is imported.

    Torch's threads do not spin while they wait: on a machine that does something else too, many small operations would
    take ten times as long. What the terminal's encoding lacks is replaced, rather than an error.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and (stream.encoding or "").lower().replace("-", "") != "utf8":
            reconfigure(errors="replace")


# ---- files ---------------------------------------------------------------------------------------------------------


def json_text(value: Any) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write_json(value: Any, where: str) -> None:
    """To a file, or to standard output for `-`."""
    if where == "-":
        sys.stdout.write(json_text(value))
    else:
        write_file(Path(where), json_text(value).encode())


def check_folders(*paths: Path | str | None) -> None:
    """Raise InputError, before any long work, where a file cannot be written for want of its folder."""
    for path in paths:
        if path is not None and path != "-" and not Path(path).parent.is_dir():
            raise InputError(f"cannot write {path}: there is no folder {Path(path).parent}")


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises InputError."""
    write_whole(path, [data], InputError)
