"""Machine descriptions: derived figures, validation, and that no text crashes the loader."""

import pickle
import tomllib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swkpu.errors import TargetError
from swkpu.target import Machine, list_targets, load_target, load_text, warnings
from swkpu.target.loader import _MACHINES
from swkpu.target.machine import DTYPE_OF_PRECISION
from swkpu.target.table import target_rows

T64 = (_MACHINES / "kpu-t64.toml").read_text("utf-8")


def edited(*replacements: tuple[str, str]) -> str:
    text = T64
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def test_built_in_targets():
    assert list_targets() == [
        "kpu-16x16",
        "kpu-sim",
        "kpu-t64",
        "kpu-t64-r2",
        "kpu-t256",
        "kpu-t256-r2",
        "kpu-t768",
        "kpu-t768-r2",
        "swkpu-v1",
    ]


@pytest.mark.parametrize("name", list_targets())
def test_built_in_loads_at_every_profile(name: str):
    machine = load_target(name)
    assert machine.name == name
    assert machine.profile_name == machine.clock.default_profile
    for profile in machine.clock.profiles:
        at_profile = load_target(name, profile)
        assert at_profile == machine.with_profile(profile)
        assert at_profile.digest == machine.digest
        assert warnings(at_profile) == []
    assert pickle.loads(pickle.dumps(machine)) == machine
    assert hash(machine) == hash(load_target(name))


@pytest.mark.parametrize(
    ("name", "dtype", "macs"),
    [
        ("swkpu-v1", "i8", 4096),
        ("swkpu-v1", "f16", 2048),
        ("swkpu-v1", "f32", 0),
        ("kpu-16x16", "i8", 256),
        ("kpu-16x16", "i4", 256),
        ("kpu-t64", "i8", 44 * 128 + 7 * 256),
        ("kpu-t64", "i8", 7424),
        ("kpu-t64", "i4", 44 * 256 + 7 * 256),
        ("kpu-t64", "bf16", 13 * 128 + 7 * 128),
        ("kpu-t64", "f32", 13 * 64),
        ("kpu-t256", "i8", 179 * 128 + 26 * 256),
        ("kpu-t768", "i8", 537 * 128 + 77 * 256),
        ("kpu-t64-r2", "i8", 64 * 1024),
        ("kpu-t64-r2", "i4", 44 * 2048 + 20 * 1024),
        ("kpu-t64-r2", "f32", 13 * 256),
        ("kpu-t256-r2", "bf16", 256 * 512),
        ("kpu-t768-r2", "i8", (537 + 154) * 256 + 77 * 4096),
        ("kpu-t768-r2", "bf16", (537 + 154) * 128 + 77 * 2048),
        ("kpu-sim", "f32", 256),
    ],
)
def test_peaks(name: str, dtype: str, macs: int):
    assert load_target(name).peak_macs_per_cycle(dtype) == macs


def test_derived_figures():
    t64 = load_target("kpu-t64")
    assert t64.dram_bytes_per_cycle == Fraction(2560, 17)
    assert t64.dram_latency_cycles == 85
    assert load_target("kpu-t64", "3W").dram_bytes_per_cycle == 160
    assert round(t64.peak_tops("i8"), 1) == 12.6
    assert [i for i, _ in t64.groups_for("i8")] == [0, 2]
    assert [g.kind for _, g in t64.groups_for("bf16")] == ["bf16", "matrix"]
    assert t64.tile_groups[1].macs_per_pe["f32"] == Fraction(1, 2)
    assert t64.noc_transfer_pj == 0.5 * 512
    assert t64.energy_scale == 1.0
    v1 = load_target("swkpu-v1")
    assert v1.tile_groups[0].stream_bytes_per_cycle("i8") == v1.tile_groups[0].l1_read_bytes_per_cycle == 512
    assert v1.dram_bytes_per_cycle == Fraction(256, 5)
    assert load_target("kpu-t768-r2").tile_groups[2].stream_bytes_per_cycle("i8") == 1024


def test_energy_scale():
    text = edited(("mhz = 850, ", "mhz = 850, voltage_v = 0.4, "))
    assert load_text(text).energy_scale == pytest.approx(0.25)


def test_compute_bound_of_one_precision_is_macs_over_peak():
    t64 = load_target("kpu-t64")
    assert t64.compute_bound_cycles({}) == 0
    assert t64.compute_bound_cycles({"i8": 0}) == 0
    for dtype in DTYPE_OF_PRECISION.values():
        assert t64.compute_bound_cycles({dtype: 12345}) == Fraction(12345) / t64.peak_macs_per_cycle(dtype)


