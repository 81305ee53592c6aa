"""Runs in SCALE-Sim's environment: simulates matrix products, output-stationary; answers with cycles of each.

question  {"rows": R, "cols": C, "sram_kb": KiB of each memory, "layers": [[name, M, N, K], ...]}
answer    {"version": ..., "seconds": ..., "cycles": {name: total cycles}}
"""

import csv
import json
import os
import sys
import time
from importlib.metadata import version

from scalesim.scale_sim import scalesim

CONFIG = """\
[general]
run_name = run

[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {cols}
IfmapSramSzkB = {sram_kb}
FilterSramSzkB = {sram_kb}
OfmapSramSzkB = {sram_kb}
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = os
ReadRequestBuffer = 32
WriteRequestBuffer = 32

[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2

[sparsity]
SparsitySupport = false

[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""


def main(question_file, answer_file):
    with open(question_file) as file:
        question = json.load(file)
    with open("scale.cfg", "w") as file:
        file.write(CONFIG.format(**question))
    with open("layout.csv", "w") as file:
        file.write("Layer name,\n")
    start, cycles = time.process_time(), {}
    for name, m, n, k in question["layers"]:  # one at a time: the traces of a layer take gigabytes
        with open("topology.csv", "w") as file:
            file.write(f"Layer, M, N, K,\n{name}, {m}, {n}, {k},\n")
        files = {"config": "scale.cfg", "topology": "topology.csv", "layout": "layout.csv"}
        scalesim(save_disk_space=True, verbose=False, input_type_gemm=True, **files).run_scale(top_path="out")
        with open(os.path.join("out", "run", "COMPUTE_REPORT.csv")) as file:
            (row,) = csv.DictReader(file, skipinitialspace=True)
        cycles[name] = int(float(row["Total Cycles"]))
    answer = {"version": version("scalesim"), "seconds": time.process_time() - start, "cycles": cycles}
    with open(answer_file, "w") as file:
        json.dump(answer, file)


main(*sys.argv[1:])
