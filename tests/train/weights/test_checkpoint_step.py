"""The step: bytes, memory of one tensor, shards, versions, and a plan without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.extras import needs

needs("torch", "transformers", "safetensors")

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from gristmill.store import Store  # noqa: E402
from gristmill.verify import verify  # noqa: E402
from tests.train.weights.tiny import load, logits, make, saved, several, tensors  # noqa: E402
from train.weights.folder import Entry, read_folder, read_header  # noqa: E402
from train.weights.model import Model  # noqa: E402
from train.weights.step import Checkpoint  # noqa: E402
from train.weights.write import write_weights  # noqa: E402


def test_files_are_those_of_safetensors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    given = {
        "b": torch.randn(3, 5),
        "a": torch.randn(7).to(torch.bfloat16),
        "d": torch.arange(4),
        "c": torch.tensor([True, False]),
        "é": torch.randn(2, 2, dtype=torch.float64),
        "none": torch.zeros(0, 3),
        "one": torch.tensor(1.5),
    }
    save_file(given, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    layout = read_header(tmp_path / "theirs.safetensors")
    write_weights(tmp_path, layout, lambda name: given[name])
    ours = (tmp_path / "model.safetensors").read_bytes()
    assert ours == (tmp_path / "theirs.safetensors").read_bytes()


def test_shards_load_and_hold_each_tensor_once(tmp_path: Path) -> None:
    one = saved(tmp_path / "a")
    folder = read_folder(Path(one), "a")
    model = Model(folder)
    out = tmp_path / "out"
    out.mkdir()
    written = write_weights(out, folder.tensors, model.raw, shard=8000)
    assert len(written) > 3
    (out / "config.json").write_text((Path(one) / "config.json").read_text())
    sizes = [sum(t.nbytes for t in load_file(out / f).values()) for f in written[:-1]]
    assert max(sizes) <= 8000
    assert torch.equal(logits(load(out)), logits(load(one)))
    assert read_folder(out, "out").tensors == folder.tensors


def test_a_tensor_of_another_shape_than_announced_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"made \[2\]; announced: \[3\]"):
        write_weights(tmp_path, {"a": Entry("F32", (3,))}, lambda _: torch.zeros(2))


def test_the_same_inputs_give_the_same_version(tmp_path: Path) -> None:
    folders = several(tmp_path, 2)
    op = {"base": folders[0], "of": folders[1:], "drop": 0.5}
    versions = set()
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
        versions.add(make(tmp_path / place, dare=op).name)
    assert len(versions) == 1
    (tmp_path / "z").mkdir()
    versions.add(make(tmp_path / "z", seed=1, dare=op).name)
    assert len(versions) == 2
    assert verify(Store(tmp_path / "x" / "store")) == (2, [])


def test_the_config_is_what_the_recipe_says(tmp_path: Path) -> None:
    entry = {"name": "m", "use": "checkpoint", "average": {"of": ["models/a", "models/b@1"]}}
    step = Checkpoint.model_validate(entry)
    assert step.inputs() == ["models/a", "models/b@1"]
    found = step.config()
    assert found["average"] == {"of": ["models/a", "models/b@1"], "weights": None}
    assert Checkpoint.model_validate(found) == step


def test_rows_are_no_model(tmp_path: Path) -> None:
    from tests.make_store import put_documents

    put_documents(Store(tmp_path / "store"), "web", [1, 2])
    with pytest.raises(RecipeError, match=r"rows of kind document, not a model"):
        make(tmp_path, average={"of": ["web"]})


def test_quantised_models_are_refused(tmp_path: Path) -> None:
    one = Path(saved(tmp_path / "a"))
    text = (one / "config.json").read_text()
    (one / "config.json").write_text(text.replace("{", '{"quantization_config": {},', 1))
    with pytest.raises(RecipeError, match="quantised"):
        make(tmp_path, average={"of": [str(one)]})


def test_tied_weights_stored_twice_are_kept_once(tmp_path: Path) -> None:
    one = Path(saved(tmp_path / "a", tie_word_embeddings=True))
    weights = tensors(one)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, one / "model.safetensors", metadata={"format": "pt"})
    made = make(tmp_path, average={"of": [str(one), str(one)]})
    assert "lm_head.weight" not in tensors(made)
    assert torch.equal(logits(load(made)), logits(load(one)))


def test_a_plan_needs_no_torch() -> None:
    code = (
        "import sys; from train.weights import op; [op.op_class(n) for n in op.op_names()]; "
        "from train.weights.step import Checkpoint; "
        "Checkpoint(name='m', use='checkpoint', ties={'base': 'a', 'of': ['b']}).check(); "
        "sys.exit('torch' in sys.modules or 'safetensors' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
