"""Python environments with the tools of others: pinned, made on demand, and never part of ours.

Each is a venv in `benchmarks/.envs/NAME` with exactly what `requirements/NAME.txt` says. Scripts in `inside/` run
there; they know nothing of ours, take one JSON value and answer with another.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from swkpu.errors import InputError
from swkpu.tools.console import note

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".envs"
REQUIREMENTS = HERE / "requirements"
INSIDE = HERE / "inside"
STAMP = "requirements.sha256"
LAST_LINES = 15
"""How much of a failed command's output an error shows."""


def environment(name: str, root: Path = ENVIRONMENTS) -> Path:
    """The folder of the programs of an environment, which is built where it is missing or its pins have changed.

    Raises InputError where a package cannot be installed, with the installer's reason.
    """
    requirements = REQUIREMENTS / f"{name}.txt"
    folder, wanted = root / name, sha256(requirements.read_bytes()).hexdigest()
    stamp = folder / STAMP
    if not stamp.is_file() or stamp.read_text() != wanted:
        note(f"installing {requirements.name} in {folder}, once")
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(folder)])
        install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*install, "--no-deps", "-r", str(requirements)])
        stamp.write_text(wanted)
    return folder / "bin"


def run(command: list[str], cwd: Path | None = None) -> str:
    """Run a program; what it printed. Raises InputError with the end of its output where it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode != 0:
        shown = "\n".join((done.stdout + done.stderr).strip().splitlines()[-LAST_LINES:])
        raise InputError(f"{Path(command[0]).name} {' '.join(command[1:3])} failed ({done.returncode}):\n{shown}")
    return done.stdout


def ask(name: str, script: str, question: Any) -> Any:
    """Run `inside/SCRIPT.py` in an environment. It reads its question from a file and writes its answer to another."""
    bin_ = environment(name)
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "question.json", Path(folder) / "answer.json"
        asked.write_text(json.dumps(question))
        run([str(bin_ / "python"), str(INSIDE / f"{script}.py"), str(asked), str(answered)], Path(folder))
        return json.loads(answered.read_text())
