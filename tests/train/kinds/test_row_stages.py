"""SFT, reward and preference from rows to a model that engines load."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import RecipeError
from gristmill.store import Store
from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402

from mixtures.blend.step import Mixture  # noqa: E402
from mixtures.tokens.chat import OURS  # noqa: E402
from mixtures.tokens.tokenize import Tokenize  # noqa: E402
from tests.run_step import InProcess, run_step  # noqa: E402
from tests.train.data.make_rows import (  # noqa: E402
    TOKENIZER,
    job,
    put_chats,
    put_pairs,
    put_tokenizer,
    some_pairs,
    stage,
    turns,
)
from train.kinds import open_stage  # noqa: E402
from train.kinds.kto import measure  # noqa: E402
from train.kinds.stage import Stage  # noqa: E402
from train.models.open import Opened, open_model  # noqa: E402
from train.spec.losses.preference import Kto  # noqa: E402
from train.step import Train  # noqa: E402

PAIRS = some_pairs(48)
SCORED = [
    {
        **row,
        "margin": 0.5,
        "level": float(1 + n % 4),
        "chosen_score": 1.0,
        "rejected_score": n % 3 / 4,
        "chosen_truth": float(n % 2) if n % 5 else None,
        "rejected_truth": 0.0,
    }
    for n, row in enumerate(PAIRS)
]


def opened_stage(tmp_path: Path, step: Any, store: Store) -> tuple[Stage, Opened]:
    made = job(store, step, tmp_path)
    torch.manual_seed(0)
    opened = open_model(made)
    return open_stage(made, opened), opened


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "store")
    put_tokenizer(found)
    put_pairs(found, SCORED)
    put_chats(found, [turns(p["prompt"], p["chosen"]) for p in PAIRS])
    return found


def first_loss(found: Stage) -> Any:
    assert found.objective is not None
    return found.objective(found.model, found.batches[0], None)


def test_dpo_as_llama_3_does_it_starts_at_ln_2_and_a_fifth_of_the_nll(
    store: Store, tmp_path: Path
) -> None:
    loss = {"dpo": {"nll": 0.2, "mask_formatting": True}}
    found, _ = opened_stage(tmp_path, stage("preference", "rows/pairs", loss), store)
    said = first_loss(found)
    assert said.metrics["margin"] == 0
    expected = math.log(2) + 0.2 * float(said.metrics["nll"])
    assert said.total.item() == pytest.approx(expected, abs=1e-6)


def test_the_nll_teaches_the_end_that_the_ratio_leaves_out(store: Store, tmp_path: Path) -> None:
    losses = []
    for masked in (False, True):
        loss = {"dpo": {"nll": 0.2, "mask_formatting": masked}}
        folder = tmp_path / str(masked)
        folder.mkdir()
        found, _ = opened_stage(folder, stage("preference", "rows/pairs", loss), store)
        losses.append(float(first_loss(found).metrics["nll"]))
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "loss",
    ["dpo", "ipo", "kto", "simpo", "orpo", "rpo", {"rpo": {"distance": "squared", "nll": 0.1}}],
)
def test_a_step_is_the_mean_of_its_micro_batches(loss: Any, store: Store, tmp_path: Path) -> None:
    """Whole or in parts, a step has one loss and one gradient."""
    totals = []
    for size in (None, 4, 5):
        folder = tmp_path / str(size)
        folder.mkdir()
        more = {"run": {"micro_batch": size}} if size else {}
        step = stage("preference", "rows/pairs", loss, batch=16, **more)
        found, _ = opened_stage(folder, step, store)
        with torch.no_grad():
            for weight in found.model.parameters():
                weight.mul_(1.05)  # away from the reference
        items = [found.batches[n] for n in range(found.batches.per_step)]
        if loss == "kto":
            measure(found.model, items, Kto())
        assert found.objective is not None
        said = [found.objective(found.model, item, None).total for item in items]
        torch.stack(said).mean().backward()
        norms = [p.grad.norm().item() for p in found.model.parameters() if p.grad is not None]
        totals.append((float(torch.stack(said).mean()), sum(norms)))
    for other in totals[1:]:
        assert other == pytest.approx(totals[0], rel=1e-5)


def test_ktos_distance_is_that_of_the_whole_step(tmp_path: Path) -> None:
    """A stage learns the same whatever `micro_batch` is, and an empty one counts for nothing."""
    logs, weights = [], []
    for size in (8, 3, 1):  # the last step has 2 rows in 1, 3 and 8 parts
        store = Store(tmp_path / str(size))
        put_tokenizer(store)
        put_pairs(store, PAIRS[:13])
        run = {"threads": 1, "micro_batch": size}
        step = stage("preference", "rows/pairs", "kto", batch=8, run=run)
        optim = step.optim.model_copy(update={"name": "sgd", "lr": 0.1})
        run_step(step.model_copy(update={"optim": optim}), store, executor=InProcess())
        logs.append(store["models/preference.log"].to_table().to_pydict())
        with safe_open(store["models/preference"].path / "model.safetensors", "pt") as file:
            weights.append({name: file.get_tensor(name) for name in file.keys()})
    assert max(logs[0]["kl"]) > 1e-3
    for log, weight in zip(logs[1:], weights[1:], strict=True):
        for name in ("kl", "loss", "grad_norm"):
            assert log[name] == pytest.approx(logs[0][name], rel=1e-4, abs=1e-6)
        for name, tensor in weights[0].items():
            torch.testing.assert_close(weight[name], tensor, rtol=1e-4, atol=1e-6)


def test_reference_logp_is_that_of_another_model(store: Store, tmp_path: Path) -> None:
    run_step(stage("sft", "rows/chat", epochs=1, run={"threads": 1}), store, executor=InProcess())
    step = stage("preference", "rows/pairs", reference="models/sft")
    found, _ = opened_stage(tmp_path, step, store)
    said = first_loss(found)
    assert abs(float(said.metrics["margin"])) > 1e-4


def test_reference_logp_goes_on_where_it_was_killed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import train.data.reference as reference

    step = stage("preference", "rows/pairs", batch=8, run={"micro_batch": 4})
    whole, _ = opened_stage(tmp_path, step, store)
    expected = whole.batches[0]["reference"]
    other = tmp_path / "other"
    other.mkdir()
    scored, monkeypatched = reference.all_logp, 0

    def dying(*args: Any, **options: Any) -> Any:
        nonlocal monkeypatched
        monkeypatched += 1
        if monkeypatched == 6:
            raise KeyboardInterrupt
        return scored(*args, **options)

    monkeypatch.setattr(reference, "_EVERY", 1)
    monkeypatch.setattr(reference, "all_logp", dying)
    made = job(store, step, other)
    torch.manual_seed(0)
    opened = open_model(made)
    with pytest.raises(KeyboardInterrupt):
        open_stage(made, opened)
    found = open_stage(made, opened)
    assert torch.equal(found.batches[0]["reference"], expected)
    assert monkeypatched == 6 + (48 // 4 - 5)  # those of before are not computed again


def test_a_reward_is_the_head_at_the_last_token(store: Store, tmp_path: Path) -> None:
    """Packed equals alone, and equals what transformers' own classifier gives."""
    found, _ = opened_stage(tmp_path, stage("reward", "rows/pairs", batch=8), store)
    model: Any = found.model.double()
    batch = found.batches[0]
    with torch.no_grad():
        packed = model(**{k: batch[k] for k in ("input_ids", "position_ids", "last")})
        rows = found.batches.prepared  # type: ignore[attr-defined]
        del model.forward
        for place in range(len(batch["last"])):
            number = int(batch["row"][place // 2]) * 2 + place % 2
            ids = torch.tensor(rows.ids[rows.starts[number] : rows.starts[number + 1]].astype(int))
            model.config.pad_token_id = None
            alone = model(input_ids=ids[None]).logits
            assert packed[place].item() == pytest.approx(alone.item(), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("bradley_terry", 1),
        ({"bradley_terry": {"margin": "margin", "center": 0.01}}, 1),
        ({"soft_label": {"grades": {"truth": 2}}}, 1),
    ],
)
def test_a_reward_model_learns_and_an_engine_loads_it(loss: Any, labels: int, store: Store) -> None:
    from synth.calls import Ready, Reward
    from synth.engines.transformers import TransformersSpec

    step = stage("reward", "rows/pairs", loss, batch=8, epochs=4, run={"threads": 1})
    step = step.model_copy(update={"optim": step.optim.model_copy(update={"lr": 3e-3})})
    run_step(step, store, executor=InProcess())
    log = store["models/reward.log"].to_table()
    assert log["accuracy"][-1].as_py() > 0.9 and log["loss"][-1].as_py() < log["loss"][0].as_py()
    engine = TransformersSpec(
        model=str(store["models/reward"].path), pooling=True, device="cpu"
    ).open()
    engine.start()
    talks = [turns(p["prompt"], p[side]) for p in PAIRS[:8] for side in ("chosen", "rejected")]
    calls = [Reward("main", messages=tuple(talk)) for talk in talks]  # type: ignore[arg-type]
    asked = engine.prepare(calls)
    for ticket, ready in enumerate(asked):
        assert isinstance(ready, Ready)
        engine.submit(ticket, ready)
    answers: dict[int, float] = {}
    while len(answers) < len(calls):
        answers |= {ticket: answer.value for ticket, answer in engine.poll(1.0)}  # type: ignore
    engine.close()
    better = [answers[n] > answers[n + 1] for n in range(0, len(calls), 2)]
    assert all(better)


def test_a_level_that_has_no_target_is_refused(store: Store, tmp_path: Path) -> None:
    loss = {"soft_label": {"targets": [0.7, 0.9]}}
    with pytest.raises(RecipeError, match=r"'level' has 3: .* whole numbers from 1 to 2"):
        opened_stage(tmp_path, stage("reward", "rows/pairs", loss), store)


def test_a_reward_model_goes_on_with_its_head(store: Store, tmp_path: Path) -> None:
    found, opened = opened_stage(tmp_path, stage("reward", "rows/pairs"), store)
    folder = tmp_path / "reward"
    found.model.save_pretrained(folder)
    for name, content in opened.tokenizer.items():
        (folder / name).write_bytes(content)
    step = stage("reward", "rows/pairs")
    given = {**step.model_dump(by_alias=True), "init": str(folder)}
    again = tmp_path / "again"
    again.mkdir()
    other, _ = opened_stage(again, Train.model_validate(given), store)
    for name, weight in found.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[name], weight), name


