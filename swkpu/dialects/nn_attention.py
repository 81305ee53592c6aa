"""Attention of the nn dialect."""

from __future__ import annotations

from xdsl.dialects.builtin import BoolAttr, FloatAttr, TensorType, f32
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, opt_operand_def, prop_def, result_def

from swkpu.dialects.nn_base import Kind, NNOp, Tensor, broadcast, check_kind, misfit, shape_of, type_of


@irdl_op_definition
class SdpaOp(NNOp):
    """softmax(scale * query @ keyᵀ + mask) @ value: [..., L, E], [..., S, E] and [..., S, Ev] give [..., L, Ev] in f32.

    Leading dims broadcast. `mask` is added and broadcasts to [..., L, S]; -inf hides a key. With `causal`, row i sees
    keys 0 to i. A row that sees no key gives 0.
    """

    name = "nn.sdpa"

    query = operand_def(TensorType)
    key = operand_def(TensorType)
    value = operand_def(TensorType)
    mask = opt_operand_def(TensorType)
    scale = prop_def(FloatAttr)
    causal = prop_def(BoolAttr)
    result = result_def(TensorType)

    assembly_format = "$query `,` $key `,` $value (`mask` $mask^)? attr-dict `:` functional-type(operands, results)"

    def __init__(
        self, query: SSAValue, key: SSAValue, value: SSAValue, mask: SSAValue | None, scale: float, causal: bool
    ):
        batch = broadcast(shape_of(query)[:-2], broadcast(shape_of(key)[:-2], shape_of(value)[:-2]))
        super().__init__(
            operands=[query, key, value, mask],
            properties={"scale": FloatAttr(scale, f32), "causal": BoolAttr.from_bool(causal)},
            result_types=[TensorType(f32, (*batch, shape_of(query)[-2], shape_of(value)[-1]))],
        )

    @property
    def is_causal(self) -> bool:
        return bool(self.causal.value.data)

    def infer(self) -> Tensor:
        q, k, v = type_of(self.query), type_of(self.key), type_of(self.value)
        if not q.element_type == k.element_type == v.element_type:
            raise misfit(f"query, key and value differ in element type: {q}, {k} and {v}")
        check_kind(self, q, Kind.FLOAT)
        (*_, length, size), (*_, keys, key_size), (*_, values, width) = (
            (None, *t.get_shape()) if len(t.get_shape()) > 1 else (None, 0, -1) for t in (q, k, v)
        )
        if size != key_size or keys != values or -1 in (size, width):
            raise misfit(f"expected [..., L, E], [..., S, E] and [..., S, Ev], got {q}, {k} and {v}")
        batch = broadcast(q.get_shape()[:-2], broadcast(k.get_shape()[:-2], v.get_shape()[:-2]))
        if self.mask is not None:
            check_kind(self, type_of(self.mask), Kind.FLOAT)
            scores = (*batch, length, keys)
            if broadcast(scores, shape_of(self.mask)) != scores:
                raise misfit(f"a mask of {self.mask.type} does not broadcast to {scores}")
        return TensorType(f32, (*batch, length, width))
