"""datatrove's own reader on what is exported for it; the other trainers': `bench.exports`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mixtures.export.run import export
from tests.extras import needs
from tests.mixtures.make_plan import make_plan

needs("torch")

from datatrove.utils.dataset import DatatroveFolderDataset  # noqa: E402


def test_windows_of_the_reader_are_the_rows(tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "s", segments=((70, 32, 5),))
    out = tmp_path / "out"
    said = export(plan.outputs.packed, "datatrove", out, file_bytes=1500)
    assert len(said["files"]) > 2
    read = DatatroveFolderDataset(str(out), seq_len=31, token_size=2, return_positions=True)
    assert len(read) == len(plan) == 70
    for number, item in enumerate(read[n] for n in range(70)):
        row = plan[number]
        assert item["input_ids"].tolist() == row["input_ids"].tolist()
        assert np.array_equal(item["positions"].numpy(), row["position_ids"])
