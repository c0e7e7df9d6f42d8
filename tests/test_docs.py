"""The pages in docs/ hold what there is: fields are named, links lead somewhere, examples run."""

from __future__ import annotations

import json
import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from curation.ops import _HOME, _OPS, op_class, parse_op
from curation.readers.source import _OPTIONS, SUFFIXES
from gristmill import Store, run
from gristmill.progress import Progress
from gristmill.text.signal_table import BASE
from pipelines.json_schema import recipe_schema
from pipelines.recipe import load_recipe, parse_set
from pipelines.steps import STEPS, step_class
from tests.conftest import ROOT
from tests.extras import needs
from train.evaluate.spec import _TASKS
from train.spec.loss import _LOSSES
from train.weights.op import _REGISTRY as _CHECKPOINTS

DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
WORDS = "The mill by the river grinds wheat and rye that the farmers of the valley have grown, and "


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


def section(page: Path, name: str) -> str:
    """The text under `## name`, up to the next heading of that depth."""
    found = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", page.read_text(), re.M | re.S)
    assert found, f"{page.name} has no section {name!r}"
    return found[1]


@pytest.mark.parametrize("name", sorted(_HOME))
def test_every_op_and_field_is_named(name: str) -> None:
    text = section(DOCS / "ops.md", name)
    for field in op_class(name).model_fields:
        assert f"`{field}`" in text, f"docs/ops.md, {name}: {field}"
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert parse_op(yaml.safe_load(example)[0]).NAME == name


@pytest.mark.parametrize("name", sorted(STEPS))
def test_every_step_field_and_output_is_named(name: str) -> None:
    page = DOCS / "steps.md"
    text = page.read_text().partition("## Ledgers")[0] + section(page, name)
    for key, field in step_class(name).model_fields.items():
        assert f"`{field.alias or key}`" in text, f"docs/steps.md, {name}: {key}"


def test_options_within_fields_are_named() -> None:
    from curation.decontam.step import CutOptions
    from gristmill.decontam.benchmarks import Against

    text = section(DOCS / "steps.md", "decontaminate")
    assert all(f"`{field}" in text for field in [*Against.model_fields, *CutOptions.model_fields])


def test_every_decontamination_recipe_and_policy_is_named() -> None:
    from curation.survivors import POLICIES
    from gristmill.decontam.recipes import _RECIPES

    text = (DOCS / "steps.md").read_text()
    assert all(f"`{name}`" in text for name in [*_RECIPES, *POLICIES])


def test_columns_of_ledgers_and_reports_are_named() -> None:
    from curation import duplicates
    from curation.decontam import report, rows
    from curation.minhash import output
    from gristmill.schema import KINDS

    text = (DOCS / "steps.md").read_text()
    schemas = [KINDS["ledger"].required, KINDS["document"].required, duplicates.LEDGER]
    schemas += [rows.FOUND, rows.FLAGS, report.SCHEMA, output.REPORT, output.signature_schema(1)]
    missing = {name for schema in schemas for name in schema.names if f"`{name}`" not in text}
    assert not missing


def test_every_source_format_and_option_is_named() -> None:
    text = section(DOCS / "steps.md", "curate")
    for kind in SUFFIXES:
        assert f"| `{kind}` |" in text
        assert all(f"`{option}" in text for option in _OPTIONS[kind])


def test_every_typed_reason_is_named() -> None:
    from curation.extract import _RULES
    from curation.readers import schema

    table = Path(schema.__file__).read_text().partition("# error ")[2].partition("\n\n")[0]
    reasons = [f"read.{name}" for name in re.findall(r"^# (\w+)  ", table, re.MULTILINE)]
    assert len(reasons) > 8
    text = (DOCS / "faults.md").read_text()
    for reason in [*reasons, "read.crashed_worker", *(f"extract.{rule}" for rule in _RULES)]:
        assert f"| `{reason}` |" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    text = BLOCK.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in slugs, f"{page.name} links to {target}"


def test_the_rules_of_adding_are_rules() -> None:
    from curation.rules import registry

    lines = blocks(DOCS / "ADDING.md", "yaml")
    one = registry._rule("x@paper", *next(iter(yaml.safe_load(lines[0]).items())), "")
    assert set(one.signals()) <= set(BASE)
    for dialect, entry in yaml.safe_load(lines[1]).items():
        found = registry._read("ours", dialect, entry)
        assert {signal for rule in found.rules for signal in rule.signals()} <= set(BASE)


