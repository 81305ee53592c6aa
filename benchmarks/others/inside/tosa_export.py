"""Runs in ExecuTorch's environment: quantizes an exported program to int8 and writes it as TOSA.

question  {"program": a .pt2 file, "tosa": the file to write}
answer    {"version": ..., "seconds": CPU seconds}
"""

import json
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from executorch.backends.arm.quantizer.arm_quantizer import TOSAQuantizer, get_symmetric_quantization_config
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e


def main(question_file, answer_file):
    question = json.loads(Path(question_file).read_text())
    start = time.process_time()
    program = torch.export.load(question["program"])
    inputs, folder = program.example_inputs[0], Path("tosa")
    spec = TosaCompileSpec("TOSA-1.0+INT")
    spec.dump_intermediate_artifacts_to(str(folder))
    quantizer = TOSAQuantizer(spec)
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
    module = prepare_pt2e(program.module(check_guards=False), quantizer)
    module(*inputs)
    quantized = torch.export.export(convert_pt2e(module), inputs)
    to_edge_transform_and_lower(
        quantized, partitioner=[TOSAPartitioner(spec)], compile_config=EdgeCompileConfig(_check_ir_validity=False)
    )
    files = sorted(folder.glob("*.tosa"))
    if len(files) != 1:
        raise SystemExit(f"expected the whole network as one TOSA graph, found {len(files)}")
    shutil.copyfile(files[0], question["tosa"])
    answer = {"version": version("executorch"), "seconds": time.process_time() - start}
    Path(answer_file).write_text(json.dumps(answer))


main(*sys.argv[1:])
