"""`swkpu explain`: what bounds every layer, how it is mapped, and where its cycles go."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swkpu.errors import InputError
from swkpu.tools import console
from swkpu.tools.build import MODEL_HELP, STEPS, add_options, build, options_of
from swkpu.tools.commands_run import load_program
from swkpu.tools.common import OK, ArgumentParser

if TYPE_CHECKING:
    from swkpu.executable import Executable
    from swkpu.report.explain import Explanation, LayerExplanation

DEFAULT_TARGET = "kpu-t64"

EXAMPLE = """\
examples:
  swkpu explain resnet18.kpu --top 5
  swkpu explain resnet18.kpu --layer layer4.0.conv1
  swkpu explain mobilenet_v2 --target kpu-t256 --json explained.json
"""


def add_explain(parser: ArgumentParser) -> None:
    add_options(parser, "PROGRAM", f"a .kpu file, or what is compiled first: {MODEL_HELP}")
    parser.set_defaults(target=None)
    add = parser.add_argument
    add("--top", type=int, metavar="N", help="only the N layers that lose most cycles, the largest loss first")
    add("--layer", action="append", metavar="NAME", help="only this layer; may be given again")
    add("--json", metavar="FILE", help="write it as JSON (- for standard output, instead of the text)")


def explain_command(args: argparse.Namespace) -> int:
    from swkpu.report.explain_text import explanation_text

    console.check_folders(args.json)
    explained = _executable(args).explain()
    layers = chosen_layers(explained, args.layer, args.top)
    if args.json is not None:
        shown = explained if args.layer is None and args.top is None else dataclasses.replace(explained, layers=layers)
        console.write_json(shown.to_dict(), args.json)
    if args.json != "-":
        print(explanation_text(explained, layers))
    return OK


def _executable(args: argparse.Namespace) -> Executable:
    """The program of a .kpu file, or of a model that is compiled."""
    if args.model.endswith(".kpu"):
        return load_program(Path(args.model), args.target, args.profile)
    args.target = args.target or DEFAULT_TARGET
    with console.progress(STEPS + 1) as step:
        built = build(options_of(args), step)
        step("simulating")
        return built.executable


def chosen_layers(explained: Explanation, names: Sequence[str] | None, top: int | None) -> tuple[LayerExplanation, ...]:
    """The layers of these names, and of those the ones that lose most. Raises InputError."""
    known = {layer.name for layer in explained.layers}
    for name in names or ():
        if name not in known:
            raise InputError(f"the program has no layer '{name}'; its layers are {', '.join(sorted(known))}")
    if top is not None and top < 0:
        raise InputError(f"--top {top}: expected a number of layers, 0 or more")
    layers = tuple(x for x in explained.layers if names is None or x.name in names)
    return layers if top is None else tuple(sorted(layers, key=lambda x: -x.lost_cycles)[:top])
