"""Compile ResNet-18 from Python, run it, and look at what it costs.

python examples/compile_resnet18.py [TARGET] [PRECISION]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

import swkpu
from swkpu import zoo
from swkpu.report.compare import compare


def main(target: str = "kpu-t64", precision: str = "bf16") -> None:
    model = zoo.build("resnet18")  # a plain nn.Module in eval mode; any other will do
    x = zoo.example_input("resnet18")

    exe = swkpu.compile(model, (x,), target=target, precision=precision, name="resnet18")

    # Values: bit-exact, from the same program that is timed.
    y = exe(x)
    with torch.no_grad():
        check = compare([y.numpy()], [model(x).numpy()])
    print(f"SQNR against eager fp32: {check.sqnr_db:.1f} dB, top-1 {'matches' if check.top1_match else 'differs'}")

    # Cycles and energy: a dataclass, whose text is a table.
    report = exe.report
    milliseconds, millijoules = report.time_us / 1000, report.energy_uj / 1000
    print(f"{report.cycles:,} cycles at {report.clock_mhz:g} MHz: {milliseconds:.2f} ms, {millijoules:.2f} mJ")
    print(f"{report.efficiency:.0%} of the lower bound of {report.lower_bound_cycles:,} cycles")
    for layer in sorted(report.layers, key=lambda layer: -layer.cycles)[:3]:
        print(f"  {layer.name:16} {layer.cycles:7,} cycles, bound by {layer.bound_by}")

    # The program is one file, weights included.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "resnet18.kpu"
        exe.save(str(path))
        again = swkpu.load(str(path))
        print(f"{path.name}: {path.stat().st_size / 2**20:.1f} MB")
        print(f"loaded again it gives the same: {torch.equal(again(x), y)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