@pytest.mark.slow
def test_attributes_become_one_reward_by_their_weights(store: Store) -> None:
    from transformers import AutoModelForSequenceClassification

    chats = [turns(p["prompt"], p["chosen"]) for p in PAIRS]
    helpful = [float(n % 8) / 8 for n in range(len(PAIRS))]  # the grain decides
    brief = [None if n % 4 == 0 else 1.0 for n in range(len(PAIRS))]
    put_chats(store, chats, "rows/rated", "rows", helpful=helpful, brief=brief)
    loss = {"attributes": {"columns": ["helpful", "brief"], "weights": {"helpful": 2.0}}}
    step = stage("reward", "rows/rated", loss, batch=8, epochs=3, run={"threads": 1})
    run_step(step, store, executor=InProcess())
    log = store["models/reward.log"].to_table()["squared_error"].to_pylist()
    assert log[-1] < log[0]
    model = AutoModelForSequenceClassification.from_pretrained(store["models/reward"].path)
    assert model.config.num_labels == 1 and model.score.weight.shape == (1, 32)


@pytest.mark.slow
@pytest.mark.parametrize("loss", [{"dpo": {"nll": 0.2, "mask_formatting": True}}, "kto", "orpo"])
def test_preferences_are_learnt_after_sft(loss: Any, store: Store) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    fast = {"lr": 3e-3}
    step = stage("sft", "rows/chat", batch=8, epochs=3, run={"threads": 1})
    step = step.model_copy(update={"optim": step.optim.model_copy(update=fast)})
    run_step(step, store, executor=InProcess())
    losses = store["models/sft.log"].to_table()["loss"].to_pylist()
    assert losses[-1] < losses[0] - 0.5
    folder = store["models/sft"].path
    assert AutoTokenizer.from_pretrained(folder).chat_template.startswith("{{ bos_token or")
    assert AutoModelForCausalLM.from_pretrained(folder).generation_config.eos_token_id == [0]
    step = stage(
        "preference",
        "rows/pairs",
        loss,
        batch=8,
        epochs=2,
        init="models/sft",
        run={"threads": 1, "micro_batch": 4},
    )
    step = step.model_copy(update={"optim": step.optim.model_copy(update=fast)})
    run_step(step, store, executor=InProcess())
    log = store["models/preference.log"].to_table()
    assert log["loss"][-1].as_py() < log["loss"][0].as_py()
    gap = log["reward_chosen"][-1].as_py() - log["reward_rejected"][-1].as_py()
    assert gap > 0.05
    facts = store["models/preference"].build()["facts"]["rows"]
    assert facts["in"] == facts["used"] + sum(facts["dropped"].values())


