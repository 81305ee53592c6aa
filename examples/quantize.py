"""Quantize a network of your own: int8, int4 weights, and mixed precision within an error.

python examples/quantize.py [TARGET]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from torch import nn

import swkpu
from swkpu.report.compare import compare


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1, groups=32), nn.Conv2d(32, 64, 1), nn.BatchNorm2d(64), nn.SiLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    ).eval()  # fmt: skip


def images(count: int, seed: int) -> Iterator[torch.Tensor]:
    """Stands for your data: batches of one image, normalised as the network expects them."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield torch.randn(1, 3, 64, 64, generator=generator)


def main(target: str = "kpu-t64") -> None:
    model = network()
    tests = list(images(8, seed=1))
    with torch.no_grad():
        expected = [model(x).numpy() for x in tests]

    for precision in ("bf16", "int8", "int4", "mixed"):
        options = {} if precision == "bf16" else {"calibration": images(100, seed=0)}
        if precision == "mixed":
            options["max_error"] = 0.004  # relative to the largest output, on the calibration data
        exe = swkpu.compile(model, (tests[0],), target=target, precision=precision, name="net", **options)
        check = compare([exe(x).numpy() for x in tests], expected)
        report = exe.report
        print(
            f"{precision:6} {report.cycles:6,} cycles {report.energy_uj:6.2f} uJ  "
            f"SQNR {check.sqnr_db:5.1f} dB  largest error {check.max_rel_diff:.2%}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
