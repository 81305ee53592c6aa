"""L2 loops over a reduction: values at every level, and what a mapping with them may not do."""

from __future__ import annotations

import pytest
from test_split_reduction import assert_computes, conv_inputs, conv_text, kpu_module
from test_timing_reference import assert_agree

from swkpu.errors import MappingError
from swkpu.target import load_target

BODY = "rows = [oh, ow], cols = [oc]"


def mapping(l2: str, part: str, result: str = "dram") -> str:
    return f"#df.mapping<l2 = {l2}, result = {result}, parts = [{part}]>"


@pytest.mark.parametrize("kind,group", [("i8", "int8"), ("bf16", "bf16")])
@pytest.mark.parametrize("dataflow", ["os", "ws"])
@pytest.mark.parametrize(
    "l2,cut",
    [
        ("{ic = 8}", "l1 = {}, order = []"),
        ("{oh = 3, oc = 16, ic = 8}", "l1 = {}, order = []"),
        ("{oc = 16, ic = 8}", "l1 = {ic = 4}, order = [ic]"),
        ("{oh = 2, kh = 1, ic = 16}", "l1 = {}, order = []"),
    ],
)
def test_values(kind: str, group: str, dataflow: str, l2: str, cut: str) -> None:
    inputs, expected = conv_inputs(6, 16, 32, kind)
    part = f"<{group}, space = {{ow = 2}}, {cut}, {BODY}, {dataflow}, buffers = 2>"
    program = assert_computes(conv_text(6, 16, 32, kind, mapping(l2, part)), inputs, expected)
    assert_agree(program, load_target("kpu-t64"), True)


def test_two_groups_share_it() -> None:
    inputs, expected = conv_inputs(6, 16, 32, "i8")
    parts = ", ".join(
        f"<{group}, share = {share}, space = {{ow = 2}}, l1 = {{}}, order = [], {BODY}, ws, buffers = 2>"
        for group, share in (("int8", "[0, 20]"), ("matrix", "[20, 32]"))
    )
    text = f"#df.mapping<l2 = {{oh = 3, ic = 8}}, result = dram, split = oc, parts = [{parts}]>"
    assert_computes(conv_text(6, 16, 32, "i8", text), inputs, expected)


@pytest.mark.parametrize(
    "l2,part,message",
    [
        ("{ic = 8, oh = 3}", "l1 = {}, order = []", "reduction dims come last in `l2`"),
        ("{ic = 5}", "l1 = {}, order = []", "`l2` cuts the 16 points of 'ic' into tiles of 5, not exactly"),
        ("{ic = 8}", "l1 = {oh = 3}, order = [oh]", "the part on 'int8' cuts oh into pieces"),
        ("{ic = 8}", "space = {ic = 2}, l1 = {}, order = []", "the part on 'int8' splits a reduction over tiles"),
    ],
)
def test_what_cannot_be(l2: str, part: str, message: str) -> None:
    with pytest.raises(MappingError) as error:
        kpu_module(conv_text(6, 16, 32, "i8", mapping(l2, f"<int8, {part}, {BODY}, os, buffers = 2>")))
    assert message in str(error.value)