def test_compute_bound_of_a_mix():
    t64 = load_target("kpu-t64")
    # bf16 tiles do 1664 bf16 MACs/cycle, int8 tiles 5632 int8 MACs/cycle; the matrix tiles take the rest of either.
    assert t64.compute_bound_cycles({"bf16": 1664, "i8": 5632 + 1792}) == 1
    assert t64.compute_bound_cycles({"bf16": 1664 + 448, "i8": 5632 + 896}) == 1
    assert t64.compute_bound_cycles({"bf16": 1664, "i8": 1}) == Fraction(1664, 1664 + 896)
    with pytest.raises(TargetError, match=r"cannot multiply 'f32'; it can: i8, i4, bf16, f16"):
        load_target("swkpu-v1").compute_bound_cycles({"f32": 1})


@given(st.fixed_dictionaries({d: st.integers(0, 10**9) for d in DTYPE_OF_PRECISION.values()}))
@settings(deadline=None, max_examples=60)
def test_compute_bound_is_between_its_simple_bounds(macs: dict[str, int]):
    """At least each precision alone, at most one after the other; and linear in the work."""
    machine = load_target("kpu-t64-r2")
    alone = [Fraction(n) / machine.peak_macs_per_cycle(d) for d, n in macs.items()]
    bound = machine.compute_bound_cycles(macs)
    assert max(alone) <= bound <= sum(alone)
    assert machine.compute_bound_cycles({d: 2 * n for d, n in macs.items()}) == 2 * bound


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(deadline=None, max_examples=60)
def test_compute_bound_of_two_precisions_on_three_groups(int8: int, bf16: int):
    """int8 on groups 0 and 2, bf16 on 1 and 2: the optimum is one of three closed forms."""
    machine = load_target("kpu-t64")
    int8_tiles, bf16_tiles, matrix_int8, matrix_bf16 = 5632, 1664, 1792, 896
    shared = (Fraction(int8, matrix_int8) + Fraction(bf16, matrix_bf16)) / (
        1 + Fraction(int8_tiles, matrix_int8) + Fraction(bf16_tiles, matrix_bf16)
    )
    expected = max(shared, Fraction(int8, int8_tiles + matrix_int8), Fraction(bf16, bf16_tiles + matrix_bf16))
    assert machine.compute_bound_cycles({"i8": int8, "bf16": bf16}) == expected


def test_digest_covers_what_matters_and_nothing_else():
    t64 = load_target("kpu-t64")
    assert len(t64.digest) == 64
    assert replace(t64, name="other", description="x", datasheet={}).digest == t64.digest
    assert t64.with_profile("3W").digest == t64.digest
    for old, new in (
        ("latency_ns = 100.0", "latency_ns = 101.0"),
        ("int8 = 1,", "int8 = 2,"),
        ("mhz = 850", "mhz = 851"),
        ("depth = 16", "depth = 17"),
        ("command_pj = 20.0", "command_pj = 21.0"),
    ):
        assert load_text(edited((old, new))).digest != t64.digest
    assert load_text(T64).digest == t64.digest
    assert load_text("# a comment\n" + T64.replace("100.0", "100")).digest == t64.digest
    assert len({load_target(name).digest for name in list_targets()}) == len(list_targets())


