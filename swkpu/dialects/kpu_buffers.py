"""Buffers of a kpu program: memory, constants, inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from xdsl.dialects.builtin import (
    IntegerAttr,
    StringAttr,
    i64,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    ParsePropInAttrDict,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
)
from xdsl.utils.exceptions import VerifyException

from swkpu.dialects.df import stored_array
from swkpu.dialects.kpu_types import (
    BufferType,
    aligned,
    buffer_type,
)
from swkpu.dialects.nn import IntsAttr, ints
from swkpu.dialects.weights import WeightAttr
from swkpu.program.model import Space


@irdl_op_definition
class AllocOp(IRDLOperation):
    """Memory for the scope it stands in: every iteration of the enclosing loops has its own contents.

    `buffers` (sequential form) asks for that many copies, so that one iteration is filled while another is read.
    The scheduled form has them as a leading dim of `slots` that wraps around. `group` names the tile group of an L1
    buffer.
    """

    name = "kpu.alloc"

    buffers = opt_prop_def(IntegerAttr)
    slots = opt_prop_def(IntegerAttr)
    group = opt_prop_def(StringAttr)
    address = opt_prop_def(IntegerAttr.constr(type=i64))
    result = result_def(BufferType)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "attr-dict `:` type($result)"

    def __init__(
        self, type: BufferType, buffers: int = 1, group: str | None = None, address: int | None = None, slots: int = 1
    ):
        super().__init__(
            properties={
                "buffers": IntegerAttr(buffers, i64) if buffers > 1 else None,
                "slots": IntegerAttr(slots, i64) if slots > 1 else None,
                "group": StringAttr(group) if group is not None else None,
                "address": IntegerAttr(address, i64) if address is not None else None,
            },
            result_types=[type],
        )

    @property
    def buffer_count(self) -> int:
        return 1 if self.buffers is None else self.buffers.value.data

    @property
    def slot_count(self) -> int:
        return 1 if self.slots is None else self.slots.value.data

    @property
    def total_bytes(self) -> int:
        """All copies, each a whole number of 16-byte granules."""
        return self.buffer_count * aligned(buffer_type(self.result).bytes)

    def verify_(self) -> None:
        if (buffer_type(self.result).memory is Space.L1) != (self.group is not None):
            raise VerifyException("an l1 buffer, and no other, names the tile group it is in")


@irdl_op_definition
class ConstantOp(IRDLOperation):
    """A constant that is in DRAM before the program starts. `permuted` packs it as `df.constant` does."""

    name = "kpu.constant"

    value = prop_def(WeightAttr)
    permuted = opt_prop_def(IntsAttr)
    address = opt_prop_def(IntegerAttr.constr(type=i64))
    result = result_def(BufferType)

    assembly_format = "qualified($value) (`permuted` $permuted^)? (`at` $address^)? attr-dict `:` type($result)"

    def __init__(self, value: WeightAttr, permuted: IntsAttr | None, type: BufferType):
        super().__init__(properties={"value": value, "permuted": permuted}, result_types=[type])

    def array(self) -> Any:
        type_ = buffer_type(self.result)
        return stored_array(self.value, self.permuted, type_.extents, type_.element)


@irdl_op_definition
class InputOp(IRDLOperation):
    """A tensor in DRAM that the host writes before a run. `host` is the host's element type where it is another."""

    name = "kpu.input"

    sym_name = prop_def(StringAttr)
    host = opt_prop_def(Attribute)
    address = opt_prop_def(IntegerAttr.constr(type=i64))
    result = result_def(BufferType)

    assembly_format = "$sym_name (`host` $host^)? (`at` $address^)? attr-dict `:` type($result)"

    def __init__(self, name: str, type: BufferType, host: Attribute | None = None):
        super().__init__(properties={"sym_name": StringAttr(name), "host": host}, result_types=[type])


