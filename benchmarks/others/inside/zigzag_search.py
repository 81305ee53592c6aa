"""Runs in ZigZag's environment: searches mappings of its own resnet18 for least latency; answers with the best.

question  {"accelerator": a YAML file, "mapping": a YAML file, "workload": name of an ONNX file of ZigZag's}
answer    {"version": ..., "seconds": CPU seconds of the search, "cycles": sum of the layers' latencies,
           "layers": [[name, cycles], ...]}
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import zigzag
from zigzag.api import get_hardware_performance_zigzag


def main(question_file, answer_file):
    question = json.loads(Path(question_file).read_text())
    workload = Path(zigzag.__file__).parent / "inputs" / "workload" / f"{question['workload']}.onnx"
    start = time.process_time()
    _, cycles, found = get_hardware_performance_zigzag(
        str(workload),
        question["accelerator"],
        question["mapping"],
        opt="latency",
        dump_folder="out",
        loma_show_progress_bar=False,
    )
    answer = {
        "version": version("zigzag-dse"),
        "seconds": time.process_time() - start,
        "cycles": cycles,
        "layers": [[layer.layer.name, layer.latency_total2] for layer, _ in found[0][1]],
    }
    Path(answer_file).write_text(json.dumps(answer))


main(*sys.argv[1:])
