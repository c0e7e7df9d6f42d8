"""The log: cut at a checkpoint, torn lines, its table, its picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.extras import needs

needs("matplotlib")

from train.loop.curves import draw, smoothed  # noqa: E402
from train.loop.logs import Log, log_table, read_lines  # noqa: E402


def test_a_run_that_goes_on_cuts_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.begin(0)
    for step in range(1, 6):
        log.add({"step": step, "tokens": step * 10, "loss": 1 / step})
    with log.path.open("a") as file:
        file.write('{"step": 6, "tok')
    assert [line["step"] for line in read_lines(log.path)] == [1, 2, 3, 4, 5]
    log.begin(3)
    log.add({"step": 4, "tokens": 40, "loss": 0.5, "held_out": 2.0})
    assert [line["step"] for line in read_lines(log.path)] == [1, 2, 3, 4]
    log.begin(0)
    assert read_lines(log.path) == []


def test_the_table_has_a_column_a_name(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add({"step": 1, "tokens": 0, "loss": 3.0, "lr": 0.1})
    log.add({"step": 2, "tokens": 64, "loss": 2, "lr": 0.1, "held_out": 2.5})
    table = log_table(log.path)
    assert table.column_names == ["step", "tokens", "loss", "lr", "held_out"]
    assert table["held_out"].to_pylist() == [None, 2.5]
    assert [str(field.type) for field in table.schema][:3] == ["int64", "int64", "double"]
    assert log_table(tmp_path / "none").num_rows == 0


def test_the_curves_are_a_picture(tmp_path: Path) -> None:
    lines = [
        {"step": n, "tokens": n, "loss": 1 / (n + 1), "lr": 1.0, "tokens_per_second": 5.0}
        for n in range(5000)
    ]
    lines[-1]["held_out"] = 0.1
    draw(lines, "tokens", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    draw([], "rows", tmp_path / "none.png")
    assert smoothed([1.0] * 7) == pytest.approx([1.0] * 7)
    assert smoothed([float(n) for n in range(300)]) == pytest.approx(list(range(300)))
