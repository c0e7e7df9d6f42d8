"""Completions of a policy by vLLM: an engine in this process, given the policy's weights each time.

In: as train.rl.sample.write. Out: the same, with the engine's log-probabilities of what it drew.
Shown by: `python -m pytest tests/train/rl/test_vllm_writer.py`.
Limit: one process; on a GPU the engine's weights and cache lie beside the policy's, also while it
learns. On a CPU heads have 32, 64, … dimensions.

A completion is a pure function of the weights, its prompt and its seed, up to float noise as with
transformers; the draws are other ones. `top_p` below 1: the engine's log-probabilities are of the
distribution that is left, the policy's of the whole.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gristmill.errors import GristmillError, RecipeError
from synth.engines import vllm_core, vllm_environment
from train.draws import draws_kept
from train.losses.policy import token_logps
from train.rl.forward import in_columns, laid_out, passed, targets
from train.rl.sample import Drawing, Written
from train.rl.weights import plain_weights

MOST = 1024  # completions side by side
BLOCK = 128  # tokens; of the cache's blocks the largest
# Nats a token, on average, that the engine may be off: more is another model, not rounding.
_NEAR = {"float32": 0.005, "bfloat16": 0.5}
_LOOKED_AT = 4  # completions of a batch


class VllmWriter:
    """Opened by the first call; `close` frees it."""

    def __init__(self, folder: Path, longest: int, rows: int, dtype: str, adapted: bool) -> None:
        self._folder, self._longest, self._rows = folder, longest, rows
        self._dtype, self._adapted = dtype, adapted
        self._core: vllm_core.Core | None = None

    def __call__(
        self,
        policy: Any,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        how: Drawing,
    ) -> list[Written]:
        with draws_kept(policy.device):  # vLLM seeds all generators as it opens
            base = policy.get_base_model() if self._adapted else policy
            if self._core is None:
                self._core = self._open(base)
            try:
                self._give(self._core.engine, base)
                found = _written(self._core.engine, prompts, seeds, how)
            except RuntimeError as error:  # a kernel that the model's shape has not
                raise GristmillError(
                    f"vllm cannot write with {type(base).__name__}: {error!s:.300}. `rollout: "
                    "{engine: transformers}` writes with every model"
                ) from error
            check_agreement(policy, prompts, found, how, _NEAR[self._dtype])
            return found

    def close(self) -> None:
        """Free the engine."""
        core, self._core = self._core, None
        if core is not None:
            core.shut()

    def _open(self, base: Any) -> vllm_core.Core:
        """An engine of the policy's shape, without weights of its own."""
        config = copy.deepcopy(base.config)
        config.architectures = [type(base).__name__]
        config.save_pretrained(self._folder)
        vllm_environment.quiet()
        threads = torch.get_num_threads()
        try:
            return vllm_core.Core(self._arguments(config), own_process=False)
        except (ValueError, RuntimeError) as error:  # a model that it does not know; no memory
            raise RecipeError(
                f"rollout.engine is 'vllm', which cannot open {type(base).__name__}: "
                f"{error!s:.300}. `engine: transformers` (the default) can"
            ) from error
        finally:
            torch.set_num_threads(threads)

    def _arguments(self, config: Any) -> dict[str, Any]:
        """EngineArgs; the cache has room for all that is written side by side, so that nothing is
        put off and written anew."""
        cpu = vllm_core.on_cpu()
        each = _cache_bytes(config.get_text_config(), self._longest, self._dtype)
        free, whole = (0, 1) if cpu else torch.cuda.mem_get_info()
        limit = vllm_core.cpu_cache_gb() * 2**30 if cpu else free / 4
        rows = max(1, min(self._rows, MOST, int(limit / each) - 1))
        found = {
            "model": str(self._folder),
            "skip_tokenizer_init": True,
            "load_format": "dummy",  # the policy's weights come before each batch
            "max_model_len": self._longest,
            "max_num_seqs": rows,
            "kv_cache_memory_bytes": (rows + 1) * each,
            "dtype": self._dtype,
            "enforce_eager": cpu,
            "generation_config": "vllm",
            "logprobs_mode": "processed_logprobs",  # at the temperature that is drawn at
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
            "seed": 0,
        }
        if cpu:  # see synth.engines.vllm: parts of a prompt end a core whose requests have seeds
            sizes = {"max_num_batched_tokens": max(4096, self._longest)}
            return {**found, **sizes, "enable_chunked_prefill": False}
        return {**found, "gpu_memory_utilization": 0.9 * free / whole}

    def _give(self, engine: Any, base: Any) -> None:
        """The policy's weights as they are now; what was computed with others is forgotten."""
        weights = plain_weights(base, self._adapted)
        engine.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights.items())})
        if not engine.reset_prefix_cache():
            raise GristmillError("vllm kept keys and values of the weights before these")


def _written(
    engine: Any, prompts: Sequence[Sequence[int]], seeds: Sequence[int], how: Drawing
) -> list[Written]:
    from vllm import SamplingParams
    from vllm.inputs import tokens_input
    from vllm.sampling_params import RequestOutputKind

    for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        asked = SamplingParams(
            max_tokens=how.max_tokens,
            temperature=how.temperature,
            top_p=how.top_p,
            seed=seed,
            stop_token_ids=list(how.stop),
            ignore_eos=True,  # all ends are those of `how`
            logprobs=0,  # of the token itself
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        engine.add_request(str(number), tokens_input(list(prompt)), asked)
    found: dict[int, Written] = {}
    while engine.has_unfinished_requests():
        for output in engine.step():
            made = output.outputs[0]
            if made.finish_reason not in ("stop", "length"):
                raise GristmillError(f"vllm ended a completion with {made.finish_reason!r}")
            flat = made.logprobs
            logps = [flat.logprobs[start] for start in flat.start_indices]
            ended = made.finish_reason == "stop"
            found[int(output.request_id)] = Written(list(made.token_ids), ended, logps)
    return [found[number] for number in range(len(prompts))]


def check_agreement(
    policy: Any,
    prompts: Sequence[Sequence[int]],
    written: Sequence[Written],
    how: Drawing,
    near: float,
) -> None:
    """GristmillError where the engine's numbers are not the policy's: vLLM takes new weights for
    some models without a word and keeps the old ones (experts, on a CPU)."""
    prompts, written = prompts[:_LOOKED_AT], written[:_LOOKED_AT]
    ids = [one.ids for one in written]
    batch = laid_out(prompts, ids, [True] * len(ids), policy.device)
    theirs = in_columns([one.logps or [] for one in written], batch["mask"])
    with torch.no_grad():
        ours = token_logps(passed(policy, batch, how.temperature).logits, targets(batch))
    gap = float(((ours - theirs).abs() * batch["mask"]).sum() / batch["mask"].sum())
    if not gap <= near - math.log(how.top_p):  # top_p leaves out at most so much; NaN is refused
        raise GristmillError(
            f"vllm writes with other numbers than the policy's: {gap:.3g} nats a token apart, and "
            f"{near} is what rounding explains. This version of vLLM does not take new weights of "
            f"such a model ({type(policy).__name__}) here; write `engine: transformers`"
        )


def _cache_bytes(config: Any, longest: int, dtype: str) -> int:
    """Keys and values of one completion with its prompt."""
    said = config.to_dict()
    heads = said.get("num_key_value_heads") or config.num_attention_heads
    size = said.get("head_dim") or config.hidden_size // config.num_attention_heads
    tokens = -(-longest // BLOCK) * BLOCK
    width = 4 if dtype == "float32" else 2
    return int(2 * config.num_hidden_layers * heads * size * tokens * width)
