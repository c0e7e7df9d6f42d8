"""Policy losses and advantages against those of TRL's own trainers, to 1e-6."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "trl", "datasets")

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import LlamaForCausalLM  # noqa: E402

from mixtures.tokens.chat import open_chat_tokenizer  # noqa: E402
from tests.train.rl.tiny_policy import new_model, save, tokenizer_files  # noqa: E402
from train.losses import policy  # noqa: E402
from train.losses.divergence import divergence  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]  # TRL takes ten seconds to import
SAMPLES, PROMPT, COMPLETION = 4, 6, 5
ROWS = 2 * SAMPLES
NEAR = 1e-6


def reward(completions: list[str], **columns: Any) -> list[float]:
    """Any number that depends on the text."""
    return [float(len(set(text)) + 0.1 * n) for n, text in enumerate(completions)]


def trainer(kind: str, folder: Path, **options: Any) -> Any:
    """A trainer of TRL around a tiny model in double precision."""
    import trl

    config = getattr(trl, f"{kind}Config")(
        output_dir=str(folder),
        per_device_train_batch_size=ROWS,
        num_generations=SAMPLES,
        max_completion_length=COMPLETION,
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        gradient_checkpointing=False,
        **options,
    )
    tokenizer = open_chat_tokenizer(tokenizer_files())
    weights = save(new_model(), folder / "model")  # TRL loads the reference from the folder again
    made = getattr(trl, f"{kind}Trainer")(
        model=LlamaForCausalLM.from_pretrained(weights).double(),
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["1 + 2", "3 + 1", "4 + 4", "0 + 9"]}),
        processing_class=tokenizer,
    )
    made.current_gradient_accumulation_steps = 1
    if made.ref_model is not None:
        made.ref_model.double()
    return made


def batch() -> dict[str, torch.Tensor]:
    """Prompts padded on the left, completions on the right."""
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, COMPLETION + 1, (ROWS, 1), generator=draw)
    before = torch.randint(2, PROMPT + 1, (ROWS, 1), generator=draw)
    found = {
        "prompt_ids": torch.randint(2, 15, (ROWS, PROMPT), generator=draw),
        "prompt_mask": (torch.arange(PROMPT) >= PROMPT - before).long(),
        "completion_ids": torch.randint(2, 15, (ROWS, COMPLETION), generator=draw),
        "completion_mask": (torch.arange(COMPLETION) < lengths).long(),
        "advantages": torch.randn(ROWS, generator=draw, dtype=torch.float64),
    }
    found["num_items_in_batch"] = found["completion_mask"].sum()
    return found


def logps(model: LlamaForCausalLM, given: dict[str, torch.Tensor]) -> torch.Tensor:
    """Of the completion's tokens, each row alone and without padding."""
    found = torch.zeros(ROWS, COMPLETION, dtype=torch.float64)
    for row in range(ROWS):
        prompt = given["prompt_ids"][row][given["prompt_mask"][row] > 0]
        written = given["completion_ids"][row][given["completion_mask"][row] > 0]
        logits = model(input_ids=torch.cat([prompt, written])[None]).logits
        own = policy.token_logps(logits[:, len(prompt) - 1 : -1], written[None])
        found[row, : len(written)] = own[0]
    return found


def moved(values: torch.Tensor, seed: int, by: float = 0.3) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return values.detach() + by * torch.randn(values.shape, generator=draw, dtype=values.dtype)


@pytest.mark.parametrize("how", ["grpo", "dapo", "dr_grpo"])
def test_grpo_is_trl_s(how: Any, tmp_path: Path) -> None:
    beta, low, high = 0.04, 0.2, 0.28
    theirs = trainer("GRPO", tmp_path, loss_type=how, beta=beta, epsilon=low, epsilon_high=high)
    given = batch()
    own = logps(theirs.model, given)
    old, reference = moved(own, 1), moved(own, 2)
    given |= {"old_per_token_logps": old, "ref_per_token_logps": reference}
    wanted = theirs._compute_loss(theirs.model, given)

    mask = given["completion_mask"].double()
    weights = policy.token_weights(mask, how, COMPLETION, ROWS, mask.sum())
    ratios = (own - old).exp()
    losses, cut = policy.clipped(ratios, given["advantages"][:, None], low, high)
    apart = ratios * policy.kl_k3(own, reference)
    found = ((losses + beta * apart) * weights).sum()
    assert abs(float(found - wanted)) < NEAR
    shares = theirs._metrics["eval"]
    assert shares["kl"][-1] == pytest.approx(float((apart * mask).sum() / mask.sum()), abs=NEAR)
    told = float((cut * mask).sum() / mask.sum())
    assert shares["clip_ratio/region_mean"][-1] == pytest.approx(told, abs=NEAR)


