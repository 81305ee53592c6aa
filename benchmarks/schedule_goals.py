"""What schedules are to reach: the least efficiency of each kind of model on each target, at int8 and batch 1."""

from __future__ import annotations

TARGETS = ("kpu-16x16", "swkpu-v1", "kpu-t64", "kpu-t256", "kpu-t768")
_GOALS = {
    ("resnet18", "resnet50"): (0.94, 0.80, 0.88, 0.84, 0.85),
    ("vit_b_16", "bert_base"): (0.92, 0.80, 0.90, 0.87, 0.85),
    ("mobilenet_v2", "efficientnet_b0"): (0.80, 0.55, 0.68, 0.62, 0.65),
    ("yolov8n",): (0.85, 0.75, 0.82, 0.75, 0.65),
    ("deeplabv3_resnet50", "fcn_resnet50"): (0.94, 0.85, 0.90, 0.87, 0.85),
}
EFFICIENCY = {model: dict(zip(TARGETS, goals, strict=True)) for models, goals in _GOALS.items() for model in models}
MODELS = tuple(EFFICIENCY)

FLOAT_POINTS = 0.05
"""How far a float precision may stay behind these, on the bound of its own tiles."""
DRAM_RATIO = 1.05
"""The most DRAM traffic, over what is compulsory."""
ESTIMATE_MEDIAN, ESTIMATE_MAX = 0.03, 0.10
"""How far the estimates of layers may be off."""
COMPILE_SECONDS = {"resnet18": 2.0, "resnet50": 4.0}
"""CPU seconds from nn to `.kpu`, for any target."""


def efficiency_goal(model: str, target: str, precision: str) -> float | None:
    """The least efficiency at batch 1; None for a model or target that the table has not."""
    goal = EFFICIENCY.get(model, {}).get(target)
    if goal is None or precision == "int8":
        return goal
    return round(goal - FLOAT_POINTS, 10)
