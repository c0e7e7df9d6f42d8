"""Whole stages of odd models: experts, layers of their own shapes, adapters, teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gristmill.errors import RecipeError
from gristmill.store import Dataset, Store
from tests.extras import needs

needs("torch", "transformers", "peft")

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from gristmill.step import Ahead  # noqa: E402
from mixtures.blend.step import Mixture  # noqa: E402
from tests.make_store import put  # noqa: E402
from tests.mixtures.make_tokens import MakeTokens, tokenizer_files  # noqa: E402
from tests.run_step import InProcess, run_step  # noqa: E402
from tests.train.killed import killed_after  # noqa: E402
from tests.train.models.make_model import LAYERWISE, LLAMA, MIXTRAL  # noqa: E402
from train.forecast import forecast  # noqa: E402
from train.job import Job  # noqa: E402
from train.run import run as train_run  # noqa: E402
from train.step import Train  # noqa: E402

WORDS = 1000
STAGE = {"name": "models/x", "use": "train", "kind": "pretrain", "data": "mix/a"}
RUN = {"device": "cpu", "threads": 1}
SMALL = {k: v for k, v in LLAMA.items() if k not in ("bos_token_id", "eos_token_id")}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Documents that count upwards, a mixture of them, and a small trained Llama."""
    place = Store(tmp_path_factory.mktemp("store"))
    texts = tuple(tuple((n + 7 * k) % 50 + 1 for k in range(30)) for n in range(60))
    tokens = MakeTokens(name="tokens/a", use="make", texts=texts, mask=True)
    run_step(tokens, place, executor=InProcess())
    mixture = Mixture(
        name="mix/a",
        use="mixture",
        sources={"a": "tokens/a"},  # type: ignore[dict-item]
        budget=4096,
        shape=[{"seq": 64, "batch": 8}],  # type: ignore[arg-type]
    )
    run_step(mixture, place, executor=InProcess())
    build(place, "models/base", init={"config": SMALL})
    return place


def build(place: Store, name: str, **given: Any) -> Dataset:
    step = {"kind": "pretrain", "data": "mix/a", "optim": {"lr": 3e-3}, "run": RUN, **given}
    run_step(Train(name=name, use="train", **step), place, executor=InProcess())
    return place[name]


def facts(made: Dataset) -> dict[str, Any]:
    found: dict[str, Any] = made.build()["facts"]
    return found


def test_experts_are_balanced_and_accounted(store: Store) -> None:
    config = {k: v for k, v in MIXTRAL.items() if k not in ("bos_token_id", "eos_token_id")}
    made = build(store, "models/experts", init={"config": {**config, "router_aux_loss_coef": 0.1}})
    shares = facts(made)["expert_shares"]
    assert len(shares) == 2 and all(len(layer) == 4 for layer in shares)
    log = store["models/experts.log"].to_table()
    assert {"experts/balance_loss", "experts/least_share"} <= set(log.column_names)
    ahead = Ahead(store, {}, {}, {})
    told = forecast(Train.model_validate({**STAGE, "init": {"config": config}}), ahead)
    counted = (told.steps, told.tokens, told.parameters)
    assert counted == tuple(facts(made)[key] for key in ("steps", "tokens", "parameters"))
    assert all(0 <= share <= 0.25 for share in log["experts/least_share"].to_pylist())
    again = AutoModelForCausalLM.from_pretrained(made.path, dtype="float32")
    assert again.config.router_aux_loss_coef == 0.1


def test_layers_of_their_own_shapes_train_and_are_read_back(store: Store) -> None:
    config = {k: v for k, v in LAYERWISE.items() if k not in ("bos_token_id", "eos_token_id")}
    made = build(store, "models/layers", init={"config": config})
    more = build(store, "models/layers/more", init="models/layers")
    first, second = (
        AutoModelForCausalLM.from_pretrained(one.path, dtype="float32") for one in (made, more)
    )
    assert first.config.to_dict()["per_layer_config"] == second.config.to_dict()["per_layer_config"]
    loss = [row["loss"] for row in store["models/layers.log"].to_table().to_pylist()]
    assert loss[-1] < loss[0]


def test_an_adapter_changes_what_it_targets(store: Store) -> None:
    lora = {"r": 4, "alpha": 8, "targets": ["q_proj"]}
    made = build(store, "models/lora", init="models/base", model={"lora": lora})
    before, after = (
        AutoModelForCausalLM.from_pretrained(store[name].path, dtype="float32").state_dict()
        for name in ("models/base", made.name)
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("q_proj" in name for name in changed)
    assert facts(made)["trained_parameters"] == 2 * 4 * (32 + 32)


def test_an_adapter_apart_is_part_of_the_version(store: Store) -> None:
    lora = {"r": 4, "targets": ["q_proj"], "merge": False}
    made = build(store, "models/apart", init="models/base", model={"lora": lora})
    files = {one["file"] for one in made.manifest["shards"]}
    assert {"adapter/adapter_model.safetensors", "adapter/adapter_config.json"} <= files
    assert str(store.path) not in (made.path / "adapter" / "adapter_config.json").read_text()
    base = load_file(store["models/base"].path / "model.safetensors")
    assert all(
        torch.equal(base[n], w) for n, w in load_file(made.path / "model.safetensors").items()
    )
    more = build(store, "models/apart/more", init="models/apart")
    assert facts(more)["parameters"] == facts(store["models/base"])["parameters"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {"init": {"config": {k: v for k, v in MIXTRAL.items() if "token_id" not in k}}},
        {"init": "models/base", "model": {"lora": {"r": 4, "dropout": 0.1}}},
        {
            "init": {"config": {**SMALL, "num_hidden_layers": 1}},
            "kind": "distill",
            "loss": "kd_full",
            "teacher": "models/base",
        },
    ],
    ids=["experts", "adapter", "taught"],
)
def test_a_killed_stage_goes_on_bitwise(store: Store, tmp_path: Path, given: Any) -> None:
    run_ = {**RUN, "save_every": 0.25, "micro_batch": 4}
    step = Train(
        name="models/x", use="train", **{"kind": "pretrain", "data": "mix/a", **given, "run": run_}
    )
    inputs = {ref: store[ref].ref for ref in step.inputs()}
    whole = train_run(Job(step, str(store.path), inputs, str(tmp_path / "a")), unwatched, print)
    job = Job(step, str(store.path), inputs, str(tmp_path / "b"))
    killed_after(job, 5)
    again = train_run(job, unwatched, print)
    first, second = (load_file(made.folder / "model.safetensors") for made in (whole, again))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def unwatched(count: int) -> None:
    """Nobody watches."""


