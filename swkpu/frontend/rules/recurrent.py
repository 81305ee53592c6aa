"""Recurrent layers, one step of time after the other. The inputs of all steps are multiplied at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from xdsl.ir import SSAValue

from swkpu.dialects import nn
from swkpu.frontend.builder import NodeBuilder
from swkpu.frontend.table import Rule, Unsupported, rule

aten = torch.ops.aten

State = tuple[SSAValue, ...]


@dataclass(frozen=True)
class Weights:
    """Of one layer in one direction: for the input, for the hidden state, and for an LSTM's projection."""

    input: SSAValue
    hidden: SSAValue
    input_bias: SSAValue | None
    hidden_bias: SSAValue | None
    projection: SSAValue | None = None


Step = Callable[[NodeBuilder, SSAValue, State, Weights], State]
"""The state after a step, from what the input contributes and the state before. The first of a state is the output."""


def _linear(b: NodeBuilder, x: SSAValue, weight: SSAValue, bias: SSAValue | None) -> SSAValue:
    y = b.emit(nn.LinearOp(x, weight))
    return y if bias is None else b.emit(nn.AddOp(y, bias))


def _gates(b: NodeBuilder, x: SSAValue, count: int) -> list[SSAValue]:
    size = nn.shape_of(x)[-1] // count
    return [b.slice(x, len(nn.shape_of(x)) - 1, i * size, size) for i in range(count)]


def _lstm_step(b: NodeBuilder, x: SSAValue, state: State, w: Weights) -> State:
    hidden, cell = state
    total = b.op(nn.AddOp, x, _linear(b, hidden, w.hidden, w.hidden_bias))
    taken, kept, new, out = _gates(b, total, 4)
    kept_cell = b.op(nn.MulOp, b.op(nn.SigmoidOp, kept), cell)
    cell = b.op(nn.AddOp, kept_cell, b.op(nn.MulOp, b.op(nn.SigmoidOp, taken), b.op(nn.TanhOp, new)))
    hidden = b.op(nn.MulOp, b.op(nn.SigmoidOp, out), b.op(nn.TanhOp, cell))
    return hidden if w.projection is None else _linear(b, hidden, w.projection, None), cell


def _gru_step(b: NodeBuilder, x: SSAValue, state: State, w: Weights) -> State:
    (hidden,) = state
    of_hidden = _gates(b, _linear(b, hidden, w.hidden, w.hidden_bias), 3)
    of_input = _gates(b, x, 3)
    reset, kept = (b.op(nn.SigmoidOp, b.op(nn.AddOp, i, h)) for i, h in zip(of_input[:2], of_hidden[:2]))
    new = b.op(nn.TanhOp, b.op(nn.AddOp, of_input[2], b.op(nn.MulOp, reset, of_hidden[2])))
    return (b.op(nn.AddOp, b.op(nn.MulOp, b.op(nn.SubOp, hidden, new), kept), new),)


def _plain_step(function: type[nn.UnaryOp]) -> Step:
    def step(b: NodeBuilder, x: SSAValue, state: State, w: Weights) -> State:
        return (b.op(function, b.op(nn.AddOp, x, _linear(b, state[0], w.hidden, w.hidden_bias))),)

    return step


def _layer(
    b: NodeBuilder, x: SSAValue, state: State, w: Weights, step: Step, backwards: bool
) -> tuple[list[SSAValue], State]:
    """The outputs of all steps, in their order, and the last state. The input is steps x batch x features."""
    steps, batch, _ = nn.shape_of(x)
    contributions = _linear(b, x, w.input, w.input_bias)
    outputs: list[SSAValue] = []
    for t in reversed(range(steps)) if backwards else range(steps):
        own = b.reshape(b.slice(contributions, 0, t, 1), (batch, nn.shape_of(contributions)[-1]))
        state = step(b, own, state, w)
        outputs.append(state[0])
    return (outputs[::-1] if backwards else outputs), state


def _weights(b: NodeBuilder, params: Sequence[SSAValue], biased: bool, projected: bool) -> Iterator[Weights]:
    """Cut torch's flat list."""
    each = 2 + 2 * biased + projected
    for at in range(0, len(params), each):
        own = [b.f32(p) for p in params[at : at + each]]
        biases = own[2:4] if biased else [None, None]
        yield Weights(own[0], own[1], biases[0], biases[1], own[-1] if projected else None)


def _network(
    b: NodeBuilder,
    x: SSAValue,
    starts: Sequence[SSAValue],
    params: Sequence[SSAValue],
    biased: bool,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
    step: Step,
    projected: bool = False,
) -> tuple[SSAValue, ...]:
    """The outputs of the last layer, and the last states of all."""
    x = b.permute(b.f32(x), (1, 0, 2)) if batch_first else b.f32(x)
    directions = 2 if bidirectional else 1
    weights = list(_weights(b, params, biased, projected))
    states = [[b.reshape(b.slice(b.f32(s), 0, i, 1), nn.shape_of(s)[1:]) for s in starts] for i in range(len(weights))]
    ends: list[State] = []
    for layer in range(layers):
        outputs: list[list[SSAValue]] = []
        for direction in range(directions):
            i = layer * directions + direction
            made, end = _layer(b, x, tuple(states[i]), weights[i], step, direction == 1)
            outputs.append(made)
            ends.append(end)
        rows = [b.concat(list(both), 1) for both in zip(*outputs)]
        x = b.concat([b.reshape(row, (1, *nn.shape_of(row))) for row in rows], 0)
    y = b.permute(x, (1, 0, 2)) if batch_first else x
    return y, *(b.concat([b.reshape(v, (1, *nn.shape_of(v))) for v in column], 0) for column in zip(*ends))


def _check(dropout: float, train: bool, layers: int) -> None:
    if train and dropout > 0 and layers > 1:
        raise Unsupported("in train mode")


@rule(aten.lstm.input)
def lstm(
    b: NodeBuilder,
    x: SSAValue,
    starts: Sequence[SSAValue],
    params: Sequence[SSAValue],
    biased: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[SSAValue, ...]:
    """nn.linear of all inputs, then for each step nn.linear of the state, nn.sigmoid, nn.tanh, nn.mul and nn.add"""
    _check(dropout, train, layers)
    projected = nn.shape_of(starts[0])[-1] != nn.shape_of(starts[1])[-1]
    return _network(b, x, starts, params, biased, layers, bidirectional, batch_first, _lstm_step, projected)


def _rule_of(step: Step, summary: str) -> Rule:
    def import_recurrent(
        b: NodeBuilder,
        x: SSAValue,
        start: SSAValue,
        params: Sequence[SSAValue],
        biased: bool,
        layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[SSAValue, ...]:
        _check(dropout, train, layers)
        return _network(b, x, [start], params, biased, layers, bidirectional, batch_first, step)

    import_recurrent.__doc__ = f"nn.linear of all inputs, then for each step nn.linear of the state and {summary}"
    return import_recurrent


rule(aten.gru.input)(_rule_of(_gru_step, "nn.sigmoid, nn.tanh, nn.mul, nn.sub and nn.add"))
rule(aten.rnn_tanh.input)(_rule_of(_plain_step(nn.TanhOp), "nn.tanh"))
rule(aten.rnn_relu.input)(_rule_of(_plain_step(nn.ReluOp), "nn.relu"))
