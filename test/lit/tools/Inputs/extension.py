"""A pass and a dialect that are not part of swkpu, for `swkpu-opt --load`."""

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr, f32
from xdsl.ir import Dialect
from xdsl.irdl import IRDLOperation, irdl_op_definition
from xdsl.passes import ModulePass


@irdl_op_definition
class MarkOp(IRDLOperation):
    name = "extra.mark"
    assembly_format = "attr-dict"


EXTRA = Dialect("extra", [MarkOp])


@dataclass(frozen=True)
class StampPass(ModulePass):
    """Stamp the module with a text, some times over."""

    name = "extra-stamp"

    text: str
    times: int = 1

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        op.attributes["stamp"] = StringAttr(self.text * self.times)


@dataclass(frozen=True)
class CrashPass(ModulePass):
    """Fail as only a bug does."""

    name = "extra-crash"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        raise KeyError("lost")


@dataclass(frozen=True)
class BreakPass(ModulePass):
    """Leave a module that does not verify."""

    name = "extra-break"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for o in op.walk():
            if o.name == "nn.relu":
                o.results[0]._type = f32  # pyright: ignore[reportPrivateUsage]
