"""Losses of preferences and rewards against TRL's own, on one model and the same pairs, to 1e-6.

TRL is given our token ids; it pads where we pack.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "trl", "datasets")

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

from gristmill.store import Store  # noqa: E402
from mixtures.tokens.chat import open_chat_tokenizer  # noqa: E402
from tests.train.data.make_rows import job, put_pairs, put_tokenizer, some_pairs, stage  # noqa: E402
from train.data.rows import open_rows  # noqa: E402
from train.job import Job  # noqa: E402
from train.kinds import open_stage  # noqa: E402
from train.kinds.kto import measure  # noqa: E402
from train.losses import preference  # noqa: E402
from train.losses.sequences import all_logp, others  # noqa: E402
from train.models.open import open_model  # noqa: E402
from train.spec.losses.preference import Kto  # noqa: E402
from train.trainer import Batch  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # TRL takes long to import
NEAR = 1e-6
PAIRS = [{**row, "margin": 0.25 * n} for n, row in enumerate(some_pairs(6))]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "store")
    put_tokenizer(found)
    put_pairs(found, PAIRS)
    return found


def models(made: Job) -> tuple[Any, Any]:
    """Policy and reference, in double precision: two models of random weights."""
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = open_model(made).model.double().eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(3.0)  # far from uniform
        found.append(model)
    return found[0], found[1]


def answers(batch: Batch) -> list[dict[str, list[int]]]:
    """A micro-batch's sequences as TRL wants them; what is behind the end token is left out."""
    found = []
    for number in range(len(batch["last"])):
        here = batch["sequence"] == number
        ids, targets = batch["input_ids"][here].tolist(), batch["targets"][here].tolist()
        learnt = [n for n, target in enumerate(targets) if target != -100]
        found.append({"prompt": ids[: learnt[0]], "answer": ids[learnt[0] : learnt[-1] + 1]})
    return found


def tokenizer(made: Job) -> PreTrainedTokenizerFast:
    found: PreTrainedTokenizerFast = open_chat_tokenizer(open_model(made).tokenizer)
    return found


def options(folder: Path, **more: Any) -> dict[str, Any]:
    given = {"output_dir": str(folder), "per_device_train_batch_size": 6, "report_to": []}
    plain = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "max_length": None}
    return {**given, **plain, "disable_tqdm": True, **more}


