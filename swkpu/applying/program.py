"""A function of mapped recurrences as a kpu program."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.builder import Builder
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, StringAttr, i64
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.rewriter import InsertPoint

from swkpu.applying.group import GroupLowering, member_names
from swkpu.applying.layer import LayerLowering
from swkpu.applying.moves import MoveLowering
from swkpu.dialects import df, kpu
from swkpu.dialects.df import RecurrenceOp
from swkpu.dialects.kpu import BufferType, buffer_type
from swkpu.dialects.location import layer_name, source_of
from swkpu.dialects.mapping import Part
from swkpu.dialects.nn import shape_of, type_of
from swkpu.errors import IRError, MappingError
from swkpu.mapping import compulsory
from swkpu.mapping.group_geometry import GroupGeometry, group_geometry, mac_type, on_array
from swkpu.mapping.groups import groups_of, order_of
from swkpu.mapping.problem import local_maps
from swkpu.mapping.residency import bytes_of, plan
from swkpu.mapping.views import View, stays_in_l1
from swkpu.passes.nn_narrow_integers import INPUT_TYPES, OUTPUT_TYPES
from swkpu.program.model import Space
from swkpu.target import Machine
from swkpu.types import i32, storage_of


class ProgramLowering:
    """Turns a function of mapped recurrences into a kpu.program."""

    def __init__(self, func: FuncOp, machine: Machine, module: ModuleOp):
        self.func, self.machine, self.module = func, machine, module
        self.body = Block()
        self.builder = Builder(InsertPoint.at_end(self.body))
        self.buffers: dict[SSAValue, SSAValue] = {}
        self.fabrics: dict[object, str] = {}
        self.names: dict[str, int] = {}
        self.residency = plan(func, machine.l2.capacity_bytes)
        self.moves = MoveLowering(self)
        order = order_of(func)
        self.groups: dict[Operation, GroupGeometry] = {}
        for members in dict.fromkeys(groups_of(func).values()):
            self.groups |= dict.fromkeys(members, group_geometry(members, machine, order))

    def run(self) -> kpu.ProgramOp:
        ops = list(self.func.body.block.ops)
        self._inputs()
        returned = next(o for o in ops if isinstance(o, ReturnOp))
        for op in ops:
            if isinstance(op, df.ConstantOp):
                type_ = BufferType.of(shape_of(op.result), type_of(op.result).element_type, Space.DRAM)
                constant = kpu.ConstantOp(op.value, op.permuted, type_)
                constant.result.name_hint = op.result.name_hint
                self.buffers[op.result] = self.builder.insert(constant).result
        for op in ops:
            match op:
                case RecurrenceOp() if op in self.groups:
                    if op is self.groups[op].members[-1]:
                        self._group(self.groups[op])
                case RecurrenceOp():
                    self._recurrence(op)
                case df.CopyOp():
                    self.moves.copy(op)
                case df.GatherOp():
                    self.moves.gather(op)
                case df.EmptyOp():
                    memory = Space.DRAM if self.residency.is_dram(op.result) else Space.L2
                    self.result_buffer(op, memory)
                case df.ReshapeOp():
                    source = self.buffers[op.input]
                    old = buffer_type(source)
                    alias = kpu.AliasOp(source, BufferType.of(shape_of(op.result), old.element, old.memory))
                    self.buffers[op.result] = self.builder.insert(alias).result
                case df.ConstantOp() | ReturnOp():
                    pass
                case _:
                    raise IRError(f"{op.name} has no lowering to kpu; run convert-nn-to-df first")
        for i, value in enumerate(returned.operands):
            buffer = self.buffers[value]
            if buffer_type(buffer).memory is not Space.DRAM:
                raise IRError(f"result {i} of the function is not in DRAM")
            host = self._host_type(OUTPUT_TYPES, i, value)
            self.builder.insert(kpu.OutputOp(self._output_name(i), buffer, host))
        info = self._info()
        return kpu.ProgramOp(self.func.sym_name.data, self.machine.name, info, Region(self.body))

    def _inputs(self) -> None:
        for i, arg in enumerate(self.func.args):
            name = arg.name_hint or f"input{i}"
            type_ = BufferType.of(shape_of(arg), type_of(arg).element_type, Space.DRAM)
            op = kpu.InputOp(name, type_, self._host_type(INPUT_TYPES, i, arg))
            op.result.name_hint = arg.name_hint
            self.buffers[arg] = self.builder.insert(op).result

    def _host_type(self, key: str, index: int, value: SSAValue) -> Attribute | None:
        """The element type that the host has for an input or output, where it is another than the tensor's."""
        types = self.module.attributes.get(key)
        if not isinstance(types, ArrayAttr) or self.func.sym_name.data != "main":
            return None
        host, own = types.data[index], type_of(value).element_type
        return host if storage_of(host) != host or (host == i64 and own == i32) else None

    def _output_name(self, index: int) -> str:
        return f"output{index}" if index else "output"

    def _info(self) -> dict[str, Attribute]:
        constants = [o.result for o in self.func.body.block.ops if isinstance(o, df.ConstantOp)]
        activations = [o.results[0] for o in self.func.body.block.ops if isinstance(o, RecurrenceOp | df.CopyOp)]
        weights = sum(bytes_of(v) for v in constants)
        return {
            "profile": StringAttr(self.machine.profile.name),
            "weight_bytes": IntegerAttr(weights, i64),
            "activation_bytes": IntegerAttr(sum(bytes_of(v) for v in activations), i64),
            "compulsory_dram_bytes": IntegerAttr(compulsory.of_function(self.func), i64),
        } | {
            k: v
            for k, v in self.module.attributes.items()
            if k in ("nn.model", "nn.precision", "nn.batch", "nn.signature")
        }

    def result_buffer(self, op: Operation, space: Space) -> SSAValue:
        value = op.results[0]
        if isinstance(op, RecurrenceOp) and op.destination is not None:
            self.buffers[value] = self.buffers[op.destination]
            return self.buffers[value]
        type_ = BufferType.of(shape_of(value), type_of(value).element_type, space)
        alloc = kpu.AllocOp(type_)
        alloc.result.name_hint = value.name_hint
        self.buffers[value] = self.builder.insert(alloc).result
        return self.buffers[value]

    def view(self, buffer: SSAValue, view: View) -> SSAValue:
        """A buffer as a recurrence's transfers see it."""
        if view.is_whole:
            return buffer
        old = buffer_type(buffer)
        type_ = BufferType.of(view.extents, old.element, old.memory)
        return self.builder.insert(kpu.ViewOp(buffer, view.offset, view.strides, type_)).result

    def layer(self, op: Operation, body: Block, info: dict[str, Attribute], members: Sequence[Operation] = ()) -> None:
        """A layer that does the work of `op`, or of a whole group whose last member it is."""
        base = layer_name(op, f"layer{len(self.names)}")
        count = self.names[base] = self.names.get(base, 0) + 1
        name = base if count == 1 else f"{base}#{count}"
        info = {
            **info,
            "source": StringAttr(source_of(op)),
            "compulsory_dram_bytes": IntegerAttr(compulsory.of_ops(members or [op]), i64),
        }
        layer = kpu.LayerOp(name, info, Region(body))
        layer.location = op.location
        self.builder.insert(layer)

    def _recurrence(self, op: RecurrenceOp) -> None:
        if op.mapping is None:
            raise MappingError(f"'{layer_name(op)}' has no mapping; run df-choose-mapping, or write one")
        mapping = op.mapping.data
        self.result_buffer(op, Space[mapping.result.upper()])
        body = Block()
        LayerLowering(op, mapping, self.buffers, self).emit(body)
        self.layer(op, body, self._work_of([op]))

    def _group(self, group: GroupGeometry) -> None:
        """One layer for a group, where its last member stands."""
        members = group.members
        for op in members:
            if op.mapping is not None and not stays_in_l1(op.result):
                self.result_buffer(op, Space[op.mapping.data.result.upper()])
        body = Block()
        GroupLowering(group, self.buffers, self).emit(body)
        self.layer(members[-1], body, self._work_of(members) | {"members": member_names(members)}, members)

    def _work_of(self, members: Sequence[RecurrenceOp]) -> dict[str, Attribute]:
        """What reports say of a layer of recurrences: the last one's operator and mapping, and everyone's work."""
        last = members[-1]
        kind = last.attributes.get("op")
        assert last.mapping is not None
        cycles = sum(op.mapping.data.cycles or 0 for op in members if op.mapping is not None)
        return {
            "op": kind if isinstance(kind, StringAttr) else StringAttr(last.combiner),
            "macs": IntegerAttr(sum(op.points for op in members if on_array(op)), i64),
            "mac_type": StringAttr(mac_type(members)),
            "estimated_cycles": IntegerAttr(cycles, i64),
            "mapping": last.mapping,
        } | ({"alternatives": last.attributes["alternatives"]} if "alternatives" in last.attributes else {})

    def fabric(self, op: RecurrenceOp, part: Part) -> str:
        """The symbol of the fabric program of a part; equal programs share one."""
        domain = op.domain
        accumulator = op.accumulator_type if not op.is_elementwise else type_of(op.result).element_type
        maps = local_maps(op)
        rows, cols = ([domain.index(d) for d in dims] for dims in (part.rows, part.cols))
        from swkpu.dialects.epilogue import fabric_program

        key = fabric_program(
            "",
            df.Domain(domain.names, tuple(0 for _ in domain.extents), domain.parallel),
            op.combiner,
            maps,
            accumulator,
            op.epilogue,
            part.rows,
            part.cols,
            part.dataflow,
        )
        if key not in self.fabrics:
            new = kpu.FabricOp(
                f"f{len(self.fabrics)}",
                domain,
                op.combiner,
                accumulator,
                maps,
                rows,
                cols,
                part.dataflow,
                op.epilogue.clone(),
            )
            self.fabrics[key] = new.sym_name.data
            Builder(InsertPoint.at_start(self.body)).insert(new)
        return self.fabrics[key]
