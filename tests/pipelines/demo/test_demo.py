"""The whole demo, small: all records accounted for, planted ones found, ordinary ones left."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill import Store
from pipelines.demo.__main__ import LAST, main
from pipelines.demo.generate import load
from pipelines.demo.score import score_dataset


@pytest.mark.slow
def test_demo_finds_what_was_planted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--dir", str(tmp_path), "--pages", "600", "--workers", "1"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    for part in ("Drop funnel", "Found against planted", "Which hosts lost", f"not in {LAST}"):
        assert part in shown
    dataset = Store(tmp_path / "store")[LAST]
    result = score_dataset(load(tmp_path / "truth.jsonl"), dataset)
    assert result.unaccounted == []
    assert result.unplanted_kept >= result.unplanted / 2
    for kind in result.kinds:
        assert kind.found >= 0.85 * kind.planted, kind
    assert main(command) == 0  # again: found built, nothing changed
    assert Store(tmp_path / "store")[LAST].version == dataset.version
