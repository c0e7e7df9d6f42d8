"""distilabel's TextGeneration over its OpenAILLM, without its pipeline around it.

In: documents, a server's address, sampling. Out: generated tokens, from its own statistics.
Shown by: `python -m bench.synth_peers`. Limit: its pipeline (processes, queues, files) is left out,
which spares it time; all documents are one batch, its best case.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from bench.worker import Job


def open_task(
    model: str, url: str, documents: str, prompt: str, tokens: int, temperature: float
) -> Job:
    """One pass of the task over all documents."""
    warnings.filterwarnings("ignore")
    from distilabel.models.llms import OpenAILLM
    from distilabel.steps.tasks import TextGeneration

    rows = [json.loads(line) for line in Path(documents).read_text().splitlines()]
    inputs = [{"instruction": prompt.replace("{{ text }}", row["text"])} for row in rows]
    llm = OpenAILLM(
        model=model,
        base_url=f"{url}/v1",
        api_key="none",
        timeout=600,
        generation_kwargs={"max_new_tokens": tokens, "temperature": temperature},
    )
    task = TextGeneration(name="generate", llm=llm, input_batch_size=len(inputs))
    task.load()

    def run() -> dict[str, Any]:
        made = 0
        for rows_out in task.process([dict(one) for one in inputs]):
            for row in rows_out:
                statistics = row["distilabel_metadata"]["statistics_generate"]
                made += statistics["output_tokens"]  # of its one generation
        return {"tokens": made}

    return Job(run=run, packages=["distilabel", "openai"])
