"""How far outputs are from a reference."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from swkpu.errors import InputError
from swkpu.report.compare import compare


def test_equal_outputs_have_no_noise():
    x = np.array([[1.0, -2.0]])
    check = compare([x], [x])
    assert (check.max_abs_diff, check.max_rel_diff, check.sqnr_db, check.top1_match) == (0.0, 0.0, None, True)


def test_differences_are_against_the_largest_reference():
    check = compare([np.array([[1.0, 3.9]])], [np.array([[1.0, 4.0]])])
    assert check.max_abs_diff == pytest.approx(0.1)
    assert check.max_rel_diff == pytest.approx(0.1 / 4)
    assert check.sqnr_db == pytest.approx(10 * np.log10(17 / 0.01))


def test_noise_is_counted_over_all_outputs():
    references = [np.full(4, 10.0), np.full(4, 1.0)]
    check = compare([references[0], np.full(4, 2.0)], references)
    assert check.sqnr_db == pytest.approx(10 * np.log10(404 / 4))
    assert check.max_rel_diff == pytest.approx(0.1)


def test_integers_do_not_wrap():
    check = compare([np.array([-128], np.int8)], [np.array([127], np.int8)])
    assert check.max_abs_diff == 255


@pytest.mark.parametrize("same", [nan, inf, -inf])
def test_the_same_special_value_on_both_sides_is_no_difference(same: float):
    check = compare([np.array([same, 1.0])], [np.array([same, 1.0])])
    assert (check.max_abs_diff, check.max_rel_diff, check.sqnr_db) == (0.0, 0.0, None)


@pytest.mark.parametrize(("out", "ref"), [(nan, 1.0), (1.0, nan), (inf, 1.0), (inf, -inf), (1.0, inf), (nan, inf)])
def test_a_special_value_on_one_side_is_an_infinite_difference(out: float, ref: float):
    check = compare([np.array([out, 1.0])], [np.array([ref, 1.0])])
    assert (check.max_abs_diff, check.max_rel_diff, check.sqnr_db) == (inf, inf, -inf)


def test_noise_on_a_zero_reference():
    check = compare([np.array([0.5])], [np.array([0.0])])
    assert (check.max_abs_diff, check.max_rel_diff, check.sqnr_db) == (0.5, 0.5, -inf)


@pytest.mark.parametrize(
    ("out", "ref", "expected"),
    [
        ([[0, 1], [1, 0]], [[0, 2], [3, 0]], True),
        ([[0, 1], [0, 1]], [[0, 2], [3, 0]], False),
        ([0, 1], [0, 1], None),
        ([[1]], [[2]], None),
    ],
)
def test_top1(out: list[object], ref: list[object], expected: bool | None):
    assert compare([np.array(out)], [np.array(ref)]).top1_match is expected


def test_empty_and_absent_outputs():
    assert compare([np.zeros((0, 3))], [np.zeros((0, 3))]).sqnr_db is None
    assert compare([], []).max_abs_diff == 0.0


@pytest.mark.parametrize("references", [[np.zeros((1, 3))], [], [np.zeros(3), np.zeros(3)]])
def test_outputs_of_other_shapes_are_an_error(references: list[np.ndarray]):
    with pytest.raises(InputError, match="shapes"):
        compare([np.zeros(3)], references)
