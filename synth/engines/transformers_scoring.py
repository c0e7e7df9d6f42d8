"""Log-probabilities of given tokens, and rewards of conversations: one pass, nothing written.

In: requests of one kind, padded on the right to one batch. Out: their answers.
Shown by: `python -m pytest tests/synth/engines/test_transformers.py`.
Limit: logits of a whole batch are held at once; _LOGITS bounds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synth.calls import Answer, Ready, ScoreTokens
from synth.engines.transformers_sampling import tops

_LOGITS = 1 << 28  # numbers: 1 GB in float32


def batches(todo: Sequence[tuple[int, Ready]], most: int, width: int) -> list[list[Any]]:
    """Requests in batches of about equal length; `width`: numbers that one token costs."""
    out: list[list[tuple[int, Ready]]] = []
    for item in sorted(todo, key=lambda item: -len(item[1].tokens or ())):
        longest = len(out[-1][0][1].tokens or ()) if out else 0
        if not out or len(out[-1]) >= most or longest * (len(out[-1]) + 1) * width > _LOGITS:
            out.append([])
        out[-1].append(item)
    return out


def score(model: Any, requests: Sequence[Ready]) -> list[Answer]:
    """Log-probabilities of the tokens from `start` on, and the most probable ones beside them."""
    import torch

    ids, mask = _padded(requests, 0, model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    found = []
    for row, ready in enumerate(requests):
        call, tokens = ready.call, list(ready.tokens or ())
        assert isinstance(call, ScoreTokens)
        own = logits[row, call.start - 1 : len(tokens) - 1].float().log_softmax(dim=-1)
        scored = tokens[call.start :]
        values = own[range(len(scored)), scored].tolist()
        answer = Answer(
            token_ids=scored,
            finish_reason="stop",
            prompt_tokens=len(tokens),
            logprob=sum(values),
            token_logprobs=values,
            key=ready.key,
        )
        if call.top:
            answer.top_ids, answer.top_logprobs = tops(own, call.top)
        found.append(answer)
    return found


def reward(model: Any, requests: Sequence[Ready], pad: int) -> list[Answer]:
    """The one number that a sequence classifier gives each."""
    import torch

    # Classifiers look for the last token that is not padding: it must be none of the real last ones
    last = {(ready.tokens or (0,))[-1] for ready in requests}
    filler = next(token for token in (pad, *range(len(last) + 1)) if token not in last)
    model.config.pad_token_id = filler
    ids, mask = _padded(requests, filler, model.device)
    with torch.inference_mode():
        values = model(input_ids=ids, attention_mask=mask).logits.float()[:, 0].tolist()
    return [
        Answer(
            finish_reason="stop", prompt_tokens=len(ready.tokens or ()), value=value, key=ready.key
        )
        for ready, value in zip(requests, values, strict=True)
    ]


def _padded(requests: Sequence[Ready], filler: int, device: Any) -> tuple[Any, Any]:
    import torch

    width = max(len(ready.tokens or ()) for ready in requests)
    ids = torch.full((len(requests), width), filler, dtype=torch.long)
    mask = torch.zeros((len(requests), width), dtype=torch.long)
    for row, ready in enumerate(requests):
        tokens = list(ready.tokens or ())
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    return ids.to(device), mask.to(device)
