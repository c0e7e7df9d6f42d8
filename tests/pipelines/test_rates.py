"""Rates of a forecast: those of a build that asked models where the step does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gristmill import run
from gristmill.store import Store
from pipelines.rates import DEFAULTS, measured_rates
from synth.step import Synthesize

EMIT = [{"emit": {"kind": "document", "text": "{{ text }}"}}]
DRAWN = {"name": "maths/text", "use": "synthesize", "do": EMIT}


def test_drawing_tasks_says_nothing_of_a_model_that_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = {"procedural": {"task": "sums", "count": 1000}}
    plain = {**DRAWN, "from": source}
    asking = {**plain, "name": "maths/asked", "engines": {"main": {"fake": {}}}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"steps": [plain]}))
    run("r.yaml", workers=1)
    store = Store("store")
    drawn = measured_rates(store, Synthesize.model_validate(plain))
    assert drawn.measured and drawn.kept == 1
    asked = measured_rates(store, Synthesize.model_validate(asking))
    assert asked == DEFAULTS["synthesize"]