def test_a_reference_with_another_vocabulary_is_refused(store: Store, tmp_path: Path) -> None:
    run_step(stage("sft", "rows/chat", run={"threads": 1}), store, executor=InProcess())
    step = stage("preference", "rows/pairs", reference="models/sft")
    made = job(store, step, tmp_path)
    opened = open_model(made)
    opened.model.config.vocab_size = 11
    with pytest.raises(RecipeError, match="both must read the same token ids"):
        open_stage(made, opened)


def test_rows_longer_than_the_models_positions_are_refused(store: Store, tmp_path: Path) -> None:
    step = stage("sft", "rows/chat")
    config = {**step.init.config, "max_position_embeddings": 8}
    init = step.init.model_copy(update={"config": config})
    made = job(store, step.model_copy(update={"init": init}), tmp_path)
    with pytest.raises(RecipeError, match=r"is 8, the data has rows of \d+ tokens.*max_length: 8"):
        open_model(made)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sft", "reward", "preference"])
def test_an_adapter_learns_and_is_merged(kind: str, store: Store) -> None:
    run_step(stage("sft", "rows/chat", run={"threads": 1}), store, executor=InProcess())
    rows = "rows/chat" if kind == "sft" else "rows/pairs"
    step = stage(kind, rows, batch=8, init="models/sft", run={"threads": 1})
    more = {"name": "models/adapted", "model": {"lora": {"r": 4}}, "optim": {"lr": 3e-3}}
    step = Train.model_validate({**step.model_dump(by_alias=True), **more})
    run_step(step, store, executor=InProcess())
    log = store["models/adapted.log"].to_table()["loss"].to_pylist()
    assert log[-1] < log[0]
    with safe_open(store["models/adapted"].path / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert not any("lora" in name for name in names)
    assert ("score.weight" in names) == (kind == "reward")
    kept = store["models/sft"].path / "model.safetensors"
    with safe_open(kept, "pt") as file:
        before = {name for name in file.keys() if "layers" in name}
    assert before <= names


@pytest.mark.slow
def test_chats_are_learnt_from_a_mixture(store: Store) -> None:
    """tokenize of chats, mixture, sft: the model keeps the template of the chats."""
    entry = {"name": "tokens/chat", "use": "tokenize", "from": "rows/chat", "tokenizer": TOKENIZER}
    run_step(Tokenize.model_validate(entry), store, executor=InProcess())
    entry = {
        "name": "mix/sft",
        "use": "mixture",
        "sources": {"chat": "tokens/chat"},
        "budget": 4096,
        "shape": [{"seq": 64, "batch": 8}],
    }
    run_step(Mixture.model_validate(entry), store, executor=InProcess())
    step = stage("sft", "rows/chat", run={"threads": 1})
    given = {**step.model_dump(by_alias=True), "data": "mix/sft", "optim": {"lr": 3e-3}}
    run_step(Train.model_validate(given), store, executor=InProcess())
    log = store["models/sft.log"].to_table()["loss"].to_pylist()
    assert log[-1] < log[0]
    assert (store["models/sft"].path / "chat_template.jinja").read_text() == OURS
