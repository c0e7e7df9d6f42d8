"""The harness over our bench: lm-eval asks, our batches answer.

In: an lm_eval task, a bench. Out: its metrics as scores, its samples as items.
Shown by: `use: evaluate, tasks: [{lm_eval: {folder: evals/, tasks: [arc_easy_local]}}]`.
Limit: one process; log-likelihoods are those of lm-eval's own `hf` model to float noise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lm_eval
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from gristmill.errors import RecipeError
from gristmill.rng import derive_seed
from synth.calls import Sampling
from train.evaluate.held_out import windows
from train.evaluate.results import Better, Item, Measured, Score

if TYPE_CHECKING:
    from train.evaluate.bench import Bench
    from train.evaluate.tasks.lm_eval import LmEvalTask

Z = 1.959963984540054  # of a 95% interval
_LONGEST = 256  # tokens written where a task does not say
_BOOTSTRAP = 1000


class BenchModel(LM):  # type: ignore[misc]  # the package is not there when types are checked
    """What lm-eval calls."""

    def __init__(self, bench: Bench, title: str) -> None:
        super().__init__()
        self._bench, self._title = bench, title
        self._backend = bench.rendering.tokenizer.backend_tokenizer
        end = bench.rendering.tokenizer.eos_token_id
        self._before = bench.rendering.start_ids or ([] if end is None else [int(end)])

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether greedy writing gives it."""
        rows, counts = [], []
        for request in requests:
            context, continuation = self._pair(*request.args)
            rows.append((context + continuation)[-self._bench.longest :])
            counts.append(min(len(continuation), len(rows[-1]) - 1))
        judged = self._bench.judge(rows)
        return [
            (-float(one.nats[len(one.nats) - count :].sum()), bool(one.right[-count:].all()))
            for one, count in zip(judged, counts, strict=True)
        ]

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        """Log-probability of whole texts."""
        rows = [[*self._before, *self._ids(request.args[0])] for request in requests]
        return [-float(nats.sum()) for nats in windows(self._bench, rows, None, None)]

    def generate_until(self, requests: list[Any]) -> list[str]:
        """Completions, those of one setting in one batch."""
        found: list[str] = [""] * len(requests)
        groups: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True), []).append(place)
        for text, places in groups.items():
            sampling = _sampling(json.loads(text))
            room = self._bench.longest - sampling.max_tokens
            if room < 1:
                raise RecipeError(
                    f"{self._title}: max_gen_toks {sampling.max_tokens} leaves no room for a "
                    f"prompt: the model reads {self._bench.longest} tokens"
                )
            prompts = [self._prompt(requests[place].args[0])[-room:] for place in places]
            written = self._bench.write(prompts, sampling, self._title)
            for place, completions in zip(places, written, strict=True):
                found[place] = completions[0].text
        return found

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The chat as the model's template writes it."""
        text: str = self._bench.rendering.tokenizer.apply_chat_template(
            chat_history, tokenize=False, add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )  # fmt: skip
        return text

    @property
    def tokenizer_name(self) -> str:
        """For the harness's own cache of requests."""
        return self._bench.name.replace("/", "__")

    def _pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Tokens of both; spaces between them belong to the continuation, as in lm-eval's `hf`."""
        bare = context.rstrip()
        whole = self._prompt(bare + context[len(bare) :] + continuation)
        first = self._prompt(bare) if bare else list(self._before)
        if not bare and not self._bench.rendering.start_ids:
            whole = [*first, *whole]
        return first, whole[len(first) :]

    def _prompt(self, text: str) -> list[int]:
        ids, start = self._ids(text), self._bench.rendering.start_ids
        return ids if ids[: len(start)] == start else [*start, *ids]

    def _ids(self, text: str) -> list[int]:
        return list(self._backend.encode(text, add_special_tokens=False).ids)


def run_harness(task: LmEvalTask, bench: Bench) -> Measured:
    """Run the task's names; RecipeError where the folder has none of that name."""
    manager = TaskManager(include_path=task.folder, include_defaults=False)
    for name in task.tasks:
        if name not in manager.all_tasks:
            known = ", ".join(sorted(manager.all_tasks)[:20])
            raise RecipeError(f"lm_eval.tasks has {name!r}; the task files there have {known}")
    seed = derive_seed(bench.seed, task.title) % 2**31
    found = lm_eval.simple_evaluate(
        model=BenchModel(bench, task.title), tasks=list(task.tasks), num_fewshot=task.fewshot,
        limit=task.limit, task_manager=manager, apply_chat_template=task.chat,
        bootstrap_iters=_BOOTSTRAP, random_seed=seed, numpy_random_seed=seed,
        torch_random_seed=seed, fewshot_random_seed=seed, confirm_run_unsafe_code=task.unsafe,
    )  # fmt: skip
    scores = [s for name in found["results"] for s in _scores(found, name)]
    items = [i for name, rows in found["samples"].items() for i in _items(name, rows)]
    return Measured(scores, items)


def _scores(found: dict[str, Any], name: str) -> list[Score]:
    """`acc,none` and `acc_stderr,none` of a task or group."""
    values = found["results"][name]
    sizes = found.get("n-samples", {}).get(name, {})
    higher = found.get("higher_is_better", {}).get(name, {})
    out = []
    for key, value in values.items():
        metric, _, filtered = key.partition(",")
        if not filtered or metric.endswith("_stderr") or not isinstance(value, float | int):
            continue
        error = values.get(f"{metric}_stderr,{filtered}")
        known = isinstance(error, float | int) and math.isfinite(error)
        around = Z * float(error) if known else None
        up = higher.get(metric)
        better: Better = "neither" if up is None else "higher" if up else "lower"
        out.append(
            Score(
                metric if filtered == "none" else f"{metric}.{filtered}", float(value),
                int(sizes.get("effective", 0)), better, name, float(error) if known else None,
                None if around is None else float(value) - around,
                None if around is None else float(value) + around,
            )
        )  # fmt: skip
    return out


def _items(name: str, rows: Sequence[dict[str, Any]]) -> list[Item]:
    """A sample a row: its prompt, what the model answered, the first metric's value."""
    items = []
    for row in rows:
        metrics = {m: row[m] for m in row.get("metrics", []) if isinstance(row.get(m), int | float)}
        if not metrics:
            continue
        metric, score = next(iter(metrics.items()))
        asked = row["arguments"][0][0] if row.get("arguments") else None
        items.append(
            Item(
                str(row["doc_id"]), float(score), metric, name, prompt=asked,
                completion=str(row.get("filtered_resps"))[:2000], answer=str(row.get("target")),
                meta={key: float(value) for key, value in metrics.items()},
            )
        )  # fmt: skip
    return items


def _sampling(given: dict[str, Any]) -> Sampling:
    until = given.get("until") or ()
    heat = float(given.get("temperature") or 0.0) if given.get("do_sample") else 0.0
    return Sampling(
        int(given.get("max_gen_toks", _LONGEST)), heat, float(given.get("top_p", 1.0)),
        stop=(until,) if isinstance(until, str) else tuple(until),
    )  # fmt: skip