def test_weights_of_an_engine_s_samples_are_trl_s(tmp_path: Path) -> None:
    theirs = trainer("GRPO", tmp_path, vllm_importance_sampling_mode="token_truncate")
    theirs.use_vllm = True  # what its loss asks for; nothing is sampled here
    given = batch()
    own = logps(theirs.model, given)
    old, writer = moved(own, 1), moved(own, 2, 0.8)
    mask = given["completion_mask"].double()
    cap = 2.0
    weights, cut = policy.writer_weights(old, writer, mask, cap)
    assert 0 < int(cut.sum()) < int(mask.sum())
    given |= {"old_per_token_logps": old, "importance_sampling_ratio": weights}
    wanted = theirs._compute_loss(theirs.model, given)
    losses, _ = policy.clipped((own - old).exp(), given["advantages"][:, None], 0.2, 0.2)
    found = (
        losses * weights * policy.token_weights(mask, "dapo", COMPLETION, ROWS, mask.sum())
    ).sum()
    assert abs(float(found - wanted)) < NEAR


def test_rloo_is_trl_s(tmp_path: Path) -> None:
    theirs = trainer("RLOO", tmp_path, beta=0.05, epsilon=0.2)
    given = batch()
    own = logps(theirs.model, given)
    mask = given["completion_mask"].double()
    old = moved(own, 1, 0.1)  # TRL's log-probabilities are float32: small ratios, small errors
    given["old_logps"] = (old * mask).sum(dim=1)
    wanted = theirs._compute_loss(theirs.model, given)
    ratios = ((own - old) * mask).sum(dim=1).exp()
    losses, _ = policy.clipped(ratios, given["advantages"], 0.2, 0.2)
    assert abs(float(losses.mean() - wanted)) < NEAR


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_grpo_advantages_are_trl_s(scale: Any, tmp_path: Path) -> None:
    theirs = trainer("GRPO", tmp_path, scale_rewards=scale)
    made = written(theirs)
    rewards = torch.tensor(list(theirs._logs["rewards"]["reward"]))
    found = policy.group_advantages(rewards, SAMPLES, scale)
    assert float((found - made["advantages"]).abs().max()) < NEAR


def test_rloo_advantages_are_trl_s(tmp_path: Path) -> None:
    beta = 0.5
    theirs = trainer("RLOO", tmp_path, beta=beta)
    with torch.no_grad():
        for weights in theirs.ref_model.parameters():
            weights.add_(0.05 * torch.randn(weights.shape, dtype=weights.dtype))
    made = written(theirs)
    mask = made["completion_mask"].double()
    pair = [logps(model, made) for model in (theirs.model, theirs.ref_model)]
    rewards = torch.tensor(list(theirs._logs["rewards"]["reward"]), dtype=torch.float64)
    whole = policy.penalised(rewards, pair[0], pair[1], mask, beta)
    found = policy.leave_one_out(whole, SAMPLES)
    assert float((found - made["advantages"]).abs().max()) < 1e-5  # TRL's rewards are float32


def written(theirs: Any) -> dict[str, torch.Tensor]:
    """A batch that TRL's trainer has sampled and judged."""
    torch.manual_seed(0)
    rows = [row for row in theirs.train_dataset.to_list()[:2] for _ in range(SAMPLES)]
    made: dict[str, torch.Tensor] = theirs._generate_and_score_completions(rows)
    return made


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_divergence_is_trl_s(beta: float) -> None:
    from trl.trainer.distillation_trainer import _chunked_divergence_loss

    draw = torch.Generator().manual_seed(0)
    states = [torch.randn(2, 4, 8, generator=draw, dtype=torch.float64) for _ in range(2)]
    heads = [torch.randn(11, 8, generator=draw, dtype=torch.float64) for _ in range(2)]
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    wanted, _, _ = _chunked_divergence_loss(*states, *heads, mask, beta, temperature=0.7)
    logits = [state @ head.T / 0.7 for state, head in zip(states, heads, strict=True)]
    found = (divergence(logits[0], logits[1], beta) * mask).sum() / mask.sum()
    assert float(found) == pytest.approx(float(wanted), rel=NEAR)  # TRL's is float32
