"""The `.kpu` file: round trips, that every defect is found, and that saving is all or nothing."""

from __future__ import annotations

import os
import random
import time
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from program_strategies import programs
from programs import layer, linear_program

from swkpu.errors import ProgramError
from swkpu.program.check import check
from swkpu.program.container import ALIGNMENT, ENTRY, HEADER, VERSION, Section, from_bytes, load, save, to_bytes
from swkpu.program.model import Program
from swkpu.target import load_target
from swkpu.target.machine import Machine


@pytest.fixture(scope="module")
def machine() -> Machine:
    return load_target("kpu-t64")


@pytest.fixture(scope="module")
def program(machine: Machine) -> Program:
    return linear_program(machine)


@pytest.fixture(scope="module")
def data(program: Program) -> bytes:
    return to_bytes(program)


def header_with(data: bytes, **changes: int) -> bytearray:
    """The file with fields of the header changed, and the header's CRC-32 as it then is."""
    names = ("magic", "version", "count", "file_size", "header_size", "crc")
    fields = dict(zip(names, HEADER.unpack_from(data), strict=True)) | changes
    result = bytearray(data)
    rest = data[HEADER.size : fields["header_size"]]
    fields["crc"] = zlib.crc32(rest, zlib.crc32(HEADER.pack(*(fields | {"crc": 0}).values())))
    result[: HEADER.size] = HEADER.pack(*fields.values())
    return result


def entry_at(section: Section) -> int:
    return HEADER.size + (section - 1) * ENTRY.size


def with_section(data: bytes, section: Section, content: bytes) -> bytes:
    """The file with other content of the same size in a section, all CRCs right."""
    result = bytearray(data)
    number, _, offset, size = ENTRY.unpack_from(data, entry_at(section))
    assert len(content) == size
    result[offset : offset + size] = content
    ENTRY.pack_into(result, entry_at(section), number, zlib.crc32(content), offset, size)
    return bytes(header_with(bytes(result)))


def content(data: bytes, section: Section) -> bytes:
    _, _, offset, size = ENTRY.unpack_from(data, entry_at(section))
    return data[offset : offset + size]


@given(programs())
@settings(max_examples=50, deadline=None)
def test_programs_survive_the_round_trip(program: Program):
    data = to_bytes(program)
    assert from_bytes(data) == program
    assert to_bytes(from_bytes(data)) == data


def test_sections_are_aligned(data: bytes):
    for section in Section:
        number, _, offset, _ = ENTRY.unpack_from(data, entry_at(section))
        assert number == section
        assert offset % ALIGNMENT == 0


def test_constants_are_not_copied(program: Program, tmp_path: Path):
    large = replace(program, constants=bytes(64 << 20))
    save(large, tmp_path / "large.kpu")
    tracemalloc.start()
    loaded = load(tmp_path / "large.kpu")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert isinstance(loaded.constants, memoryview)
    assert loaded.constants.readonly
    assert len(loaded.constants) == 64 << 20


def test_every_corrupted_byte_is_found(data: bytes):
    for i in range(len(data)):
        corrupted = bytearray(data)
        corrupted[i] ^= 0x10
        with pytest.raises(ProgramError):
            from_bytes(bytes(corrupted))


def test_every_truncation_is_found(data: bytes):
    for size in range(len(data)):
        with pytest.raises(ProgramError):
            from_bytes(data[:size])
    with pytest.raises(ProgramError, match="too long"):
        from_bytes(data + b"\0")


