"""rl: the policy writes, judges reward it, its gradient moves it; kd_on_policy: a teacher does.

In: rows of kind `prompt`. Out: a Stage with a trainer of its own, over train.loop.
Shown by: `pipelines/recipes/train/rl.yaml`.
Limit: one policy, one turn; it writes in this process, or vLLM does for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from gristmill.errors import RecipeError
from mixtures.tokens.chat import open_chat_tokenizer
from train.data.prepared import open_prepared
from train.data.rows import keep_template, parts
from train.job import Job
from train.kinds.stage import Stage
from train.models.open import Opened
from train.ranks import any_rank
from train.rl.critic import attach, detached
from train.rl.frozen import reference_of, teacher_of
from train.rl.objective import PolicyObjective
from train.rl.prompts import PromptBatches
from train.rl.read import order, read_prompts
from train.rl.rewards import open_rewards
from train.rl.rollout import Rollouts
from train.rl.sample import Drawing, Write, in_turns
from train.rl.trainer import PolicyTrainer
from train.spec import Rollout, Rows
from train.spec.losses.on_policy import OnPolicy
from train.spec.losses.policy import Ppo


def open_stage(job: Job, opened: Opened) -> Stage:
    """Prompts, judges, and the loop around them; of kind distill with the loss kd_on_policy too."""
    step, policy = job.step, opened.model
    rollout = step.rollout
    assert rollout is not None and job.rows is not None and isinstance(step.data, Rows)
    prepared = open_prepared(job.rows)
    keep_template(opened, prepared.meta)
    tokenizer = open_chat_tokenizer(opened.tokenizer, prepared.meta.template)
    drawing = _drawing(rollout, policy, tokenizer)
    context = policy.config.get_text_config().max_position_embeddings
    longest = min(step.data.max_length, context)
    room = longest - rollout.max_tokens
    prompts, longer = read_prompts(prepared, room)
    objective: PolicyObjective = step.objective.open()
    objective.temperature, objective.cap = rollout.temperature, rollout.cap
    rewards = reference = None
    if isinstance(objective.spec, OnPolicy):
        objective.teacher = teacher_of(job, opened)
    else:
        rewards = open_rewards(job, rollout.rewards, prompts)
        reference = reference_of(job, opened) if objective.spec.beta else None
    if isinstance(objective.spec, Ppo):
        objective.critic = attach(policy, objective.spec.value)
        opened.finish = detached(opened.finish)
    write, close = _writer(job, rollout, longest)
    rollouts = Rollouts(
        rollout,
        step.seed,
        prompts,
        drawing,
        write,
        lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True)),
        objective,
        rewards,
        reference,
    )
    rows = order(step.data, step.seed, len(prompts))
    per_step = parts(step.data.batch, step.run.micro_batch, step.run.ranks)
    batches = PromptBatches(prompts, rows, per_step, rollout.updates)

    def trainer(given: dict[str, Any]) -> PolicyTrainer:
        return PolicyTrainer(
            objective=objective,
            rollouts=rollouts,
            folder=Path(job.work) / "rollouts",
            close=close,
            **given,
        )

    def notes() -> list[str]:
        said = [f"{longer:,} prompts have more than {room:,} tokens and were left out"]
        return [*(said if longer else []), *rollouts.notes()]

    return Stage(policy, batches, objective, trainer, notes)


def _writer(job: Job, rollout: Rollout, longest: int) -> tuple[Write, Callable[[], None]]:
    """What writes samples, and what frees it at the end."""
    if rollout.engine == "transformers":
        return in_turns(rollout.rows, any_rank), _nothing
    from train.rl.vllm_writer import VllmWriter  # takes seconds to import

    model, rows = job.step.model, job.step.data
    assert isinstance(rows, Rows)
    count = rollout.rows or rows.batch * rollout.samples
    where = Path(job.work) / "engine"
    writer = VllmWriter(where, longest, count, model.dtype, model.lora is not None)
    return writer, writer.close


def _nothing() -> None:
    """What is there anyway is not freed."""


def _drawing(rollout: Rollout, policy: Any, tokenizer: Any) -> Drawing:
    """How completions are drawn, and where they end; the saved model says the same to engines."""
    settings = policy.generation_config.to_dict() if policy.generation_config else {}
    settings.pop("_from_model_config", None)  # else it is derived from the config again when loaded
    listed = settings.get("eos_token_id")
    stop = set([listed] if isinstance(listed, int) else listed or [])
    stop |= {tokenizer.eos_token_id} - {None}
    if not stop:
        raise RecipeError(
            "neither the tokenizer nor the model has an end-of-text token, so no completion could "
            "end; give the tokenizer one (`train_tokenizer: {eos: …}`)"
        )
    settings |= {"eos_token_id": sorted(stop), "pad_token_id": tokenizer.pad_token_id}
    policy.generation_config = GenerationConfig.from_dict(settings)
    return Drawing(rollout.max_tokens, rollout.temperature, rollout.top_p, tuple(sorted(stop)))
