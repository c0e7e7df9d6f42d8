"""The bench's arithmetic, its worker protocol, and its "more of the same kind" texts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench import report
from bench.corpora import Exchange, hash_order
from bench.harness import (
    BenchError,
    Measurement,
    Row,
    Side,
    SideProcess,
    growth_row,
    interleave,
    net,
    ratio_row,
)
from bench.worker import Job


def seen(*seconds: float) -> Measurement:
    return Measurement("side", 0.0, 0.0, 0.0, {}, "", seconds=list(seconds))


def test_ratio_is_taken_round_by_round_then_the_median() -> None:
    row = ratio_row("work", seen(10, 20, 90), seen(1, 4, 3), target=8)
    assert (row.measured, row.low, row.high, row.met) == (10, 5, 30, True)


def test_scale_corrects_for_a_peer_that_had_a_part_of_the_input() -> None:
    assert ratio_row("work", seen(1), seen(2), scale=100).measured == 50


def test_net_takes_the_start_up_off_each_round() -> None:
    assert net(seen(5, 7), seen(1, 2)).seconds == [4, 5]


def test_a_time_lost_in_start_up_noise_meets_no_target() -> None:
    row = growth_row("work", seen(30), net(seen(1), seen(2)), growth=4)
    assert math.isnan(row.measured) and row.met is False


def test_growth_is_brought_to_four_times() -> None:
    row = growth_row("work", seen(30), seen(10), growth=3)
    assert math.isclose(row.measured, 4.0) and row.met


@pytest.mark.parametrize(("value", "at_most", "met"), [(3, False, False), (3, True, True)])
def test_target_is_a_lower_or_an_upper_bound(value: float, at_most: bool, met: bool) -> None:
    assert Row("work", value, value, value, target=4, at_most=at_most).met is met


def test_exchange_keeps_lengths_case_entities_and_stop_words() -> None:
    text = b"<p>Windmills that grind slowly&nbsp;with WATER, and \xc3\xbcber</p>"
    exchanged = Exchange(1).text(text)
    assert len(exchanged) == len(text)
    assert exchanged.startswith(b"<p>") and b" that " in exchanged and b"&nbsp;with " in exchanged
    assert exchanged[3:4].isupper() and exchanged != text


def test_exchange_is_a_function_of_word_and_copy() -> None:
    first, second = Exchange(1), Exchange(2)
    long_text = b"waterwheel millstone granary threshing floorboards"
    assert first.text(long_text) == Exchange(1).text(long_text) != second.text(long_text)


def test_hash_order_does_not_depend_on_the_process() -> None:
    assert hash_order("a").hex() == "40f89e395b66422f"


def open_noisy(path: str) -> Job:
    """A job that prints, as libraries do: the protocol must not be disturbed."""

    def run() -> dict[str, object]:
        print("noise on stdout")
        return {"path": path}

    return Job(run=run, passes=4, packages=["numpy"])


def test_sides_take_turns_and_report(tmp_path: Path) -> None:
    side = Side("noisy", "tests.bench.test_harness:open_noisy", {"path": str(tmp_path)})
    found = interleave([side], rounds=2)["noisy"]
    assert len(found.seconds) == 2 and found.result == {"path": str(tmp_path)}
    assert set(found.packages) == {"numpy"}


def test_a_side_that_cannot_start_says_why() -> None:
    with pytest.raises(BenchError, match="ModuleNotFoundError"):
        SideProcess(Side("lost", "bench.sides.nowhere:open_job", {}), 0)


def test_report_puts_its_table_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report._between(page, "new", "")
    assert page.read_text() == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"


def test_report_keeps_three_digits() -> None:
    assert [report.number(value) for value in (512.4, 12.345, 0.98765)] == ["512", "12.3", "0.988"]
