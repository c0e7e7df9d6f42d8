"""datatrove's InferenceRunner on a server that runs already, with its checkpoints on.

In: documents, a server's address, sampling. Out: generated tokens, from its own statistics.
Shown by: `python -m bench.synth_peers`. Limit: its own server start is left out; its 128 requests
in flight are vLLM's own batch on a CPU.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

from bench.worker import Job, scratch


def open_runner(
    model: str, url: str, documents: str, prompt: str, tokens: int, temperature: float
) -> Job:
    """One run over all documents."""
    from datatrove.data import Document
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter
    from loguru import logger

    logger.remove()
    rows = [json.loads(line) for line in Path(documents).read_text().splitlines()]
    place = scratch("datatrove-")

    async def rollout(document: Any, generate: Any) -> Any:
        turn = {"role": "user", "content": prompt.replace("{{ text }}", document.text)}
        return await generate(
            {"messages": [turn], "max_tokens": tokens, "temperature": temperature}
        )

    def before() -> None:
        shutil.rmtree(place, ignore_errors=True)

    def run() -> dict[str, Any]:
        config = InferenceConfig(
            server_type="endpoint",
            model_name_or_path=model,
            endpoint_url=url,
            max_concurrent_generations=512,
        )
        runner = InferenceRunner(
            rollout_fn=rollout,
            config=config,
            output_writer=JsonlWriter(
                str(place / "out"), output_filename="${rank}_chunk_${chunk_index}.jsonl"
            ),
            checkpoints_local_dir=str(place / "checkpoints"),
        )
        asyncio.run(runner.run_async([Document(row["text"], row["id"]) for row in rows]))
        return {"tokens": int(runner.stats.stats["completion_tokens"].total)}

    return Job(run=run, before=before, packages=["datatrove"])