def test_a_copied_file_loads(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(edited(("bandwidth_gb_s = 128.0", "bandwidth_gb_s = 25.6")))
    assert load_target(str(path)).dram_bytes_per_cycle == Fraction(512, 17)
    assert load_target(str(path), profile="10W").profile.mhz == 900


def test_unknown_names(tmp_path: Path):
    with pytest.raises(
        TargetError, match=r"unknown target 'kpu-t65' \(did you mean 'kpu-t64'\?\); expected one of kpu"
    ):
        load_target("kpu-t65")
    with pytest.raises(TargetError, match=r"'nowhere\.toml': No such file"):
        load_target("nowhere.toml")
    with pytest.raises(TargetError, match="target 'kpu-t64' has no power profile '7W'; it has: 3W, 6W, 10W"):
        load_target("kpu-t64", "7W")
    with pytest.raises(TargetError, match="directory"):
        load_target(f"{tmp_path}/")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TargetError, match="not a UTF-8 text file"):
        load_target(str(tmp_path / "binary.toml"))
    with pytest.raises(TargetError, match="cannot read"):
        load_target("a\0b.toml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bandwidth_gb_s = 128.0", "bandwidth_gb_s = -3", r"dram\.bandwidth_gb_s = -3: expected a number above 0"),
        ("bandwidth_gb_s = 128.0", "bandwidth_gb_s = nan", r"dram\.bandwidth_gb_s = nan: expected a number above 0"),
        ("bandwidth_gb_s = 128.0", "bandwidth_gb_s = inf", r"dram\.bandwidth_gb_s = inf: expected a number above 0"),
        ("bandwidth_gb_s = 128.0", "bandwidth_gb_s = true", r"dram\.bandwidth_gb_s = True: expected a number above 0"),
        ("bandwidth_gb_s", "bandwith_gb_s", r"missing key dram\.bandwidth_gb_s: expected a number above 0"),
        (
            "latency_ns = 100.0",
            "latency_ns = 100.0\nhops = 3",
            r"unknown key dram\.hops; expected one of bandwidth_gb_s",
        ),
        ("banks = 16", "banks = 1.5", r"l2\.banks = 1\.5: expected a whole number from 1 to 65536"),
        ("banks = 16", "banks = 3", r"l2\.capacity_bytes = 4194304: expected a multiple of banks = 3"),
        ("mesh = [8, 8]", "mesh = [8]", r"noc\.mesh = \[8\]: expected two whole numbers"),
        ("mesh = [8, 8]", "mesh = [8, 0]", r"noc\.mesh = \[8, 0\]: expected two whole numbers"),
        ("mesh = [8, 8]", "mesh = [7, 9]", r"noc\.mesh = \[7, 9\]: expected room for the 64 tiles .* it has 63"),
        ("multicast = true", "multicast = 1", r"noc\.multicast = 1: expected true or false"),
        ("macs_per_pe = {", "pass_overlap = 0\nmacs_per_pe = {", r"pass_overlap = 0: expected true or false"),
        ('kind = "bf16"', 'kind = "int8"', r"tile_group\[1\]\.kind = 'int8': expected a kind that tile_group\[0\]"),
        ('kind = "bf16"', 'kind = ""', r"tile_group\[1\]\.kind = '': expected a text that is not empty"),
        ("int8 = 1,", 'int8 = "2/3",', r"macs_per_pe\.int8 = '2/3': expected a whole number up to 4096 or one over it"),
        ("int8 = 1,", 'int8 = "1/0",', r"macs_per_pe\.int8 = '1/0': expected a whole number"),
        ("int8 = 1,", "int8 = 0,", r"macs_per_pe\.int8 = 0: expected a whole number"),
        ("int8 = 1,", "int7 = 1,", r"unknown key tile_group\[0\]\.macs_per_pe\.int7; expected one of int8, int4"),
        ("{ int8 = 1, int4 = 2 }", "{}", r"tile_group\[0\]\.macs_per_pe = \{\}: expected a rate for at least one of"),
        (
            "int8 = 1,",
            "int8 = 8,",
            r"tile_group\[0\]\.l1_read_bytes_per_cycle = 96: expected at least 192, what the 16x8 array streams at its "
            r"int8 peak of 8 MACs per PE",
        ),
        (
            "l1_bytes = 262144",
            "l1_bytes = 512",
            r"tile_group\[0\]\.l1_bytes = 512: expected at least 560, what one int8",
        ),
        (
            "drain_rows_per_cycle = 1",
            "drain_rows_per_cycle = 17",
            r"drain_rows_per_cycle = 17: expected at most rows = 16",
        ),
        (
            'default_profile = "6W"',
            'default_profile = "7W"',
            r"clock\.default_profile = '7W': expected the name of a pro",
        ),
        ("static_w = 0.6", "static_w = 6", r"clock\.profiles\.6W\.static_w = 6: expected less than tdp_w = 6"),
        ("fp32 = 0.8", "fp64 = 0.8", r"unknown key energy\.mac_pj\.fp64; expected one of"),
        (", fp32 = 0.8", "", r"missing key energy\.mac_pj\.fp32: .*tile_group\[1\] has a rate for fp32"),
        ('"fp32"]', '"fp32", "int2"]', r"precisions = .*: expected a list of different precisions out of int8, int4"),
        ('"fp32"]', '"fp32", "int8"]', r"precisions = .*: expected a list of different precisions out of"),
        ('fp32 = "1/2"', "int8 = 1", r"precisions has 'fp32': expected a tile_group whose macs_per_pe has a rate"),
        ("datasheet_int8_tops = 63.8", "datasheet_int8_tops = []", r"datasheet_int8_tops = \[\]: expected a number"),
        ("[queues]", "[[queues]]", r"queues = .*: expected a table"),
        ("[clock]", "[clock", r"not valid TOML"),
    ],
)
def test_validation(old: str, new: str, message: str):
    with pytest.raises(TargetError, match=message):
        load_text(edited((old, new)), "mine.toml")