@irdl_op_definition
class OutputOp(IRDLOperation):
    """A buffer in DRAM that the host reads after a run. `host` is the host's element type where it is another."""

    name = "kpu.output"

    sym_name = prop_def(StringAttr)
    host = opt_prop_def(Attribute)
    value = operand_def(BufferType)

    assembly_format = "$sym_name $value (`host` $host^)? attr-dict `:` type($value)"

    def __init__(self, name: str, value: SSAValue, host: Attribute | None = None):
        super().__init__(operands=[value], properties={"sym_name": StringAttr(name), "host": host})


@irdl_op_definition
class AliasOp(IRDLOperation):
    """The same bytes under another shape."""

    name = "kpu.alias"

    source = operand_def(BufferType)
    result = result_def(BufferType)

    assembly_format = "$source attr-dict `:` type($source) `to` type($result)"

    def __init__(self, source: SSAValue, type: BufferType):
        super().__init__(operands=[source], result_types=[type])

    def verify_(self) -> None:
        a, b = buffer_type(self.source), buffer_type(self.result)
        if a.bits != b.bits or a.memory is not b.memory:
            raise VerifyException(f"{b} does not have the bytes of {a}")


@irdl_op_definition
class ViewOp(IRDLOperation):
    """A strided window on a buffer: element `[c...]` is element `offset + sum(c * strides)` of the source, counted
    in its memory. A stride of 0 repeats elements, for reading.
    """

    name = "kpu.view"

    source = operand_def(BufferType)
    offset = prop_def(IntegerAttr.constr(type=i64))
    strides = prop_def(IntsAttr)
    result = result_def(BufferType)

    assembly_format = "$source `from` $offset `strides` $strides attr-dict `:` type($source) `to` type($result)"

    def __init__(self, source: SSAValue, offset: int, strides: Sequence[int], type: BufferType):
        super().__init__(
            operands=[source],
            properties={"offset": IntegerAttr(offset, i64), "strides": ints(strides)},
            result_types=[type],
        )

    def verify_(self) -> None:
        a, b = buffer_type(self.source), buffer_type(self.result)
        if a.memory is not b.memory or a.element != b.element:
            raise VerifyException(f"a view of {a} has its memory and element type, got {b}")
        if len(self.strides.data) != len(b.extents) or min(self.strides.data, default=0) < 0:
            raise VerifyException(f"expected a stride of 0 or more per dim of {b}, got {list(self.strides.data)}")
        offset, strides = layout_of(self.result)
        last = offset + sum((e - 1) * s for e, s in zip(b.extents, strides))
        count = prod(buffer_type(storage(self.result)).extents)
        if offset < 0 or last >= count:
            raise VerifyException(f"a view of elements {offset} to {last} of a buffer that has {count}")


def slot_dims(value: SSAValue) -> int:
    """1 where the buffer has a leading slot dim."""
    owner = value.owner
    return int(isinstance(owner, AllocOp) and owner.slot_count > 1)


def storage(value: SSAValue) -> SSAValue:
    """The buffer whose memory a value is, through aliases and views."""
    while isinstance(value.owner, AliasOp | ViewOp):
        value = value.owner.source
    return value


def layout_of(value: SSAValue) -> tuple[int, tuple[int, ...]]:
    """Where a buffer's elements are in the memory of its storage: the first one's number, and a stride per dim."""
    owner = value.owner
    if isinstance(owner, ViewOp):
        return layout_of(owner.source)[0] + owner.offset.value.data, owner.strides.data
    if isinstance(owner, AliasOp):
        return layout_of(owner.source)[0], element_strides(buffer_type(value).extents)
    return 0, element_strides(buffer_type(value).extents)


def element_strides(extents: Sequence[int]) -> tuple[int, ...]:
    """Strides of a row-major tensor, in elements."""
    out: list[int] = []
    step = 1
    for extent in reversed(extents):
        out.insert(0, step)
        step *= extent
    return tuple(out)
