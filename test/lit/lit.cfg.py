"""IR tests: each `// RUN:` line is a shell command over the tools of this checkout's environment.

Run them with `make lit`, or some of them with `.venv/bin/lit -v test/lit/passes`.
"""

import os
import sys
from pathlib import Path

import lit.formats

config.name = "swkpu"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.excludes = ["Inputs"]
config.test_source_root = str(Path(__file__).resolve().parent)

ROOT = Path(config.test_source_root).parents[1]
# Lit runs from an environment; the tools are beside it. Without that (another lit), those of the checkout.
BIN = Path(sys.executable).parent
if not (BIN / "swkpu-opt").exists():
    BIN = ROOT / ".venv" / "bin"

config.environment["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
for name in ("swkpu-opt", "swkpu-translate", "swkpu-run", "filecheck"):
    # Whole words only: not part of a longer name, an option, or a path. (`swkpu` itself is also a Python package's name
    # and is found through PATH.)
    config.substitutions.append((rf"(?<![\w./-]){name}(?![\w./-])", str(BIN / name)))
config.substitutions.append(("%python", str(BIN / "python")))
config.substitutions.append(("%root", str(ROOT)))
config.substitutions.append(("%inputs", str(Path(config.test_source_root) / "Inputs")))
