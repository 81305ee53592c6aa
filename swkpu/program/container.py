"""The `.kpu` file: a program in sections, each aligned and with its CRC-32.

All numbers little-endian:

    0   magic               89 'S' 'W' 'K' 'P' 'U' 0D 0A
    8   format version      u32
    12  section count       u32
    16  file size           u64
    24  header size         u32     header = this, the section table and the identity
    28  header CRC-32       u32     of the header with this field as zero
    32  section table       per section: id u32, CRC-32 u32, offset u64, size u64
    ..  identity            target name and machine digest, in the encoding of `codec`

Sections follow in order of offset, each at a multiple of 64 bytes; the bytes between them are zero. So every byte of
a file is covered by a check. Sections of unknown id are skipped, an unknown format version is an error. The
constants come last and are never copied: a loaded program maps them from the file.
"""

from __future__ import annotations

import mmap
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING

from swkpu.errors import ProgramError
from swkpu.files import write_whole
from swkpu.program.codec import decode, encode
from swkpu.program.metadata import Facts, decode_facts, encode_facts
from swkpu.program.model import FabricProgram, Program, Segment, Stream, Symbol, TensorMap

if TYPE_CHECKING:
    from swkpu.target.machine import Machine

# As in PNG: the first byte keeps it from being text, the last two reveal a transfer in text mode.
MAGIC = b"\x89SWKPU\r\n"
VERSION = 4
ALIGNMENT = 64
HEADER = Struct("<8sIIQII")
ENTRY = Struct("<IIQQ")
MAX_SECTIONS = 256


class Section(IntEnum):
    COMMANDS = 1
    MAPS = 2
    FABRICS = 3
    SYMBOLS = 4
    METADATA = 5
    CONSTANTS = 6


@dataclass(frozen=True)
class Identity:
    """What machine the program was compiled for."""

    target: str
    target_digest: str


@dataclass(frozen=True)
class Symbols:
    """What the host and the runtime need besides commands: see `Program`."""

    inputs: tuple[Symbol, ...]
    outputs: tuple[Symbol, ...]
    segments: tuple[Segment, ...]
    semaphores: tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """A row of the section table."""

    id: int
    crc: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def name(self) -> str:
        return Section(self.id).name.lower() if self.id in list(Section) else f"unknown section {self.id}"


# Writing


def to_bytes(program: Program) -> bytes:
    """The file's content. The same program always gives the same bytes."""
    return b"".join(_chunks(program))


def save(program: Program, path: str | os.PathLike[str]) -> None:
    """Write a `.kpu` file. It appears under its name only when complete; a failure leaves nothing of it behind."""
    write_whole(path, list(_chunks(program)), ProgramError)


def _chunks(program: Program) -> Iterator[bytes | memoryview]:
    """Header, sections and the zeros between them."""
    sections: dict[Section, bytes | memoryview] = {
        Section.COMMANDS: encode(program.streams, tuple[Stream, ...]),
        Section.MAPS: encode(program.maps, tuple[TensorMap, ...]),
        Section.FABRICS: encode(program.fabrics, tuple[FabricProgram, ...]),
        Section.SYMBOLS: encode(
            Symbols(program.inputs, program.outputs, program.segments, program.semaphores), Symbols
        ),
        Section.METADATA: encode_facts(Facts(program.layers, program.metadata)),
        Section.CONSTANTS: memoryview(program.constants).cast("B"),
    }
    identity = encode(Identity(program.target, program.target_digest), Identity)
    header_size = HEADER.size + len(sections) * ENTRY.size + len(identity)
    table = bytearray()
    end = header_size
    for section, data in sections.items():
        offset = _aligned(end)
        table += ENTRY.pack(section, zlib.crc32(data), offset, len(data))
        end = offset + len(data)
    rest = bytes(table) + identity
    without_crc = HEADER.pack(MAGIC, VERSION, len(sections), end, header_size, 0)
    crc = zlib.crc32(rest, zlib.crc32(without_crc))
    yield HEADER.pack(MAGIC, VERSION, len(sections), end, header_size, crc) + rest
    at = header_size
    for data in sections.values():
        yield bytes(_aligned(at) - at)
        yield data
        at = _aligned(at) + len(data)


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


# Reading


def load(path: str | os.PathLike[str], machine: Machine | None = None, *, verify_constants: bool = True) -> Program:
    """Read a `.kpu` file; with `machine`, also check that the program is well-formed and made for it.

    The constants are mapped, not read: replace the file (as `save` does) rather than overwrite it in place while
    the program is in use. Raises ProgramError with the path and what is wrong.
    """
    try:
        program = from_bytes(_map_file(path), verify_constants=verify_constants)
        if machine is not None:
            from swkpu.program.check import check

            check(program, machine)
    except ProgramError as e:
        raise ProgramError(f"{os.fspath(path)}: {e}") from e
    return program


