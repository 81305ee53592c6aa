"""Softmax, norms and attention run, in f32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from xdsl.interpreter import Interpreter, InterpreterFunctions, PythonValues, impl, register_impls

from swkpu.dialects import nn
from swkpu.dialects.nn import shape_of
from swkpu.interp.nn_base import Args, Tensor, decoded


@register_impls
class NormalizationFunctions(InterpreterFunctions):
    @impl(nn.SoftmaxOp)
    def run_softmax(self, interpreter: Interpreter, op: nn.SoftmaxOp, args: Args) -> PythonValues:
        return (torch.softmax(decoded(args[0]), op.along),)

    @impl(nn.LogSoftmaxOp)
    def run_log_softmax(self, interpreter: Interpreter, op: nn.LogSoftmaxOp, args: Args) -> PythonValues:
        return (torch.log_softmax(decoded(args[0]), op.along),)

    @impl(nn.LayerNormOp)
    def run_layer_norm(self, interpreter: Interpreter, op: nn.LayerNormOp, args: Args) -> PythonValues:
        x, (weight, bias) = decoded(args[0]), _parameters(op, args)
        return (F.layer_norm(x, op.parameter_shape(), weight, bias, op.eps.value.data),)

    @impl(nn.RmsNormOp)
    def run_rms_norm(self, interpreter: Interpreter, op: nn.RmsNormOp, args: Args) -> PythonValues:
        x, (weight, bias) = decoded(args[0]), _parameters(op, args)
        y = F.rms_norm(x, op.parameter_shape(), weight, op.eps.value.data)
        return (y if bias is None else y + bias,)

    @impl(nn.GroupNormOp)
    def run_group_norm(self, interpreter: Interpreter, op: nn.GroupNormOp, args: Args) -> PythonValues:
        x, (weight, bias) = decoded(args[0]), _parameters(op, args)
        n, c, groups = *shape_of(op.input)[:2], op.groups.value.data
        return (torch.native_group_norm(x, weight, bias, n, c, x[0, 0].numel(), groups, op.eps.value.data)[0],)

    @impl(nn.SdpaOp)
    def run_sdpa(self, interpreter: Interpreter, op: nn.SdpaOp, args: Args) -> PythonValues:
        q, k, v, *mask = map(decoded, args)
        scores = q @ k.transpose(-2, -1) * op.scale.value.data
        if mask:
            scores = scores + mask[0]
        if op.is_causal:
            hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(hidden, -torch.inf)
        unseen = (scores == -torch.inf).all(-1, keepdim=True)
        return (torch.softmax(scores, -1).masked_fill(unseen, 0.0) @ v,)


def _parameters(op: nn.NormOp, args: Args) -> tuple[Tensor | None, Tensor | None]:
    """Weight and bias, decoded; None for an absent one."""
    rest = map(decoded, args[1:])
    weight = None if op.weight is None else next(rest)
    return weight, None if op.bias is None else next(rest)
