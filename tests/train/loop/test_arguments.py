"""What Trainer is told."""

from __future__ import annotations

from pathlib import Path

from tests.extras import needs

needs("torch", "transformers", "accelerate")

from transformers.training_args import ParallelMode  # noqa: E402

from train.loop.arguments import Arguments  # noqa: E402


def test_a_process_that_sees_eight_gpus_takes_one_micro_batch_at_a_time(tmp_path: Path) -> None:
    made = Arguments(output_dir=str(tmp_path), use_cpu=True, per_device_train_batch_size=1)
    assert made.n_gpu == 0
    made._n_gpu = 8  # as TrainingArguments finds them
    assert (made.n_gpu, made.train_batch_size) == (1, 1)
    assert made.parallel_mode == ParallelMode.NOT_PARALLEL
