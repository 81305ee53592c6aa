"""swkpu: a compiler toolchain and simulator for the Stillwater KPU.

```python
import swkpu

exe = swkpu.compile(model, (x,), target="kpu-t64", precision="bf16")
y = exe(x)
print(exe.report)
exe.save("m.kpu")
exe = swkpu.load("m.kpu")
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from swkpu import errors
    from swkpu.compiler import compile, load
    from swkpu.executable import Executable

__all__ = ["Executable", "compile", "errors", "load"]


def __getattr__(name: str) -> Any:
    """Import on first use: the tools that need neither torch nor the compiler start without them."""
    match name:
        case "compile" | "load":
            from swkpu import compiler

            return getattr(compiler, name)
        case "Executable":
            from swkpu.executable import Executable

            return Executable
        case "errors":
            import importlib

            return importlib.import_module("swkpu.errors")
        case _:
            raise AttributeError(f"module 'swkpu' has no attribute '{name}'")
