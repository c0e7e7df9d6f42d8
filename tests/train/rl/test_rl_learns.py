"""Policy gradients raise the share of right answers of a policy that was taught a little."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate")

from tests.train.rl.margin import begin, learn  # noqa: E402

# Three seeds, four losses, `python -m tests.train.rl.margin`: gains of 0.13 and 0.22 at least.
SAMPLED, GREEDY = 0.08, 0.2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", ["grpo", "mdloo"])
def test_rewards_teach_what_right_answers_did_not(loss: str, tmp_path: Path) -> None:
    before = begin(tmp_path, seed=1)
    after = learn(tmp_path, loss, seed=1)
    assert after[0] > before[0] + SAMPLED
    assert after[1] > before[1] + GREEDY
