"""A stage in bfloat16: it goes on bit for bit, and leaves float32 weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate")

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from tests.train.killed import killed_after  # noqa: E402
from tests.train.loop.make_stage import finish, make_job, make_mixture, weights  # noqa: E402
from train.run import OUT  # noqa: E402


@pytest.mark.slow
def test_bfloat16_goes_on_bitwise_and_leaves_float32(tmp_path: Path) -> None:
    store = make_mixture(tmp_path / "store")
    jobs = [
        make_job(
            store,
            tmp_path / name,
            model={"dtype": "bfloat16"} if name != "plain" else {},
            run={"micro_batch": 4, "save_every": 0.3},
        )
        for name in ("plain", "whole", "killed")
    ]
    finish(jobs[0])
    finish(jobs[1])
    killed_after(jobs[2], 12)
    finish(jobs[2])
    assert weights(jobs[1]) == weights(jobs[2])
    assert weights(jobs[1]) != weights(jobs[0])
    folder = Path(jobs[1].work) / OUT
    assert {p.dtype for p in load_file(folder / "model.safetensors").values()} == {torch.float32}
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float32"
