"""The same rows through DataLoader, Trainer and TRL; and the same rows after kill -9."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixtures.plan.rows import ARRAYS, Plan
from tests.extras import needs
from tests.mixtures.make_plan import make_plan

needs("torch", "transformers", "trl", "datasets", "accelerate")

import torch  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments  # noqa: E402

from mixtures.plan.adapters import TRAINER, TRL, collate, model_inputs, trl_rows  # noqa: E402
from tests.mixtures.consume import digest  # noqa: E402

ROWS = 1000


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("store")
    return make_plan(path, mask=True, segments=((2400, 32, 8),), vocab_size=60_000)


def model(vocabulary: int = 60_000) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 8}
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **sizes, **heads))


def few_tokens(items: list[Any]) -> dict[str, Any]:
    """Model inputs for a small, fast model."""
    inputs = model_inputs(items)
    labels = inputs["labels"]
    folded = torch.where(labels < 0, labels, labels % 100)
    return {**inputs, "input_ids": inputs["input_ids"] % 100, "labels": folded}


@pytest.mark.parametrize("workers", [0, 2])
def test_data_loader_gives_the_plans_rows(plan: Plan, workers: int) -> None:
    loader = DataLoader(plan, batch_size=50, num_workers=workers, collate_fn=collate)  # type: ignore[arg-type]
    wanted = plan.rows(range(ROWS))
    batches = [batch for batch, _ in zip(loader, range(ROWS // 50), strict=False)]
    for name in (*ARRAYS, "source", "row"):
        found = torch.cat([batch[name] for batch in batches])
        assert found.dtype == torch.int64
        assert torch.equal(found, torch.from_numpy(wanted[name]))


class Recorder(Trainer):
    """A Trainer that keeps what its model was given, and does not compute."""

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        copies = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in inputs.items()}
        self.__dict__.setdefault("seen", []).append(copies)
        return torch.zeros(())


@pytest.mark.parametrize("split", [(8, 1), (2, 4)])
@pytest.mark.parametrize("micro", [False, True])
def test_trainer_gives_the_plans_rows(
    plan: Plan, tmp_path: Path, split: tuple[int, int], micro: bool
) -> None:
    batch, accumulation = split
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=1 if micro else batch,
        gradient_accumulation_steps=accumulation,
        max_steps=ROWS // 8,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        **TRAINER,
    )
    rows: Any = plan.micro_batches(accumulation) if micro else plan
    trainer = Recorder(model(), arguments, train_dataset=rows, data_collator=model_inputs)
    trainer.train()
    wanted, seen = plan.rows(range(ROWS)), trainer.seen
    assert all(set(inputs) == {*ARRAYS, "use_cache"} for inputs in seen)
    assert seen[0]["input_ids"].shape == (batch, 32)
    for name in ARRAYS:
        found = torch.cat([inputs[name] for inputs in seen])
        assert torch.equal(found, torch.from_numpy(wanted[name]))


@pytest.mark.parametrize("world, accumulation", [(1, 4), (2, 2), (4, 2), (8, 1)])
def test_accelerates_ranks_share_out_every_step(plan: Plan, world: int, accumulation: int) -> None:
    """The batches that accelerate deals to ranks, step by step, are the rows of the steps."""
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler, SequentialSampler

    micro: Any = plan.micro_batches(world * accumulation)
    batches = BatchSampler(SequentialSampler(micro), 1, drop_last=False)
    ranks = [[i for (i,) in BatchSamplerShard(batches, world, rank)] for rank in range(world)]
    for step in range(0, micro.steps, 37):
        part = slice(step * accumulation, (step + 1) * accumulation)
        rows = [row for rank in ranks for i in rank[part] for row in micro[i]["row"].tolist()]
        assert sorted(rows) == list(range(step * 8, step * 8 + 8))


@pytest.mark.slow
def test_two_ranks_of_a_trainer_share_out_every_step(plan: Plan, tmp_path: Path) -> None:
    """Two processes over gloo, two micro-batches each a step: every step has its eight rows."""
    steps, accumulation = 20, 2
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "tests.mixtures.train_rank"]
    options = [str(plan._store.path), str(tmp_path), str(steps), str(accumulation)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *options], check=True, env=environment, timeout=300)
    ranks = [json.loads((tmp_path / f"rows-{rank}.json").read_text()) for rank in range(2)]
    assert [len(rank) for rank in ranks] == [steps * accumulation] * 2
    for step in range(steps):
        part = slice(step * accumulation, (step + 1) * accumulation)
        rows = [row for rank in ranks for batch in rank[part] for row in batch]
        assert sorted(rows) == list(range(step * 8, step * 8 + 8))


def test_trainer_resumes_to_the_same_weights(plan: Plan, tmp_path: Path) -> None:
    """Stopped after 6 of 12 steps, gone on with another split: each row is seen once."""

    def train(folder: str, steps: int, accumulation: int, resume: bool) -> LlamaForCausalLM:
        made = model(100)
        arguments = TrainingArguments(
            output_dir=str(tmp_path / folder),
            per_device_train_batch_size=1,
            gradient_accumulation_steps=accumulation,
            max_steps=12,
            save_steps=6,
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            learning_rate=1e-2,
            **TRAINER,
        )
        rows: Any = plan.micro_batches(accumulation)
        trainer = Trainer(made, arguments, train_dataset=rows, data_collator=few_tokens)
        if steps < 12:
            from transformers import TrainerCallback

            class Stop(TrainerCallback):
                def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                    control.should_training_stop = state.global_step >= steps

            trainer.add_callback(Stop())
        trainer.train(resume_from_checkpoint=resume)
        return made

    whole = train("whole", 12, 1, False)
    train("cut", 6, 1, False)
    again = train("cut", 12, 1, True)
    split = train("cut", 12, 4, True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert torch.allclose(value, split.state_dict()[name], atol=1e-5)


def test_documents_of_a_row_do_not_see_each_other(plan: Plan) -> None:
    """Logits of a packed row equal those of its documents alone, also flat."""
    made = model().eval()
    items = plan.__getitems__([0, 1, 2])
    flat = partial(model_inputs, flat=True)(items)
    assert {flat[name].shape for name in ARRAYS} == {(1, 96)}
    with torch.no_grad():
        packed, joined = made(**model_inputs(items)).logits, made(**flat).logits
        at, counts, lengths = 0, *plan.spans([0])
        assert counts[0] > 1
        for size in lengths.tolist():
            alone = made(torch.from_numpy(items[0]["input_ids"][None, at : at + size])).logits
            assert (alone[0] - packed[0, at : at + size]).abs().max() < 1e-5
            at += size
    assert (packed.reshape(joined.shape) - joined).abs().max() < 1e-5


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<eos>": 1}
    made = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>")


@pytest.mark.parametrize("batch", [1, 4])
def test_trl_gives_the_plans_rows(plan: Plan, tmp_path: Path, batch: int) -> None:
    from trl import SFTConfig, SFTTrainer

    class Kept(SFTTrainer):
        training_step = Recorder.training_step

    arguments = SFTConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=batch,
        max_steps=ROWS // batch,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        **TRL,
    )
    rows = trl_rows(plan, 0, ROWS, cache_dir=str(tmp_path / "cache"))
    assert rows.column_names == ["input_ids", "labels", "seq_lengths"]
    trainer = Kept(model(), arguments, train_dataset=rows, processing_class=tokenizer())
    trainer.train()
    seen, wanted = trainer.seen, plan.rows(range(ROWS))
    counts, lengths = plan.spans(range(ROWS))
    assert "attention_mask" not in seen[0]
    filled = np.add.reduceat(lengths, np.cumsum(counts) - counts)
    real = np.arange(32) < filled[:, None]
    for name in ARRAYS:
        found = torch.cat([inputs[name].reshape(-1) for inputs in seen])
        assert torch.equal(found, torch.from_numpy(wanted[name][real])), name


def test_trl_rows_of_whole_attention_are_one_sequence(tmp_path: Path) -> None:
    made = make_plan(tmp_path, attention="row")
    rows = trl_rows(made, 40, 60, cache_dir=str(tmp_path / "cache"))
    assert [len(row["seq_lengths"]) for row in rows] == [1] * 20
    assert all(sum(row["seq_lengths"]) == len(row["labels"]) for row in rows)
    with pytest.raises(IndexError, match="rows 40 to 81"):
        trl_rows(made, 40, 81)


def test_rows_of_two_lengths_are_no_batch(tmp_path: Path) -> None:
    made = make_plan(tmp_path)
    with pytest.raises(ValueError, match=r"rows of \[32, 48\] tokens in one batch"):
        collate(made.__getitems__([49, 50]))


@pytest.mark.slow
def test_kill_9_and_other_ranks_and_workers(plan: Plan, tmp_path: Path) -> None:
    """Killed at a random row of two ranks, gone on with three: the same next 1,000 rows."""
    state, out = tmp_path / "state.json", tmp_path / "rows.txt"
    state.write_text(json.dumps(plan.state(0)))
    aim = random.SystemRandom().randrange(1, 900)
    module = [sys.executable, "-m", "tests.mixtures.consume"]
    paths = [str(plan._store.path), str(state), str(out)]
    first = subprocess.Popen([*module, *paths, "2", "2", "2000"], start_new_session=True)
    try:
        while not out.exists() or out.read_text().count("\n") < aim:
            assert first.poll() is None, "ended by itself"
            time.sleep(0.001)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    position = plan.resume(json.loads(state.read_text()))
    assert position >= aim - 1
    lines = out.read_text().splitlines()[:position]  # a row may be written, its state not yet
    out.write_text("".join(f"{line}\n" for line in lines))
    subprocess.run([*module, *paths, "3", "1", "1000"], check=True)
    found = out.read_text().splitlines()
    assert len(found) >= position + ROWS
    wanted = plan.rows(range(len(found)))
    names = (*ARRAYS, "source")
    expected = [digest(wanted[name][i] for name in names) for i in range(len(found))]
    assert found == expected, f"killed at {position}"
