"""Checkpoints count when they are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.extras import needs

needs("torch", "safetensors")

import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from gristmill.errors import GristmillError  # noqa: E402
from train.loop import checkpoints  # noqa: E402
from train.loop.averages import Ema, Uniform  # noqa: E402


def make(home: Path, step: int) -> Path:
    folder = home / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    save_file({"w": torch.full((4,), float(step))}, folder / "model.safetensors")
    torch.save({"step": step}, folder / "optimizer.pt")
    (folder / "trainer_state.json").write_text("{}")
    return folder


def test_only_published_ones_are_gone_on_from(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        checkpoints.publish(make(tmp_path, step), {"step": step})
    make(tmp_path, 200)
    assert checkpoints.sweep(tmp_path) == []
    found = checkpoints.newest(tmp_path)
    assert found is not None and found.name == "checkpoint-100"
    assert checkpoints.read(found) == {"step": 100}
    checkpoints.prune(tmp_path)
    assert {folder.name for folder in tmp_path.iterdir()} == {"checkpoint-10", "checkpoint-100"}


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", checkpoints.MARKER])
def test_damaged_ones_are_left_out_and_told(file: str, tmp_path: Path) -> None:
    for step in (5, 10):
        checkpoints.publish(make(tmp_path, step), {})
    (tmp_path / "checkpoint-10" / file).write_bytes(b"{")
    (told,) = checkpoints.sweep(tmp_path)
    assert told.startswith("checkpoint-10 was left out: ") and file in told
    found = checkpoints.newest(tmp_path)
    assert found is not None and found.name == "checkpoint-5"


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_half_a_file_is_not_published(file: str, tmp_path: Path) -> None:
    folder = make(tmp_path, 1)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(GristmillError, match=f"{file} cannot be read back"):
        checkpoints.publish(folder, {})
    assert checkpoints.newest(tmp_path) is None


def test_the_average_of_equal_weights_is_they(tmp_path: Path) -> None:
    weights = {"w": torch.randn(100), "v": torch.randn(3, 5).to(torch.bfloat16)}
    for average in (Uniform((1, 2, 3, 4, 7), tmp_path), Ema(0.9)):
        average.begin(weights, None)
        for step in (1, 2, 3, 4):
            assert average.wants(step)
            average.see(step, weights)
        for name, tensor in average.result(weights).items():
            assert torch.equal(tensor, weights[name])


def test_averages_are_their_formulas(tmp_path: Path) -> None:
    seen = [{"w": torch.randn(50, dtype=torch.float64)} for _ in range(4)]
    uniform = Uniform((2, 3), tmp_path)
    uniform.begin(seen[0], None)
    assert [uniform.wants(step) for step in (1, 2, 3)] == [False, True, False]
    uniform.see(2, seen[2])
    expected = (seen[2]["w"] + seen[3]["w"]) / 2
    torch.testing.assert_close(uniform.result(seen[3])["w"], expected)
    ema = Ema(0.7)
    ema.begin(seen[0], None)
    mean = seen[0]["w"].clone()
    for step in (1, 2, 3):
        ema.see(step, seen[step])
        mean = 0.7 * mean + 0.3 * seen[step]["w"]
        ema.save(tmp_path)  # and on from there
        ema = Ema(0.7)
        ema.begin(seen[step], tmp_path)
    torch.testing.assert_close(ema.result(seen[3])["w"], mean)