def recipes() -> list[object]:
    return [
        pytest.param(page, number, id=f"{page.relative_to(ROOT)}:{number}")
        for page in PAGES
        for number, text in enumerate(blocks(page, "yaml"))
        if "steps:" in text and "vars:" in text
    ]


def written(page: Path, number: int, folder: Path) -> Path:
    """A recipe of a page as a file, with those of the page that it may include beside it."""
    found = blocks(page, "yaml")
    for text in found:
        if named := re.match(r"# (\S+\.yaml)\n", text):
            (folder / named[1]).write_text(text)
    (folder / "recipe.yaml").write_text(found[number])
    return folder / "recipe.yaml"


def test_the_ways_to_set_work(tmp_path: Path) -> None:
    """The `--set` lines of the page on recipes, over the recipe above them."""
    page = DOCS / "recipes.md"
    recipe = next(text for text in blocks(page, "yaml") if "${place}" in text)
    lines = [line for text in blocks(page, "sh") for line in text.splitlines() if "--set" in line]
    assert len(lines) >= 4
    path = tmp_path / "r.yaml"
    path.write_text(recipe)
    plain = load_recipe(path)
    for line in lines:
        words = shlex.split(line, comments=True)
        pairs = [value for flag, value in pairwise(words) if flag == "--set"]
        assert load_recipe(path, set=parse_set(pairs)).steps != plain.steps, line


@pytest.mark.parametrize(("page", "number"), recipes())
def test_recipes_load_and_fit_the_schema(page: Path, number: int, tmp_path: Path) -> None:
    import jsonschema

    path = written(page, number, tmp_path)
    load_recipe(path)
    for profile in yaml.safe_load(path.read_text()).get("profiles") or {}:
        load_recipe(path, profile=profile)
    jsonschema.Draft7Validator(recipe_schema()).validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lone_steps_load(page: Path, tmp_path: Path) -> None:
    """Blocks that hold one step, or steps without vars."""
    for text in blocks(page, "yaml"):
        steps = text if "steps:" in text else f"steps:\n{text}"
        if "use:" not in text or "vars:" in text:
            continue
        names = sorted(set(re.findall(r"\$\{(\w+)\}", steps)))
        (tmp_path / "r.yaml").write_text(f"vars: {dict.fromkeys(names, 'x')}\n{steps}")
        assert load_recipe(tmp_path / "r.yaml").steps


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some long texts, one of them twice."""
    folder = tmp_path_factory.mktemp("texts")
    rows = [{"url": f"https://h{n % 2}.example/{n}", "text": _text(n % 7)} for n in range(8)]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "*.jsonl"


def _text(number: int) -> str:
    lines = (f"{WORDS}the year was {number}{n}, with {n} sacks of the best." for n in range(8))
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "number"), recipes())
def test_recipes_run(page: Path, number: int, texts: Path, tmp_path: Path) -> None:
    path = written(page, number, tmp_path)
    recipe = load_recipe(path)
    if "texts" not in recipe.vars:
        pytest.skip("reads data that is not there")
    if any(step.packages()[:1] == ["torch"] for step in recipe.steps):
        needs("torch", "transformers", "accelerate", "matplotlib")
    values = {name: str(texts) for name in ("texts", "more") if name in recipe.vars}
    with Progress(quiet=True) as progress:
        made = run(str(path), store=tmp_path / "s", set=values, workers=1, progress=progress)
    assert {step.name for step in recipe.steps} <= set(made)
    first = Store(tmp_path / "s")[recipe.steps[0].name + ".ledger"]
    assert first.rows == 8


def install_addings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's modules on the path, under its entry points, as a package of a third party."""
    page = DOCS / "ADDING.md"
    for text in blocks(page, "python"):
        if named := re.match(r"# (\w+\.py)\n", text):
            (folder / named[1]).write_text(text)
    points = "\n".join(blocks(page, "toml"))
    points = re.sub(r'\[project\.entry-points\."(.+?)"\]', r"[\1]", points).replace('"', "")
    info = folder / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{ROOT}")


