"""Micro-batches of rows: which rows a step has, and that packing changes no number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gristmill.store import Store
from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from tests.train.data.make_rows import (  # noqa: E402
    GRAINS,
    job,
    prepared,
    put_chats,
    put_pairs,
    put_tokenizer,
    some_pairs,
    stage,
    turns,
)
from train.data.examples import Examples  # noqa: E402
from train.data.prepared import Prepared  # noqa: E402
from train.losses.cross_entropy import IGNORED  # noqa: E402
from train.losses.sequences import score  # noqa: E402
from train.models.open import open_model  # noqa: E402
from train.spec import Rows  # noqa: E402


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("rows")
    store = Store(folder / "store")
    put_tokenizer(store)
    chats = [turns(f"mill {GRAINS[n % 8]}", f"{GRAINS[n % 5]} " * (1 + n % 6)) for n in range(22)]
    put_chats(store, chats)
    return prepared(store, stage("sft", "rows/chat"), folder / "staging")[0]


def examples(rows: Prepared, per_step: int = 1, seed: int = 0, **spec: Any) -> Examples:
    given = {"rows": ("rows/chat",), "batch": 8, **spec}
    return Examples(rows, Rows(**given), seed, per_step, by_token=True)


def rows_of(found: Examples, step: int) -> list[int]:
    """Rows of a step that are learnt from."""
    items = [found[step * found.per_step + part] for part in range(found.per_step)]
    return [row for item in items for row in item["row"][item["weight"] > 0].tolist()]


def test_an_epoch_has_every_row_once_in_an_order_of_its_own(rows: Prepared) -> None:
    found = examples(rows, epochs=2)
    order = [row for step in range(found.steps) for row in rows_of(found, step)]
    assert len(order) == found.before(found.steps) == 44
    assert sorted(order[:22]) == sorted(order[22:]) == list(range(22))
    assert order[:22] != order[22:]
    assert order != [r for s in range(found.steps) for r in rows_of(examples(rows, 1, 5), s % 3)]


def test_the_given_order_is_kept(rows: Prepared) -> None:
    found = examples(rows, order="given", epochs=0.5)
    assert [row for step in range(found.steps) for row in rows_of(found, step)] == list(range(11))


@pytest.mark.parametrize("per_step", [1, 2, 3, 4, 8])
def test_a_step_has_the_same_rows_however_it_is_cut(rows: Prepared, per_step: int) -> None:
    whole, cut = examples(rows), examples(rows, per_step)
    assert whole.steps == cut.steps == 3
    for step in range(whole.steps):
        assert rows_of(whole, step) == rows_of(cut, step)
        weights = [cut[step * per_step + part]["weight"].sum().item() for part in range(per_step)]
        assert sum(weights) == pytest.approx(per_step)
    assert whole.named(0)[0].startswith("row ") and len(whole.named(2)) == 6


def test_an_empty_micro_batch_teaches_nothing(rows: Prepared) -> None:
    found = examples(rows, 8)  # the last step has 6 rows in 8 parts
    empty = [found[2 * 8 + part] for part in range(8)]
    none = [item for item in empty if item["weight"].sum() == 0]
    assert len(none) == 2 and all((item["labels"] == IGNORED).all() for item in none)


def test_what_is_packed_is_the_rows(rows: Prepared) -> None:
    item = examples(rows)[0]
    for place, row in enumerate(item["row"].tolist()):
        here = item["sequence"] == place
        start, end = rows.starts[row], rows.starts[row + 1]
        assert item["input_ids"][here].tolist() == rows.ids[start:end].tolist()
        assert item["position_ids"][here].tolist() == list(range(end - start))
        learnt = (item["labels"][here] != IGNORED).tolist()
        assert learnt == rows.learnt[start:end].astype(bool).tolist()
        last = int(item["last"][place])
        assert item["sequence"].flatten()[last] == place
    padding = item["sequence"] == len(item["row"])
    assert (item["labels"][padding] == IGNORED).all()


def test_packed_rows_have_the_nats_that_each_has_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    put_tokenizer(store)
    put_pairs(store, some_pairs(9))
    step = stage("preference", "rows/pairs", "simpo", batch=9)
    made = job(store, step, tmp_path)
    torch.manual_seed(0)
    model = open_model(made).model.double().eval()
    from train.data.prepared import open_prepared

    assert made.rows is not None and isinstance(step.data, Rows)
    found = Examples(open_prepared(made.rows), step.data, 0, 1, by_token=False)
    item = found[0]
    assert len(item["input_ids"]) < 18  # several sequences in a row
    with torch.no_grad():
        packed = score(model, item, mask_formatting=False)
        masked = score(model, item, mask_formatting=True)
        for place, row in enumerate(item["row"].tolist()):
            for part in range(2):
                number = row * 2 + part
                start, end = found.prepared.starts[number], found.prepared.starts[number + 1]
                ids = torch.tensor(found.prepared.ids[start:end].astype(np.int64))[None]
                labels = torch.where(torch.tensor(found.prepared.learnt[start:end]) > 0, ids, -100)
                logp = model(input_ids=ids).logits[:, :-1].log_softmax(-1)
                logp = logp.gather(-1, labels[:, 1:, None].clamp(min=0))[..., 0]
                alone = logp[labels[:, 1:] != IGNORED].sum().item()
                assert packed.logp[place, part].item() == pytest.approx(alone, abs=1e-6)
                count = int((labels != IGNORED).sum())
                assert packed.count[place, part] == count
                assert masked.count[place, part] == count - 1  # <|end|>
                assert masked.every[place, part] == packed.every[place, part]


def test_a_teachers_tokens_lie_at_their_places(tmp_path: Path) -> None:
    import pyarrow as pa

    from gristmill.schema import KINDS
    from tests.make_store import put

    store = Store(tmp_path / "store")
    put_tokenizer(store)
    made = [
        {
            "id": str(n),
            "input_ids": list(range(n, n + 4)),
            "top_ids": [[100 + n + m, 7] for m in range(4)],
            "top_logprobs": [[-0.5, -1.0]] * 4,
        }
        for n in range(5)
    ]
    schema = KINDS["teacher"].required
    put(store, "rows/teacher", {"": ("teacher", [pa.Table.from_pylist(made, schema)])})
    rows, _ = prepared(store, stage("distill", "rows/teacher"), tmp_path / "staging")
    item = examples(rows)[0]
    learnt = item["labels"] != IGNORED
    assert (item["top_ids"][learnt][:, 0] == item["labels"][learnt] + 100).all()
    assert learnt.sum() == 15  # the first of each row is not