def _map_file(path: str | os.PathLike[str]) -> memoryview:
    try:
        # Looked at before it is opened: opening a pipe would wait for a writer.
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise ProgramError("is a directory, expected a .kpu file")
        if not stat.S_ISREG(mode):
            raise ProgramError("is not a regular file")
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise ProgramError("the file is empty")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise ProgramError("no such file") from None
    except (OSError, ValueError) as e:
        raise ProgramError(f"cannot read: {getattr(e, 'strerror', None) or e}") from e


def from_bytes(data: bytes | memoryview, *, verify_constants: bool = True) -> Program:
    """The program in `data`, of which the constants stay a view."""
    view = memoryview(data).cast("B").toreadonly()
    identity, entries = _read_header(view)
    sections = {e.id: _section(view, e, verify_constants or e.id != Section.CONSTANTS) for e in entries}
    for section in Section:
        if section not in sections:
            raise ProgramError(f"the {section.name.lower()} section is missing")
    current = Section.COMMANDS
    try:
        streams = decode(sections[current], tuple[Stream, ...])
        current = Section.MAPS
        maps = decode(sections[current], tuple[TensorMap, ...])
        current = Section.FABRICS
        fabrics = decode(sections[current], tuple[FabricProgram, ...])
        current = Section.SYMBOLS
        symbols = decode(sections[current], Symbols)
        current = Section.METADATA
        facts = decode_facts(sections[current])
    except ProgramError as e:
        raise ProgramError(f"{current.name.lower()} section: {e}") from e
    return Program(
        target=identity.target,
        target_digest=identity.target_digest,
        streams=streams,
        maps=maps,
        fabrics=fabrics,
        semaphores=symbols.semaphores,
        segments=symbols.segments,
        constants=sections[Section.CONSTANTS],
        inputs=symbols.inputs,
        outputs=symbols.outputs,
        layers=facts.layers,
        metadata=facts.metadata,
    )


def _read_header(data: memoryview) -> tuple[Identity, list[Entry]]:
    if bytes(data[: len(MAGIC)]) != MAGIC[: len(data)]:
        raise ProgramError(f"not a .kpu program: it starts with {bytes(data[:8])!r}, expected {MAGIC!r}")
    if len(data) < HEADER.size:
        raise ProgramError(f"truncated: {len(data)} bytes, the header alone takes {HEADER.size}")
    magic, version, count, file_size, header_size, crc = HEADER.unpack_from(data)
    if version != VERSION:
        raise ProgramError(f"format version {version}; this swkpu reads version {VERSION}")
    if len(data) != file_size:
        what = "truncated" if len(data) < file_size else "too long"
        raise ProgramError(f"{what}: {len(data)} bytes, the header says {file_size}")
    table_end = HEADER.size + count * ENTRY.size
    if count > MAX_SECTIONS or not table_end <= header_size <= len(data):
        raise ProgramError(f"corrupted header: {count} sections in a header of {header_size} bytes")
    without_crc = HEADER.pack(magic, version, count, file_size, header_size, 0)
    if zlib.crc32(data[HEADER.size : header_size], zlib.crc32(without_crc)) != crc:
        raise ProgramError("corrupted header: its CRC-32 does not match")
    entries = [Entry(*row) for row in ENTRY.iter_unpack(data[HEADER.size : table_end])]
    _check_layout(data, entries, header_size)
    return decode(data[table_end:header_size], Identity), entries


def _check_layout(data: memoryview, entries: list[Entry], header_size: int) -> None:
    """Sections are aligned, in order, inside the file, of distinct ids, and separated by zeros."""
    end = header_size
    seen = set[int]()
    for e in entries:
        if e.id in seen:
            raise ProgramError(f"two {e.name} sections")
        seen.add(e.id)
        if e.offset != _aligned(end) or e.end > len(data):
            raise ProgramError(
                f"{e.name} section: bytes {e.offset} to {e.end} of {len(data)}, expected to start at {_aligned(end)}"
            )
        if any(data[end : e.offset]):
            raise ProgramError(f"corrupted: the bytes before the {e.name} section are not zero")
        end = e.end
    if end != len(data):
        raise ProgramError(f"corrupted: {len(data) - end} bytes after the last section")


def _section(data: memoryview, entry: Entry, verify: bool) -> memoryview:
    content = data[entry.offset : entry.end]
    if verify and zlib.crc32(content) != entry.crc:
        raise ProgramError(f"corrupted: the CRC-32 of the {entry.name} section does not match")
    return content
