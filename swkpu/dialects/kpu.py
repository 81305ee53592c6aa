"""The kpu dialect says where and when: buffers in memory spaces, block transfers, executions on tile ranges, loops.

It exists in two forms that map onto each other. In the *sequential* form a program is a list of layers, each a nest
of loops over commands, and means what it says from top to bottom. `kpu-schedule` turns it into the *scheduled*
form, one `kpu.stream` per engine with semaphores on the commands, which is the binary program one to one.

Coordinates are affine in `i0, i1, ...`, the counters of the enclosing loops from the outermost, and `t0, t1`, the
tile's coordinates in the command's range:

```mlir
kpu.for i0 = 4 {
  %w1 = kpu.alloc {buffers = 2} : !kpu.buffer<16x3x3x64xbf16, l1>
  kpu.push %w[16*i0, 0, 0, 0] to %w1[0, 0, 0, 0] box [16, 3, 3, 64] tiles bf16 [0 : 6 x 2] : ...
```
"""

from __future__ import annotations

from xdsl.dialects.builtin import DictionaryAttr, IntAttr, IntegerAttr, StringAttr
from xdsl.ir import Dialect

from swkpu.dialects.kpu_buffers import (
    AliasOp,
    AllocOp,
    ConstantOp,
    InputOp,
    OutputOp,
    ViewOp,
    element_strides,
    layout_of,
    slot_dims,
    storage,
)
from swkpu.dialects.kpu_exec import ExecOp, FabricOp
from swkpu.dialects.kpu_gather import GatherOp
from swkpu.dialects.kpu_reduce import ReduceOp
from swkpu.dialects.kpu_structure import CommandOp, ForOp, LayerOp, ProgramOp, StreamOp, depth_of
from swkpu.dialects.kpu_transfers import LoadOp, PullOp, PushOp, StoreOp, TransferOp
from swkpu.dialects.kpu_types import (
    COORDINATES,
    GRANULE,
    MAX_LOOPS,
    T0,
    T1,
    BufferType,
    SemaphoresAttr,
    TilesAttr,
    Tokens,
    aligned,
    buffer_type,
    coordinate_map,
)

__all__ = [
    "COMMANDS",
    "COORDINATES",
    "GRANULE",
    "KPU",
    "MAX_LOOPS",
    "T0",
    "T1",
    "TRANSFERS",
    "AliasOp",
    "AllocOp",
    "BufferType",
    "CommandOp",
    "ConstantOp",
    "ExecOp",
    "FabricOp",
    "ForOp",
    "GatherOp",
    "InputOp",
    "LayerOp",
    "LoadOp",
    "OutputOp",
    "ProgramOp",
    "PullOp",
    "PushOp",
    "ReduceOp",
    "SemaphoresAttr",
    "StoreOp",
    "StreamOp",
    "TilesAttr",
    "Tokens",
    "TransferOp",
    "ViewOp",
    "aligned",
    "buffer_type",
    "coordinate_map",
    "depth_of",
    "element_strides",
    "info_int",
    "info_str",
    "layout_of",
    "slot_dims",
    "storage",
]

KPU = Dialect(
    "kpu",
    [
        ProgramOp, LayerOp, ForOp, StreamOp, AllocOp, ConstantOp, InputOp, OutputOp, AliasOp, ViewOp, FabricOp,
        LoadOp, StoreOp, GatherOp, PushOp, PullOp, ExecOp, ReduceOp,
    ],
    [BufferType, TilesAttr, SemaphoresAttr],
)  # fmt: skip

TRANSFERS = (LoadOp, StoreOp, PushOp, PullOp)
COMMANDS = (*TRANSFERS, GatherOp, ExecOp, ReduceOp)


def info_int(info: DictionaryAttr, key: str, default: int = 0) -> int:
    value = info.data.get(key)
    return (
        value.value.data if isinstance(value, IntegerAttr) else (value.data if isinstance(value, IntAttr) else default)
    )


def info_str(info: DictionaryAttr, key: str, default: str = "") -> str:
    value = info.data.get(key)
    return value.data if isinstance(value, StringAttr) else default
