"""One rank of a Trainer that notes the rows it is given, for each optimiser step.

python -m torch.distributed.run --nproc-per-node 2 -m tests.mixtures.train_rank STORE OUT STEPS N
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from mixtures.plan import open_plan
from mixtures.plan.adapters import TRAINER, collate


class Noting(Trainer):
    """Notes rows in place of computing."""

    rows: list[list[int]]

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        self.rows.append(inputs["row"].tolist())
        return torch.zeros(())


def main() -> None:
    """Train, then write the rows of each micro-batch."""
    store, out, steps, accumulation = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])
    world, rank = int(os.environ["WORLD_SIZE"]), os.environ["RANK"]
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 8}
    arguments = TrainingArguments(
        output_dir=str(out / "trainer"),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=accumulation,
        max_steps=steps,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        ddp_backend="gloo",
        **TRAINER,
    )
    trainer = Noting(
        LlamaForCausalLM(LlamaConfig(vocab_size=100, **sizes, **heads)),
        arguments,
        train_dataset=open_plan(store, "mix").micro_batches(accumulation * world),
        data_collator=collate,
    )
    trainer.rows = []
    trainer.train()
    (out / f"rows-{rank}.json").write_text(json.dumps(trainer.rows))
    # A rank that ends while gloo's threads are up can abort on its way out.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
