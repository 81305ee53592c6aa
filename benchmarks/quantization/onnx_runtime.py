"""onnxruntime's static quantization: QDQ form, weights per channel."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.quantization.pytorch import Tensors, silence

Run = Callable[..., list[torch.Tensor]]
SETTINGS = "QDQ, weights int8 per channel, activations int8 asymmetric, after quant_pre_process"


def quantized(model: nn.Module, batches: Sequence[Tensors], calibrator: str = "MinMax") -> Run:
    """The model by onnxruntime in int8, for inputs of the shapes of `batches`, on which it is calibrated.

    `calibrator` is MinMax, Entropy or Percentile.
    """
    with tempfile.TemporaryDirectory() as folder, silence():
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process

        floats, prepared, integers = (Path(folder) / f"{name}.onnx" for name in ("floats", "prepared", "integers"))
        names = exported(model, batches[0], floats)
        quant_pre_process(floats, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            integers,
            _reader(names, batches),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod[calibrator],
        )
        return session(integers, names)


def exported(model: nn.Module, example: Tensors, path: Path) -> list[str]:
    """Write the model; returns its inputs' names."""
    program = torch.onnx.export(model, example, dynamo=True, external_data=False)
    assert program is not None
    program.save(str(path))
    return [value.name for value in program.model.graph.inputs]


def session(path: Path, names: Sequence[str]) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    runtime = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])

    def run(*inputs: torch.Tensor) -> list[torch.Tensor]:
        outputs = runtime.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})
        return [torch.from_numpy(np.asarray(y)) for y in outputs]

    return run


def _reader(names: Sequence[str], batches: Sequence[Tensors]) -> Any:
    """The batches, one after the other, as onnxruntime asks for them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest: Iterator[Tensors] = iter(batches)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.rest, None)
            return None if batch is None else {name: x.numpy() for name, x in zip(names, batch, strict=True)}

    return Reader()
