"""Score logprob: the log importance weight of a latent thought, as BoLT resamples them.

In: a text cut in two (`prefix`, `suffix`), a thought Z sampled between them. Out: `log_weight`, and
its parts `log_weight_p`, `log_weight_q` (nats). Shown by:
`gristmill run pipelines/recipes/synth/latent_thoughts.yaml`.
Limit: Z must be the completion as it was sampled; a stripped or edited one has another q.

BoLT (Ruan et al. 2025, arXiv:2503.18866, E-step, and its code): K thoughts are drawn from
q(Z | prefix, suffix); w = log p(prefix, open Z close, suffix) - log q(Z); one is drawn with
probability softmax(w): `select: {resample: {by: log_weight}}`. Exactly:

- log p is the sum of the natural log-probabilities, at temperature 1, of the tokens that follow
  `prefix` in prefix + open + Z + close + suffix, by the model `engine`. The prefix itself is the
  same for all K thoughts of a row and is left out, as in BoLT: softmax(w) does not change.
- log q is the sum over all tokens of the completion that Z came from, the one that ended it
  included, as the sampling engine told it (`item.logprob`).
- So q is the distribution that was sampled from only at temperature 1 without top_p, top_k, min_p
  or penalties. Another setting is refused: its weights would be those of a proposal never used.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache

import pyarrow as pa

from gristmill.errors import RecipeError
from synth.calls import Call, Failure, ScoreTokens
from synth.items import Item, Row
from synth.ops import Running, SynthOp, register_op
from synth.values import text_of

PLAIN = {
    "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0,
    "presence_penalty": 0.0, "frequency_penalty": 0.0,
}  # fmt: skip


@register_op("score.logprob")
class LogWeight(SynthOp):
    """log p(open Z close, suffix | prefix) - log q(Z)."""

    of: str = "response"  # Z
    prefix: str = "prefix"  # field: what comes before
    suffix: str = "suffix"  # field: what comes after
    open: str = "\n"  # text between prefix and Z ...
    close: str = "\n"  # ... and between Z and suffix: as they are trained on
    engine: str = "main"  # p
    into: str = "log_weight"

    def engines(self) -> list[str]:
        return [self.engine]

    def fields(self) -> dict[str, pa.DataType]:
        return {name: pa.float64() for name in (self.into, f"{self.into}_p", f"{self.into}_q")}

    def run(self, items: list[Item], row: Row) -> Running:
        asked: list[tuple[Item, float]] = []
        calls: list[Call] = []
        for item in items:
            texts = [text_of(item, n, row, self.NAME) for n in (self.prefix, self.of, self.suffix)]
            if any(text is None for text in texts):
                continue
            if item.logprob is None or not math.isfinite(item.logprob):
                row.fail(
                    self.NAME, "missing", f"the completion's log-probability is {item.logprob}"
                )
                continue
            if item.made:
                _check_plain(item.made[-1].params)
            prefix, latent, suffix = (text or "" for text in texts)
            after = f"{self.open}{latent}{self.close}{suffix}"
            asked.append((item, item.logprob))
            calls.append(ScoreTokens(self.engine, text=after, prefix_text=prefix))
        if not calls:
            return []
        kept = []
        for (item, log_q), answer in zip(asked, (yield calls), strict=True):
            if isinstance(answer, Failure):
                row.fail(self.NAME, answer.reason, answer.detail)
                continue
            if answer.logprob is None or not math.isfinite(answer.logprob):
                row.fail(self.NAME, "missing", f"the text's log-probability is {answer.logprob}")
                continue
            item.fields |= {
                self.into: answer.logprob - log_q,
                f"{self.into}_p": answer.logprob,
                f"{self.into}_q": log_q,
            }
            kept.append(item)
        return kept


@lru_cache(maxsize=64)
def _check_plain(params: str) -> None:
    """RecipeError unless the completion was drawn from the model's own distribution."""
    used = json.loads(params)
    for name, plain in PLAIN.items():
        if used.get(name, plain) != plain:
            raise RecipeError(
                f"score.logprob: the thoughts were sampled with {name} {used[name]}; log q is that "
                f"of the model's own distribution; sample them with {name}: {plain}"
            )