@pytest.mark.slow
def test_the_ops_and_steps_of_adding_run(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a third party's package: modules on the path, and entry points."""
    install_addings(tmp_path, monkeypatch)
    recipe = {
        "steps": [
            {
                "name": "a",
                "use": "curate",
                "from": {"jsonl": str(texts)},
                "ops": [{"shouting": 0.001}],
            },
            {"name": "b", "use": "curate", "from": {"jsonl": str(texts)}, "ops": ["shouting"]},
            {"name": "hosts", "use": "hosts", "from": "b"},
        ]
    }
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    try:
        with Progress(quiet=True) as progress:
            store = tmp_path / "s"
            run(str(tmp_path / "r.yaml"), store=store, workers=2, progress=progress)
    finally:
        _OPS.known.pop("shouting")
        for name in ("my_ops", "my_steps"):
            sys.modules.pop(name, None)
    assert Store(store)["a"].rows == 0 and Store(store)["b"].rows == 8
    assert Store(store)["hosts"].to_table().to_pylist() == [
        {"host": "h0.example", "documents": 4},
        {"host": "h1.example", "documents": 4},
    ]


@pytest.mark.slow
def test_the_losses_checkpoints_and_evaluations_of_adding_run(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("torch", "transformers", "accelerate", "matplotlib")
    install_addings(tmp_path, monkeypatch)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    model = {"model_type": "llama", **shape, "num_attention_heads": 2}
    stage = {"use": "train", "kind": "pretrain", "data": "mix", "loss": {"focal": {"gamma": 1.5}}}
    stage |= {"init": {"config": {**model, "max_position_embeddings": 64}}}
    sources = {"web": "tokens"}
    recipe = {
        "steps": [
            {"name": "web", "use": "curate", "from": {"jsonl": str(texts)}},
            {"name": "bpe", "use": "train_tokenizer", "from": "web", "vocab_size": 320},
            {"name": "tokens", "use": "tokenize", "from": "web", "tokenizer": "bpe"},
            {
                **{"name": "mix", "use": "mixture", "sources": sources, "budget": 1024},
                "shape": {"seq": 64, "batch": 8},
            },
            *({"name": f"m{seed}", **stage, "seed": seed} for seed in (1, 2, 3)),
            {"name": "middle", "use": "checkpoint", "median": {"of": ["m1", "m2", "m3"]}},
            {"name": "eval", "use": "evaluate", "model": "middle", "tasks": [{"guessed": "web"}]},
        ]
    }
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    try:
        with Progress(quiet=True) as progress:
            store = Store(tmp_path / "s")
            run(str(tmp_path / "r.yaml"), store=store.path, workers=1, progress=progress)
    finally:
        for name, known in (("focal", _LOSSES), ("median", _CHECKPOINTS), ("guessed", _TASKS)):
            known.known.pop(name, None)
        for name in ("my_losses", "my_checkpoints", "my_tasks"):
            sys.modules.pop(name, None)
    assert store["m1.log"].to_table()["nats"].null_count == 0
    assert store["middle.report"].rows > 0
    (score,) = store["eval"].to_table().to_pylist()
    assert score["metric"] == "guessed" and score["n"] == 8 and 0 <= score["value"] <= 1


@pytest.mark.slow
def test_the_ways_to_read_a_store_work(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    recipe = {"steps": [{"name": "web/final", "use": "curate", "from": {"jsonl": str(texts)}}]}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    with Progress(quiet=True) as progress:
        run("r.yaml", workers=1, progress=progress)
    (example,) = blocks(DOCS / "store.md", "python")
    seen: dict[str, object] = {}
    exec(example, seen)
    assert seen["web"].rows == 8  # type: ignore[attr-defined]


def test_tests_that_files_name_are_there() -> None:
    rooms = ("gristmill", "curation", "synth", "mixtures", "train", "pipelines")
    named = re.compile(r"tests/[\w/]+\.py")
    absent = {
        f"{file.relative_to(ROOT)} names {test}"
        for room in rooms
        for file in (ROOT / room).rglob("*.py")
        for test in named.findall(file.read_text())
        if not (ROOT / test).is_file()
    }
    assert not absent
