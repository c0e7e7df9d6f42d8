"""Calls in vLLM's words, and its outputs in ours.

In: a Ready request. Out: SamplingParams or PoolingParams; of an output the Answer.
Shown by: `python -m pytest tests/synth/engines/test_vllm.py`.
Limit: log-probabilities are the model's own, before temperature and penalties (vLLM's raw mode).
"""

from __future__ import annotations

import copy
from typing import Any

from synth.calls import Answer, Failure, Generate, Ready, Sampling, ScoreTokens
from synth.engines.rendering import Rendering

_SCORE = "score"


class Params:
    """Parameters of requests; those of equal settings are built once and copied."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def of(self, ready: Ready) -> Any:
        """SamplingParams or PoolingParams of one request."""
        call = ready.call
        if isinstance(call, Generate):
            settings = call.sampling
            base = self._known.get(settings)
            if base is None:
                base = self._known[settings] = _sampling(settings)
            if settings.temperature == 0:
                return base  # vLLM copies it, and greedy needs no seed
            seeded = copy.copy(base)
            seeded.seed = call.seed
            return seeded
        key = (_SCORE, call.top) if isinstance(call, ScoreTokens) else "reward"
        if key not in self._known:
            self._known[key] = _scoring(call.top) if isinstance(call, ScoreTokens) else _rewarding()
        return self._known[key]


def _sampling(settings: Sampling) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    structured = None
    if settings.structure is not None:
        value: Any = settings.structure.value
        value = list(value) if settings.structure.kind == "choice" else value
        structured = StructuredOutputsParams(**{settings.structure.kind: value})
    return SamplingParams(
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        min_p=settings.min_p,
        repetition_penalty=settings.repetition_penalty,
        presence_penalty=settings.presence_penalty,
        frequency_penalty=settings.frequency_penalty,
        stop=list(settings.stop),
        logprobs=settings.logprobs,
        flat_logprobs=True,
        # We decode once at the end; token by token costs 10 µs each. Stop strings need it.
        detokenize=bool(settings.stop),
        output_kind=RequestOutputKind.FINAL_ONLY,
        structured_outputs=structured,
        skip_clone=True,
    )


def _scoring(top: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=1,
        temperature=0.0,
        prompt_logprobs=top,
        flat_logprobs=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        skip_reading_prefix_cache=True,  # cached blocks have no logits to read
        skip_clone=True,
    )


def _rewarding() -> Any:
    from vllm import PoolingParams

    return PoolingParams(task="classify", use_activation=False)


def answer(ready: Ready, output: Any, rendering: Rendering) -> Answer | Failure:
    """The answer that a finished output holds."""
    if isinstance(ready.call, Generate):
        return _completion(ready, ready.call.sampling, output, rendering)
    if isinstance(ready.call, ScoreTokens):
        return _scored(ready, ready.call, output)
    return _reward(ready, output)


def _completion(
    ready: Ready, sampling: Sampling, output: Any, rendering: Rendering
) -> Answer | Failure:
    completion = output.outputs[0]
    reason = completion.finish_reason
    if reason not in ("stop", "length"):
        return Failure("server", f"vLLM ended it with {reason!r}", ready.key)
    ids = list(completion.token_ids)
    stop = completion.stop_reason if isinstance(completion.stop_reason, str) else ""
    found = Answer(
        text=rendering.completion(ids, reason, stop),
        token_ids=ids,
        finish_reason=reason,
        prompt_tokens=len(output.prompt_token_ids),
        completion_tokens=len(ids),
        logprob=completion.cumulative_logprob,
        key=ready.key,
    )
    if sampling.logprobs:
        _tops(found, completion.logprobs, 0, sampling.logprobs)
    return found


def _scored(ready: Ready, call: ScoreTokens, output: Any) -> Answer:
    found = Answer(
        token_ids=list(output.prompt_token_ids[call.start :]),
        finish_reason="stop",
        prompt_tokens=len(output.prompt_token_ids),
        key=ready.key,
    )
    _tops(found, output.prompt_logprobs, call.start, call.top)
    found.logprob = sum(found.token_logprobs or ())
    return found


def _tops(found: Answer, flat: Any, first: int, top: int) -> None:
    """Of each position: the token's own log-probability, then the most probable ones."""
    starts = flat.start_indices[first:]
    found.token_logprobs = [flat.logprobs[start] for start in starts]
    if top:
        found.top_ids = [flat.token_ids[start + 1 : start + 1 + top] for start in starts]
        found.top_logprobs = [flat.logprobs[start + 1 : start + 1 + top] for start in starts]


def _reward(ready: Ready, output: Any) -> Answer | Failure:
    values = output.outputs.data.float().flatten().tolist()
    if len(values) != 1:
        return Failure("server", f"the reward model gave {len(values)} numbers, not one", ready.key)
    return Answer(
        finish_reason="stop",
        prompt_tokens=len(output.prompt_token_ids),
        value=values[0],
        key=ready.key,
    )
