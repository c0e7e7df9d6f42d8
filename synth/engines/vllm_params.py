"""Calls in vLLM's words, and its outputs in ours.

In: a Ready request. Out: SamplingParams or PoolingParams; of an output the Answer.
Shown by: `python -m pytest tests/synth/engines/test_vllm.py`.
Limit: log-probabilities are the model's own, before temperature and penalties (vLLM's raw mode).
"""

from __future__ import annotations

import copy
from typing import Any

from synth.calls import Answer, Failure, Generate, Ready, Reward, Sampling, ScoreTokens
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


def answers(found: list[tuple[Ready, Any]], rendering: Rendering) -> list[Answer | Failure]:
    """Answers to finished outputs; texts are decoded in one batch."""
    made: list[Answer | Failure] = []
    for ready, output in found:
        if isinstance(ready.call, Reward):
            made.append(_reward(ready, output))
        elif isinstance(ready.call, ScoreTokens):
            made.append(_scored(ready, ready.call, output))
        else:
            made.append(_completion(ready, output))
    written = [
        (index, output.outputs[0])
        for index, (ready, output) in enumerate(found)
        if isinstance(ready.call, Generate)
    ]
    texts = rendering.decode([completion.token_ids for _, completion in written])
    for (index, completion), text in zip(written, texts, strict=True):
        answer = made[index]
        if isinstance(answer, Answer):
            answer.text = _cut(text, completion)
    return made


def _completion(ready: Ready, output: Any) -> Answer | Failure:
    completion = output.outputs[0]
    if completion.finish_reason not in ("stop", "length"):
        return Failure("server", f"vLLM ended it with {completion.finish_reason!r}", ready.key)
    answer = Answer(
        token_ids=list(completion.token_ids),
        finish_reason=completion.finish_reason,
        prompt_tokens=len(output.prompt_token_ids),
        completion_tokens=len(completion.token_ids),
        logprob=completion.cumulative_logprob,
        key=ready.key,
    )
    assert isinstance(ready.call, Generate)
    if ready.call.sampling.logprobs:
        _tops(answer, completion.logprobs, 0, ready.call.sampling.logprobs)
    return answer


def _cut(text: str, completion: Any) -> str:
    """The text up to a stop string, and without half a character where max_tokens cut one."""
    if isinstance(completion.stop_reason, str):
        before, found, _ = text.partition(completion.stop_reason)
        return before if found else str(completion.text)
    return text.rstrip("\ufffd") if completion.finish_reason == "length" else text


def _scored(ready: Ready, call: ScoreTokens, output: Any) -> Answer:
    answer = Answer(
        token_ids=list(output.prompt_token_ids[call.start :]),
        finish_reason="stop",
        prompt_tokens=len(output.prompt_token_ids),
        key=ready.key,
    )
    _tops(answer, output.prompt_logprobs, call.start, call.top)
    answer.logprob = sum(answer.token_logprobs or ())
    return answer


def _tops(answer: Answer, flat: Any, first: int, top: int) -> None:
    """Of each position: the token's own log-probability, then the most probable ones."""
    starts = flat.start_indices[first:]
    answer.token_logprobs = [flat.logprobs[start] for start in starts]
    if top:
        answer.top_ids = [flat.token_ids[start + 1 : start + 1 + top] for start in starts]
        answer.top_logprobs = [flat.logprobs[start + 1 : start + 1 + top] for start in starts]


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