def test_mutated_sections_with_right_checksums_give_a_program_or_an_error(data: bytes, machine: Machine):
    rng = random.Random(2)
    begin = time.perf_counter()
    tracemalloc.start()
    decoded = 0
    for _ in range(1000):
        section = rng.choice([s for s in Section if s is not Section.CONSTANTS])
        mutated = bytearray(content(data, section))
        for _ in range(rng.randint(1, 3)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        try:
            program = from_bytes(with_section(data, section, bytes(mutated)))
            decoded += 1
            assert isinstance(program, Program)
            check(program, machine, any_target=True)
        except ProgramError:
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decoded > 100
    assert peak < 8 << 20
    assert time.perf_counter() - begin < 60


def test_constants_may_be_verified_later(data: bytes):
    corrupted = bytearray(data)
    corrupted[-1] ^= 1
    with pytest.raises(ProgramError, match="CRC-32 of the constants section"):
        from_bytes(bytes(corrupted))
    assert bytes(from_bytes(bytes(corrupted), verify_constants=False).constants) == content(
        corrupted, Section.CONSTANTS
    )


def test_the_wrong_kind_of_file(data: bytes):
    with pytest.raises(ProgramError, match=r"not a \.kpu program: it starts with b'PK"):
        from_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(ProgramError, match=r"not a \.kpu program"):
        from_bytes(b"#!")
    with pytest.raises(ProgramError, match=r"not a \.kpu program"):
        from_bytes(data.replace(b"\r\n", b"\n"))


def test_another_version(data: bytes):
    with pytest.raises(ProgramError, match=f"format version {VERSION + 1}; this swkpu reads version {VERSION}"):
        from_bytes(header_with(data, version=VERSION + 1))


def test_a_header_that_lies(data: bytes):
    with pytest.raises(ProgramError, match="corrupted header"):
        from_bytes(header_with(data, count=1 << 31))
    with pytest.raises(ProgramError, match="corrupted header"):
        from_bytes(header_with(data, header_size=(1 << 32) - 1))
    with pytest.raises(ProgramError, match="corrupted header"):
        from_bytes(header_with(data, header_size=8))


@pytest.mark.parametrize("change", [(64, 0), (0, 1 << 60), (-64, 0), (1 << 63, 0)])
def test_a_section_elsewhere(data: bytes, change: tuple[int, int]):
    moved = bytearray(data)
    number, crc, offset, size = ENTRY.unpack_from(data, entry_at(Section.FABRICS))
    ENTRY.pack_into(moved, entry_at(Section.FABRICS), number, crc, offset + change[0], size + change[1])
    with pytest.raises(ProgramError, match=r"fabrics section: bytes|maps section: bytes|symbols section"):
        from_bytes(header_with(bytes(moved)))


def renumbered(data: bytes, section: Section, number: int) -> bytearray:
    result = bytearray(data)
    _, *rest = ENTRY.unpack_from(data, entry_at(section))
    ENTRY.pack_into(result, entry_at(section), number, *rest)
    return header_with(bytes(result))


def test_a_missing_and_a_repeated_section(data: bytes):
    with pytest.raises(ProgramError, match="the maps section is missing"):
        from_bytes(renumbered(data, Section.MAPS, 99))
    with pytest.raises(ProgramError, match="two commands sections"):
        from_bytes(renumbered(data, Section.MAPS, Section.COMMANDS))


def test_unknown_sections_are_skipped(data: bytes, program: Program):
    extra = b"a later version's own"
    magic, version, count, _, header_size, _ = HEADER.unpack_from(data)
    table_end = HEADER.size + count * ENTRY.size
    shift = -(-(header_size + ENTRY.size) // ALIGNMENT) * ALIGNMENT - -(-header_size // ALIGNMENT) * ALIGNMENT
    entries = [list(e) for e in ENTRY.iter_unpack(data[HEADER.size : table_end])]
    for e in entries:
        e[2] += shift
    body = data[-(-header_size // ALIGNMENT) * ALIGNMENT :]
    body += bytes(-len(body) % ALIGNMENT)
    first = entries[0][2]
    entries.append([1000, zlib.crc32(extra), first + len(body), len(extra)])
    rest = b"".join(ENTRY.pack(*e) for e in entries) + data[table_end:header_size]
    size = first + len(body) + len(extra)
    header = HEADER.pack(magic, version, count + 1, size, HEADER.size + len(rest), 0)
    file = (header + rest).ljust(first, b"\0") + body + extra
    file = header_with(file)
    assert from_bytes(file) == program
    file[-1] ^= 1
    with pytest.raises(ProgramError, match="unknown section 1000"):
        from_bytes(file)


def test_a_section_that_does_not_decode_is_named(data: bytes):
    commands = content(data, Section.COMMANDS)
    with pytest.raises(ProgramError, match=r"commands section: byte 0: .* elements where"):
        from_bytes(with_section(data, Section.COMMANDS, b"\x7f" + commands[1:]))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"batch":1', b'"batch":-', "not JSON"),
        (b'"batch":1', b'"butch":1', "canonical form|expected an object with the keys"),
        (b'"precision":"bf16"', b'"precision":"b\\u16', "not JSON"),
        (b'"compiler":"by hand"', b'"compiler":123456789', "compiler: expected str, found int"),
        (b'"compiler":"by hand"', b'"compiler":"\\ud800ab', "not JSON"),
        (b'"compiler":"by hand"', b'"compiler" :"y hand"', "canonical form"),
        (b'"macs":4096,', b'"macs":4e96,', "canonical form|expected int, found float"),
        (b'"macs":4096,', b'"macs":true,', "expected int, found bool"),
    ],
)
def test_bad_metadata(data: bytes, old: bytes, new: bytes, message: str):
    facts = content(data, Section.METADATA)
    assert old in facts
    with pytest.raises(ProgramError, match=f"metadata section: .*({message})"):
        from_bytes(with_section(data, Section.METADATA, facts.replace(old, new)[: len(facts)].ljust(len(facts))))


def test_deeply_nested_metadata(data: bytes):
    size = len(content(data, Section.METADATA))
    with pytest.raises(ProgramError, match="metadata section: not JSON"):
        from_bytes(with_section(data, Section.METADATA, b"[" * size))


@pytest.mark.parametrize("tiling", [{"m": (1, 2)}, {1: 2}, {"m": {3}}, {"m": float("nan")}])
def test_tiling_that_json_cannot_hold(program: Program, tiling: dict[str, object]):
    bad = replace(program, layers=(replace(layer("conv1"), tiling=tiling),))
    with pytest.raises(ProgramError, match="JSON"):
        to_bytes(bad)


# Files


def test_save_and_load(program: Program, machine: Machine, tmp_path: Path):
    path = tmp_path / "a program.kpu"
    save(program, path)
    assert load(path, machine) == program
    assert path.read_bytes() == to_bytes(program)
    assert os.listdir(tmp_path) == [path.name]


def test_save_replaces_a_file_in_use(program: Program, tmp_path: Path):
    path = tmp_path / "p.kpu"
    save(program, path)
    in_use = load(path)
    save(replace(program, constants=b"other"), path)
    assert in_use == program
    assert bytes(load(path).constants) == b"other"


def test_save_follows_links(program: Program, tmp_path: Path):
    link = tmp_path / "link.kpu"
    link.symlink_to(tmp_path / "real.kpu")
    save(program, link)
    assert link.is_symlink()
    assert load(tmp_path / "real.kpu") == program


def test_a_failed_save_leaves_nothing(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProgramError, match=r"cannot write .*p\.kpu: No space left on device"):
        save(program, tmp_path / "p.kpu")
    assert os.listdir(tmp_path) == []


def test_a_failed_save_keeps_the_old_file(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save(program, tmp_path / "p.kpu")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(replace(program, constants=b"other"), tmp_path / "p.kpu")
    monkeypatch.undo()
    assert load(tmp_path / "p.kpu") == program
    assert os.listdir(tmp_path) == ["p.kpu"]


def test_save_where_no_file_can_be(program: Program, tmp_path: Path):
    with pytest.raises(ProgramError, match=r"cannot write .*: No such file"):
        save(program, tmp_path / "missing" / "p.kpu")
    with pytest.raises(ProgramError, match=r"cannot write .*: Is a directory"):
        save(program, tmp_path)
    assert os.listdir(tmp_path) == []


def test_save_does_not_replace_a_pipe(program: Program, tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    save(program, pipe)
    assert pipe.is_fifo()
    assert os.read(reader, 1 << 16) == to_bytes(program)
    os.close(reader)


def test_an_invalid_program_is_not_saved(program: Program, tmp_path: Path):
    with pytest.raises(ProgramError, match="cannot encode"):
        save(replace(program, semaphores=(1 << 70,)), tmp_path / "p.kpu")
    assert os.listdir(tmp_path) == []


def test_load_says_which_file_and_what_is_wrong(data: bytes, machine: Machine, tmp_path: Path):
    path = tmp_path / "p.kpu"
    with pytest.raises(ProgramError, match=r"p\.kpu: no such file"):
        load(path)
    with pytest.raises(ProgramError, match="is a directory"):
        load(tmp_path)
    with pytest.raises(ProgramError, match="cannot read: embedded null byte"):
        load("a\0b")
    path.write_bytes(b"")
    with pytest.raises(ProgramError, match=r"p\.kpu: the file is empty"):
        load(path)
    path.write_bytes(data[:100])
    with pytest.raises(ProgramError, match=r"p\.kpu: truncated: 100 bytes"):
        load(path)
    path.write_bytes(data)
    with pytest.raises(ProgramError, match=r"p\.kpu: compiled for target 'kpu-t64', and this is 'kpu-t256'"):
        load(path, load_target("kpu-t256"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProgramError, match="not a regular file"):
        load(tmp_path / "pipe")
