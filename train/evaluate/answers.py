"""Completions judged by verifiers: shares of right answers, pass@k, and the samples.

In: rows with prompt, answer and verifier, and what was written. Out: Measured.
Shown by: `use: evaluate, tasks: [{procedural: {task: sums, count: 200}}]`.
Limit: pass@k counts a score of 1 as passed; shares below 1 count in `score` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gristmill.errors import RecipeError
from train.evaluate.intervals import Estimate, mean, share
from train.evaluate.prompts import judged
from train.evaluate.results import ALL, ITEM_HOST, Better, Item, Measured, Score

if TYPE_CHECKING:
    from train.evaluate.generate import Completion

PASSED = 1.0 - 1e-9


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """Chance that one of k samples passes, without bias (Chen et al. 2021, arXiv:2107.03374)."""
    if samples - passed < k:
        return 1.0
    missed = 1.0
    for place in range(samples - passed + 1, samples + 1):
        missed *= 1 - k / place
    return 1.0 - missed


def scored(metric: str, found: Estimate, better: Better, source: str = ALL, **more: Any) -> Score:
    """An estimate as a score."""
    return Score(
        metric, found.value, found.n, better, source, found.stderr, found.low, found.high, **more
    )


def verified(
    rows: Sequence[Mapping[str, Any]],
    written: Sequence[list[Completion] | None],
    name: str | None,
    ks: Sequence[int],
    by: str | None,
) -> Measured:
    """Judge completions by the verifier `name`, or by each row's own; groups by a column."""
    found = Measured()
    by_source: dict[str, list[list[float]]] = {}
    too_long = cut = 0
    for row, completions in zip(rows, written, strict=True):
        source = ALL if by is None else str(row.get(by))
        chosen, scores = name or row.get("verifier"), []
        if not chosen:
            raise RecipeError(
                f"row {row.get('id')!r} names no verifier; write `verifier: NAME` for all rows"
            )
        answer, prompt = str(row.get("answer") or ""), str(row["prompt"])
        for number, one in enumerate(completions or ()):
            scores.append(judged(str(chosen), one.text, answer, prompt))
            cut += not one.finished
            found.items.append(
                Item(
                    str(row.get("id")), scores[-1], "score", source, number, prompt, one.text,
                    answer, tokens=len(one.tokens), finished=one.finished,
                    host=row.get(ITEM_HOST),
                )
            )  # fmt: skip
        if completions is None:
            too_long += 1
            scores = [0.0] * max((1, *ks))
            found.items.append(
                Item(
                    str(row.get("id")), 0.0, "score", source, 0, prompt, None, answer,
                    host=row.get(ITEM_HOST),
                )
            )  # fmt: skip
        by_source.setdefault(source, []).append(scores)
    groups = {**by_source, ALL: [one for group in by_source.values() for one in group]}
    for source, items in groups.items():
        found.scores += _summary(items, ks, source)
    if too_long:
        found.notes.append(f"{too_long} of {len(rows)} prompts do not fit the model: scored 0")
    if cut:
        total = len(found.items) - too_long
        found.notes.append(f"{cut} of {total} completions were cut by max_tokens")
    return found


def _summary(items: Sequence[Sequence[float]], ks: Sequence[int], source: str) -> list[Score]:
    """`score`, the mean over items; pass@k for each k."""
    means = [sum(scores) / len(scores) for scores in items]
    plain = all(len(scores) == 1 and scores[0] in (0.0, 1.0) for scores in items)
    whole = share(sum(means), len(means)) if plain else mean(means)
    out = [scored("score", whole, "higher", source)]
    for k in ks:
        chances = [
            pass_at_k(len(scores), sum(one >= PASSED for one in scores), k) for scores in items
        ]
        out.append(scored(f"pass@{k}", mean(chances), "higher", source))
    return out