def our_loss(made: Job, policy: Any, reference: Any, masked: bool = False) -> tuple[float, Batch]:
    """Of the first micro-batch, with the reference's sums computed anew."""
    examples = open_rows(made, open_model(made), by_token=False)
    batch = examples[0]
    with torch.no_grad():
        if reference is not None:
            batch["reference"] = all_logp(reference, batch, masked)
        if isinstance(made.step.objective, Kto):
            measure(policy, [batch], made.step.objective)
        found = made.step.objective.open()(policy, batch, None)
    return found.total.item(), batch


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        ({"dpo": {"beta": 0.3}}, {"beta": 0.3, "loss_type": ["sigmoid"]}),
        ({"ipo": {"beta": 0.2}}, {"beta": 0.2, "loss_type": ["ipo"]}),
    ],
)
def test_dpo_and_ipo(loss: Any, theirs: Any, store: Store, tmp_path: Path) -> None:
    import trl

    class Trainer(trl.DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *args: Any, **options: Any) -> Any:
            return dataset

    made = job(store, stage("preference", "rows/pairs", loss), tmp_path)
    policy, reference = models(made)
    ours, batch = our_loss(made, policy, reference)
    found = answers(batch)
    rows = [
        {
            "prompt_ids": found[n]["prompt"],
            "chosen_ids": found[n]["answer"],
            "rejected_ids": found[n + 1]["answer"],
        }
        for n in range(0, len(found), 2)
    ]
    trainer = Trainer(
        model=policy,
        ref_model=reference,
        args=trl.DPOConfig(**options(tmp_path / "trl", **theirs)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer(made),
    )
    with torch.no_grad():
        their = trainer._compute_loss(policy, trainer.data_collator(rows), False)
    assert ours == pytest.approx(their.item(), abs=NEAR)


def test_dpo_with_nll_as_trls_sum_of_two(store: Store, tmp_path: Path) -> None:
    """One pair: TRL's mean over a batch's tokens is ours over a row's."""
    import trl

    class Trainer(trl.DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *args: Any, **options: Any) -> Any:
            return dataset

    loss = {"dpo": {"nll": 0.2}}
    made = job(store, stage("preference", "rows/pairs", loss, batch=1), tmp_path)
    policy, reference = models(made)
    ours, batch = our_loss(made, policy, reference)
    chosen, rejected = answers(batch)
    row = {
        "prompt_ids": chosen["prompt"],
        "chosen_ids": chosen["answer"],
        "rejected_ids": rejected["answer"],
    }
    both = {"beta": 0.1, "loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.2]}
    trainer = Trainer(
        model=policy,
        ref_model=reference,
        args=trl.DPOConfig(**options(tmp_path / "trl", **both)),
        train_dataset=Dataset.from_list([row]),
        processing_class=tokenizer(made),
    )
    with torch.no_grad():
        their = trainer._compute_loss(policy, trainer.data_collator([row]), False)
    assert ours == pytest.approx(their.item(), abs=NEAR)


def test_kto(store: Store, tmp_path: Path) -> None:
    import trl

    class Trainer(trl.KTOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *args: Any, **options: Any) -> Any:
            return dataset

    weights = {"beta": 0.2, "desirable": 1.3, "undesirable": 0.7}
    step = stage("preference", "rows/pairs", {"kto": weights}, batch=12)
    made = job(store, step, tmp_path)
    policy, reference = models(made)
    ours, batch = our_loss(made, policy, reference)
    found, foreign = answers(batch), answers(others(batch))
    rows = [
        {
            "prompt_ids": found[n]["prompt"],
            "completion_ids": found[n]["answer"],
            "KL_completion_ids": foreign[n]["answer"],
            "label": bool(good),
        }
        for n, good in enumerate(batch["column.good"].tolist())
    ]
    names = {"beta": 0.2, "desirable_weight": 1.3, "undesirable_weight": 0.7}
    trainer = Trainer(
        model=policy,
        ref_model=reference,
        args=trl.KTOConfig(**options(tmp_path / "trl", **names)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer(made),
    )
    with torch.no_grad():
        their = trainer._compute_loss(policy, trainer.data_collator(rows), False)
    assert ours == pytest.approx(their.item(), abs=NEAR)


def test_simpo_and_orpo() -> None:
    """TRL's own functions of log-probabilities."""
    from trl.experimental.cpo import CPOTrainer
    from trl.experimental.orpo import ORPOTrainer

    torch.manual_seed(0)
    chosen, rejected = -torch.rand(32, dtype=torch.float64), -torch.rand(32, dtype=torch.float64)
    self: Any = SimpleNamespace(
        alpha=0.0, beta=2.0, simpo_gamma=0.8, loss_type="simpo", label_smoothing=0.0,
        accelerator=SimpleNamespace(device="cpu"),
    )  # fmt: skip
    their = CPOTrainer.cpo_loss(self, chosen, rejected)[0]
    torch.testing.assert_close(preference.simpo(chosen, rejected, 2.0, 0.8), their)
    their = -ORPOTrainer.odds_ratio_loss(self, chosen, rejected)[0] / self.beta  # float32
    found = preference.orpo(chosen, rejected)
    torch.testing.assert_close(found.float(), their, atol=NEAR, rtol=1e-5)


@pytest.mark.parametrize("margin", [False, True])
def test_reward(margin: bool, store: Store, tmp_path: Path) -> None:
    import trl

    given = {"center": 0.02, **({"margin": "margin"} if margin else {})}
    made = job(store, stage("reward", "rows/pairs", {"bradley_terry": given}), tmp_path)
    torch.manual_seed(3)
    found = open_stage(made, open_model(made))
    model: Any = found.model.double().eval()
    with torch.no_grad():
        model.score.weight.mul_(50)
    batch = found.batches[0]
    assert found.objective is not None
    with torch.no_grad():
        ours = found.objective(model, batch, None).total
    del model.forward  # transformers' own again
    model.config.pad_token_id = 1
    rows: list[dict[str, Any]] = []
    for n, row in enumerate(batch["row"].tolist()):
        ids = [batch["input_ids"][batch["sequence"] == 2 * n + side].tolist() for side in (0, 1)]
        more = {"margin": PAIRS[row]["margin"]} if margin else {}
        rows.append({"chosen_ids": ids[0], "rejected_ids": ids[1], **more})
    trainer = trl.RewardTrainer(
        model=model,
        args=trl.RewardConfig(**options(tmp_path / "trl", center_rewards_coefficient=0.02)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer(made),
    )
    with torch.no_grad():
        their = trainer.compute_loss(model, trainer.data_collator(rows))
    assert ours.item() == pytest.approx(their.item(), abs=NEAR)
