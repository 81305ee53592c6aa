"""Attention."""

from __future__ import annotations

from math import inf, sqrt

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.table import Unsupported, rule
from swkpu.types import i1

aten = torch.ops.aten


@rule(aten.scaled_dot_product_attention.default)
def sdpa(
    b: NodeBuilder,
    query: SSAValue,
    key: SSAValue,
    value: SSAValue,
    mask: SSAValue | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> SSAValue:
    """nn.sdpa; a bool mask becomes one to add by nn.where"""
    if dropout:
        raise Unsupported("with dropout")
    if mask is not None and nn.type_of(mask).element_type == i1:
        mask = b.op(nn.WhereOp, mask, b.scalar(0.0), b.scalar(-inf))
    if scale is None:
        scale = 1 / sqrt(nn.shape_of(query)[-1])
    if enable_gqa:
        query, key, value, mask = _grouped(b, query, key, value, mask)
    result = b.op(nn.SdpaOp, query, key, value, mask, scale=scale, causal=is_causal)
    return b.reshape(result, b.shape)


def _grouped(
    b: NodeBuilder, query: SSAValue, key: SSAValue, value: SSAValue, mask: SSAValue | None
) -> tuple[SSAValue, SSAValue, SSAValue, SSAValue | None]:
    """Operands with the heads as [key heads, queries per key head], over which key and value broadcast."""
    heads = nn.shape_of(key)[-3]
    if nn.shape_of(value)[-3] != heads:
        raise Unsupported("with grouped queries and different numbers of key and value heads")
    query = _split_heads(b, query, heads)
    key, value = (_split_heads(b, v, heads) for v in (key, value))
    if mask is not None and len(nn.shape_of(mask)) > 2:
        mask = _split_heads(b, mask, heads if nn.shape_of(mask)[-3] != 1 else 1)
    return query, key, value, mask


def _split_heads(b: NodeBuilder, x: SSAValue, heads: int) -> SSAValue:
    *batch, count, rows, columns = nn.shape_of(x)
    return b.reshape(x, (*batch, heads, count // heads, rows, columns))