def test_close_match_for_a_misspelt_optional_key():
    with pytest.raises(TargetError, match=r"unknown key clock\.profiles\.6W\.voltage \(did you mean 'voltage_v'\?\)"):
        load_text(edited(("mhz = 850, ", "mhz = 850, voltage = 0.7, ")))


def test_deep_nesting_and_long_numbers():
    for text in ("x = " + "[" * 5000, "x = " + "9" * 5000, T64.replace("128.0", "1" * 4000)):
        with pytest.raises(TargetError) as error:
            load_text(text)
        assert len(str(error.value)) < 400


def test_warnings_name_what_cannot_be_fed():
    starved = load_text(edited(("bandwidth_gb_s = 128.0", "bandwidth_gb_s = 0.5")))
    assert any("DRAM cannot feed the int8 peak of 7424 MACs/cycle" in w for w in warnings(starved))
    slow_l2 = load_text(edited(("read_bytes_per_cycle = 512", "read_bytes_per_cycle = 2")))
    assert any("L2 cannot feed the int8 peak" in w for w in warnings(slow_l2))
    unicast = load_text(
        edited(
            ("multicast = true", "multicast = false"), ("[noc]\nbytes_per_cycle = 512", "[noc]\nbytes_per_cycle = 8")
        )
    )
    assert any("the NoC cannot feed" in w for w in warnings(unicast))


def test_table():
    rows = target_rows()
    assert len(rows) == sum(len(load_target(name).clock.profiles) for name in list_targets())
    (row,) = (r for r in rows if r["target"] == "kpu-t64" and r["default"])
    assert row["profile"] == "6W"
    assert row["int8_tops"] == pytest.approx(12.6208)
    assert row["datasheet_int8_tops"] == 63.8
    assert (row["l2_mb"], row["dram_gb"], row["tdp_w"]) == (4, 8, 6)
    assert all(r.keys() == row.keys() for r in rows)
    assert next(r for r in rows if r["target"] == "swkpu-v1")["fp32_tflops"] is None


# Fuzzing: whatever the text, the result is a Machine or a TargetError.

LINES = T64.splitlines()
VALUES = st.one_of(
    st.integers(-10, 10**30).map(str),
    st.floats().map(repr),
    st.sampled_from(
        ['""', '"1/2"', '"1/"', "[]", "{}", "true", "[[1]]", "1e400", "-0.0", "1979-05-27", '"é\\u0000"', ""]
    ),
    st.text(max_size=8),
)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_mutated_text_gives_a_machine_or_a_target_error(data: st.DataObject):
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["value", "delete", "duplicate", "noise", "swap"])):
            case "value":
                lines[index] = lines[index].split("=")[0] + "= " + data.draw(VALUES)
            case "delete":
                lines[index] = ""
            case "duplicate":
                lines.insert(index, lines[data.draw(st.integers(0, len(lines) - 1))])
            case "noise":
                at = data.draw(st.integers(0, len(lines[index])))
                lines[index] = lines[index][:at] + data.draw(st.text(max_size=3)) + lines[index][at:]
            case _:
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[index], lines[other] = lines[other], lines[index]
    try:
        machine = load_text("\n".join(lines))
    except TargetError:
        return
    assert isinstance(machine, Machine)
    assert machine.dram_bytes_per_cycle > 0
    assert len(machine.digest) == 64
    assert isinstance(warnings(machine), list)
    target_rows([machine])


@given(
    st.recursive(
        st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=5), st.none()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=5,
    ),
    st.data(),
)
@settings(deadline=None, max_examples=200)
def test_any_value_anywhere_is_a_machine_or_a_target_error(value: object, data: st.DataObject):
    from swkpu.target.loader import _machine, _Table, _validate

    content: object = tomllib.loads(T64)
    parent, key = content, None
    node = content
    while isinstance(node, dict | list) and node and (key is None or data.draw(st.booleans())):
        parent = node
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        node = parent[key]
    parent[key] = value  # pyright: ignore
    try:
        _validate(_machine(_Table("t", "", content)), "t")
    except TargetError:
        return
