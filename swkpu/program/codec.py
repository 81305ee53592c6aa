"""Binary encoding of the program's values, derived from the dataclass annotations in `model.py`.

    int                 zigzag, then LEB128; 64 bits at most
    float               IEEE double, 8 bytes, little-endian
    str                 byte count (LEB128), UTF-8
    bytes               byte count (LEB128), bytes
    IntEnum             the member's value (LEB128)
    tuple[T, ...]       element count (LEB128), elements
    tuple[A, B]         elements
    T | None            0, or 1 and the value
    dataclass           if any field has a default: one byte, bit i set when the i-th such field is written;
                        then the fields without default, then those that differ from their default
    Command             the opcode byte, then the command's fields as for any dataclass

Every value has one encoding, so `decode(encode(v)) == v` and `encode(decode(b)) == b`: the decoder refuses overlong
integers, written defaults and bytes left over. It trusts nothing: a count is compared with the bytes that remain
before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import index
from struct import Struct
from struct import error as StructError
from typing import Any, TypeVar, cast

from swkpu.errors import ProgramError
from swkpu.program.model import BY_OPCODE, COMMANDS, Command
from swkpu.program.schema import (
    AnyCommand,
    Enumeration,
    Fixed,
    Json,
    Optional,
    Record,
    Scalar,
    Schema,
    Sequence,
    record,
    schema,
)

T = TypeVar("T")
Writer = Callable[[bytearray, Any], None]
"""Appends the encoding of a value."""
Reader = Callable[[bytes, int], tuple[Any, int]]
"""Reads a value at a position; returns it and the position after it. Running off the end raises IndexError."""

MAX_VARINT_BYTES = 10
DOUBLE = Struct("<d")


def encode(value: Any, annotation: Any) -> bytes:
    """The bytes of `value`, which is of the type `annotation`. Raises ProgramError when it is not."""
    write, out = _writer(schema(annotation)), bytearray()
    try:
        write(out, value)
    except (TypeError, AttributeError, ValueError, StructError, OverflowError) as e:
        raise ProgramError(f"cannot encode a {type(value).__name__} as {_name(annotation)}: {e}") from e
    return bytes(out)


def decode(data: bytes | memoryview, annotation: type[T]) -> T:
    """The value of type `annotation` whose encoding `data` is. Raises ProgramError when it is not one."""
    data = bytes(data)
    try:
        value, end = _reader(schema(annotation))(data, 0)
    except IndexError:
        raise ProgramError(f"{_name(annotation)}: the data ends in the middle of a value") from None
    if end != len(data):
        raise ProgramError(f"{_name(annotation)}: {len(data) - end} bytes left over after byte {end}")
    return cast(T, value)


def _name(annotation: Any) -> str:
    return (
        annotation.__name__ if isinstance(annotation, type) and annotation.__module__ != "builtins" else str(annotation)
    )


# Varints


def write_unsigned(out: bytearray, value: int) -> None:
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{value} does not fit 64 bits")
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def read_unsigned(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, start, shift = byte & 0x7F, at, 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if at - start >= MAX_VARINT_BYTES - 1:
            raise ProgramError(f"byte {start}: an integer of more than 64 bits")
    if byte == 0:
        raise ProgramError(f"byte {start}: an integer is longer than it needs to be")
    if value >> 64:
        raise ProgramError(f"byte {start}: an integer of more than 64 bits")
    return value, at + 1


def _write_int(out: bytearray, value: Any) -> None:
    value = index(value)
    write_unsigned(out, value << 1 if value >= 0 else (-value << 1) - 1)


def _read_int(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    at += 1
    if value >= 0x80:
        value, at = read_unsigned(data, at - 1)
    return (value >> 1) ^ -(value & 1), at


# Other scalars


def _write_float(out: bytearray, value: float) -> None:
    out += DOUBLE.pack(value)


def _read_float(data: bytes, at: int) -> tuple[float, int]:
    end = at + 8
    if end > len(data):
        raise IndexError
    return DOUBLE.unpack_from(data, at)[0], end


def _write_bytes(out: bytearray, value: Any) -> None:
    if not isinstance(value, bytes):
        raise TypeError(f"expected bytes, found {value!r}")
    write_unsigned(out, len(value))
    out += value


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size, start = read_unsigned(data, at)
    end = start + size
    if end > len(data):
        raise ProgramError(f"byte {at}: a string of {size} bytes where {len(data) - start} remain")
    return data[start:end], end


def _write_str(out: bytearray, value: str) -> None:
    _write_bytes(out, value.encode())


def _read_str(data: bytes, at: int) -> tuple[str, int]:
    text, end = _read_bytes(data, at)
    try:
        return text.decode(), end
    except UnicodeDecodeError as e:
        raise ProgramError(f"byte {at}: a string that is not UTF-8 ({e.reason})") from None


_SCALARS: dict[type[Any], tuple[Writer, Reader]] = {
    int: (_write_int, _read_int),
    float: (_write_float, _read_float),
    str: (_write_str, _read_str),
    bytes: (_write_bytes, _read_bytes),
}


# Writers


@cache
def _writer(s: Schema) -> Writer:
    match s:
        case Scalar():
            return _SCALARS[s.type][0]
        case Enumeration():
            return lambda out, value: write_unsigned(out, s.type(value).value)
        case Sequence():
            return _sequence_writer(s)
        case Fixed():
            return _fixed_writer(s)
        case Optional():
            return _optional_writer(s)
        case Record():
            return _record_writer(s)
        case AnyCommand():
            return _command_writer()
        case Json():
            raise TypeError("JSON values are encoded in the metadata section only")


def _sequence_writer(s: Sequence) -> Writer:
    element = _writer(s.element)

    def write(out: bytearray, value: Any) -> None:
        write_unsigned(out, len(value))
        for v in value:
            element(out, v)

    return write


def _fixed_writer(s: Fixed) -> Writer:
    elements = [_writer(e) for e in s.elements]

    def write(out: bytearray, value: Any) -> None:
        for element, v in zip(elements, value, strict=True):
            element(out, v)

    return write


def _optional_writer(s: Optional) -> Writer:
    element = _writer(s.element)

    def write(out: bytearray, value: Any) -> None:
        out.append(value is not None)
        if value is not None:
            element(out, value)

    return write


def _encoded_default(s: Schema, default: Any) -> bytes:
    out = bytearray()
    _writer(s)(out, default)
    return bytes(out)


def _record_writer(s: Record) -> Writer:
    required = [(f.name, _writer(f.schema)) for f in s.required]
    defaulted = [(f.name, _writer(f.schema), _encoded_default(f.schema, f.default)) for f in s.defaulted]

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, s.type):
            raise TypeError(f"expected {s.type.__name__}, found {value!r}")
        mask_at = len(out)
        if defaulted:
            out.append(0)
        for name, field in required:
            field(out, getattr(value, name))
        for bit, (name, field, default) in enumerate(defaulted):
            start = len(out)
            field(out, getattr(value, name))
            # Compared as bytes, not as values: -0.0 is not the default 0.0.
            if out.endswith(default, start) and len(out) == start + len(default):
                del out[start:]
            else:
                out[mask_at] |= 1 << bit

    return write


def _command_writer() -> Writer:
    writers = {cls: _writer(record(cls)) for cls in COMMANDS}

    def write(out: bytearray, value: Command) -> None:
        if type(value) not in writers:
            raise TypeError(f"expected a command, found {value!r}")
        out.append(value.opcode)
        writers[type(value)](out, value)

    return write


# Readers


@cache
def _reader(s: Schema) -> Reader:
    match s:
        case Scalar():
            return _SCALARS[s.type][1]
        case Enumeration():
            return _enum_reader(s)
        case Sequence():
            return _sequence_reader(s)
        case Fixed():
            return _fixed_reader(s)
        case Optional():
            return _optional_reader(s)
        case Record():
            return _record_reader(s)
        case AnyCommand():
            return _command_reader()
        case Json():
            raise TypeError("JSON values are encoded in the metadata section only")


def _enum_reader(s: Enumeration) -> Reader:
    members = {m.value: m for m in s.type}

    def read(data: bytes, at: int) -> tuple[Any, int]:
        value, end = read_unsigned(data, at)
        if value not in members:
            raise ProgramError(f"byte {at}: {value} is no {s.type.__name__}")
        return members[value], end

    return read


def _smallest(s: Schema) -> int:
    """The least number of bytes that a value takes."""
    match s:
        case Scalar():
            return 8 if s.type is float else 1
        case Fixed():
            return sum(_smallest(e) for e in s.elements)
        case Record():
            return bool(s.defaulted) + sum(_smallest(f.schema) for f in s.required)
        case _:
            return 1


ONE_BYTE_INTS = tuple((byte >> 1) ^ -(byte & 1) for byte in range(0x80))


def _read_ints(data: bytes, at: int) -> tuple[Any, int]:
    """`tuple[int, ...]`, the bulk of a program: at once when all elements take one byte."""
    count, start = read_unsigned(data, at)
    end = start + count
    if end > len(data):
        raise ProgramError(f"byte {at}: {count} elements where {len(data) - start} bytes remain")
    one_byte_each = data[start:end]
    if one_byte_each.isascii():
        return tuple([ONE_BYTE_INTS[byte] for byte in one_byte_each]), end
    values: list[int] = []
    at = start
    for _ in range(count):
        value, at = _read_int(data, at)
        values.append(value)
    return tuple(values), at


def _sequence_reader(s: Sequence) -> Reader:
    if s.element == Scalar(int):
        return _read_ints
    element, smallest = _reader(s.element), _smallest(s.element)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        count, start = read_unsigned(data, at)
        if count * smallest > len(data) - start:
            raise ProgramError(f"byte {at}: {count} elements where {len(data) - start} bytes remain")
        values: list[Any] = []
        at = start
        for _ in range(count):
            value, at = element(data, at)
            values.append(value)
        return tuple(values), at

    return read


def _fixed_reader(s: Fixed) -> Reader:
    elements = [_reader(e) for e in s.elements]

    def read(data: bytes, at: int) -> tuple[Any, int]:
        values: list[Any] = []
        for element in elements:
            value, at = element(data, at)
            values.append(value)
        return tuple(values), at

    return read


def _optional_reader(s: Optional) -> Reader:
    element = _reader(s.element)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        present = data[at]
        if present > 1:
            raise ProgramError(f"byte {at}: {present} where 0 (absent) or 1 (present) is expected")
        return element(data, at + 1) if present else (None, at + 1)

    return read


def _record_reader(s: Record) -> Reader:
    required = [(f.name, _reader(f.schema)) for f in s.required]
    defaulted = [
        (1 << bit, f.name, _reader(f.schema), _encoded_default(f.schema, f.default))
        for bit, f in enumerate(s.defaulted)
    ]
    defaults = {f.name: f.default for f in s.defaulted}
    unused = ~((1 << len(defaulted)) - 1)
    all_defaults = s.type() if not required else None
    new, set_attribute = object.__new__, object.__setattr__

    def read(data: bytes, at: int) -> tuple[Any, int]:
        mask = 0
        if defaulted:
            mask = data[at]
            at += 1
            if mask == 0 and all_defaults is not None:
                return all_defaults, at
            if mask & unused:
                raise ProgramError(f"byte {at - 1}: {s.type.__name__} has no field for a bit of {mask:#x}")
        values = defaults.copy()
        for name, field in required:
            values[name], at = field(data, at)
        if mask:
            for bit, name, field, default in defaulted:
                if mask & bit:
                    start = at
                    values[name], at = field(data, at)
                    if data[start:at] == default:
                        raise ProgramError(
                            f"byte {start}: {s.type.__name__}.{name} is written though it is the default"
                        )
        # What the generated __init__ of a frozen dataclass does, in one call instead of one per field.
        value = new(s.type)
        set_attribute(value, "__dict__", values)
        return value, at

    return read


def _command_reader() -> Reader:
    readers = {opcode: _reader(record(cls)) for opcode, cls in BY_OPCODE.items()}

    def read(data: bytes, at: int) -> tuple[Any, int]:
        reader = readers.get(data[at])
        if reader is None:
            raise ProgramError(f"byte {at}: {data[at]:#04x} is no opcode")
        return reader(data, at + 1)

    return read