def test_masked_tokens_have_no_label(store: Store) -> None:
    """`loss_mask` of the documents: metadata that is read and not learnt."""
    from mixtures.plan import open_plan
    from train.data.plan import PlanBatches

    batch = PlanBatches(open_plan(store, "mix/a"), 1)[0]
    masked = batch["input_ids"] % 3 == 0  # as MakeTokens writes it
    assert bool((batch["labels"][masked] == -100).all())
    assert bool((batch["labels"][~masked] != -100).any())


def taught(store: Store, name: str, top: int) -> None:
    """Rows of kind `teacher`: what models/base says of some documents."""
    teacher = AutoModelForCausalLM.from_pretrained(
        store["models/base"].path, dtype="float32"
    ).eval()
    rows: list[dict[str, Any]] = []
    for n in range(24):
        ids = torch.tensor([[(n + 7 * k) % 50 + 1 for k in range(20)]])
        with torch.no_grad():
            told = teacher(input_ids=ids).logits.log_softmax(-1)[0].roll(1, dims=0)
        logprobs, best = told.topk(top, -1)
        row = {"id": f"t{n}", "input_ids": ids[0].tolist()}
        rows.append({**row, "top_ids": best.tolist(), "top_logprobs": logprobs.tolist()})
    lists = pa.list_(pa.int32())
    kinds = {"id": pa.string(), "input_ids": lists, "top_ids": pa.list_(lists)}
    schema = pa.schema([*kinds.items(), ("top_logprobs", pa.list_(pa.list_(pa.float32())))])
    put(store, name, {"": ("teacher", [pa.Table.from_pylist(rows, schema)])})


def test_a_student_learns_stored_answers(store: Store) -> None:
    taught(store, "teach/top", 8)
    words = {"tokenizer": "tokens/a.tokenizer", "config": SMALL}
    data = {"rows": "teach/top", "batch": 8, "epochs": 6}
    for name, loss in (("top1", "kd_top1"), ("topk", {"kd_topk": {"rest": "bin"}})):
        build(store, f"models/{name}", kind="distill", init=words, data=data, loss=loss)
        log = store[f"models/{name}.log"].to_table().to_pylist()
        assert log[-1]["loss"] < log[0]["loss"]
    words = {"tokenizer": str(store.path.parent / "few"), "config": SMALL}
    (store.path.parent / "few").mkdir()
    for file, content in tokenizer_files(40).items():
        (store.path.parent / "few" / file).write_bytes(content)
    with pytest.raises(Exception, match=r"the student has 40 .* made with another tokenizer"):
        build(store, "models/few", kind="distill", init=words, data=data)


def test_a_student_learns_from_living_teachers(store: Store) -> None:
    words = {"config": {**SMALL, "num_hidden_layers": 1}}
    options = {"kind": "distill", "init": words, "loss": "kd_full"}
    one = build(store, "models/one", teacher="models/base", **options)
    build(store, "models/two", teacher=["models/base", "models/one"], **options)
    for name in (one.name, "models/two"):
        log = store[f"{name}.log"].to_table().to_pylist()
        assert log[-1]["loss"] < log[0]["loss"]
    with pytest.raises(RecipeError, match="asks a teacher while it trains"):
        Train(name="x", use="train", data="mix/a", **{**options, "loss": "kd_top1"}).check()


def test_a_checkpoint_of_another_tokenizer_is_refused(store: Store) -> None:
    other = MakeTokens(name="tokens/b", use="make", vocabulary=WORDS + 1)
    run_step(other, store, executor=InProcess())
    mixture = Mixture(
        name="mix/b",
        use="mixture",
        sources={"b": "tokens/b"},  # type: ignore[dict-item]
        budget=1024,
        shape=[{"seq": 64, "batch": 8}],  # type: ignore[arg-type]
    )
    run_step(mixture, store, executor=InProcess())
    with pytest.raises(Exception, match=r"models/base@\w+ has tokenizer .* mix/b@\w+"):
        build(store, "models/wrong", init="models/base", data="mix/b")
    with pytest.raises(Exception, match=r"max_position_embeddings is 32, the data has rows of 64"):
        build(store, "models/short", init={"config": {**SMALL, "max_position_embeddings": 32}})
