"""The ISA page is what the dataclasses say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from programs import linear_program

from swkpu.program.assembly import disassemble
from swkpu.program.container import VERSION, Section
from swkpu.program.isa_doc import FIELDS, main, tables, updated
from swkpu.program.model import COMMANDS, MicroOpcode
from swkpu.target import load_target

PAGE = Path(__file__).parents[2] / "docs" / "isa.md"


def test_the_page_is_up_to_date():
    page = PAGE.read_text()
    assert updated(page) == page, "run `python -m swkpu.program.isa_doc docs/isa.md`"


def test_commands_and_their_fields_are_in_the_tables():
    text = tables()
    for command in COMMANDS:
        assert f"#### `{command.mnemonic}`\n\nOpcode `{command.opcode:#04x}`" in text
        for field in fields(command):
            assert f"| `{field.name}` |" in text
    for opcode in MicroOpcode:
        assert f"| {opcode.value} | `{opcode.name.lower()}` |" in text


def test_no_field_is_described_that_no_command_has():
    assert set(FIELDS) == {f.name for command in COMMANDS for f in fields(command)}


def test_the_sections_are_in_the_page():
    page = PAGE.read_text()
    assert f"format version, {VERSION} |" in page
    for section in Section:
        assert f"| {section.value} | {section.name.lower()} |" in page


def test_the_example_is_what_the_disassembler_prints():
    example = PAGE.read_text().split("```")[1].strip().splitlines()
    text = disassemble(linear_program(load_target("kpu-t64"))).splitlines()
    assert [line for line in example if line.strip() != "..." and line not in text] == []


def test_the_tool_prints_and_updates(tmp_path: Path):
    printed = subprocess.run(
        [sys.executable, "-m", "swkpu.program.isa_doc"],
        capture_output=True,
        text=True,
        check=True,
        cwd=PAGE.parents[1],
    )
    assert printed.stdout == tables() + "\n"
    stale = tmp_path / "isa.md"
    stale.write_text(PAGE.read_text().replace("Opcode `0x30`", "Opcode `0x31`"))
    main([str(stale)])
    assert stale.read_text() == PAGE.read_text()


def test_a_page_without_markers():
    with pytest.raises(ValueError, match="unpack"):
        updated("# No markers")
