"""Commands that read a store: what they print, in which format, and how they fail."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gristmill.commit import StagedShard, commit
from gristmill.file_sets import FileSet
from gristmill.ids import digest
from gristmill.store import Store
from pipelines.cli import app
from tests.make_store import documents, ledger, put, row_id
from tests.pipelines.cli.conftest import Call

COMMANDS = sorted(
    str(info.name or (info.callback and info.callback.__name__)) for info in app.registered_commands
)


def _json(gristmill: Call, *arguments: str) -> Any:
    said = gristmill(*arguments, "--format", "json")
    assert said.code == 0, said.err
    return json.loads(said.out)


def _csv(gristmill: Call, *arguments: str) -> list[dict[str, str]]:
    said = gristmill(*arguments, "--format", "csv")
    assert said.code == 0, said.err
    return list(csv.DictReader(io.StringIO(said.out)))


def test_ls_lists_the_latest_versions(gristmill: Call, store: Store) -> None:
    rows = _json(gristmill, "ls")
    assert [row["name"] for row in rows] == [
        *("web/clean", "web/clean.ledger", "web/unique", "web/unique.ledger")
    ]
    assert rows[0]["version"] == store["web/clean"].version
    assert (rows[0]["rows"], rows[0]["tags"]) == (8, ["latest"])
    assert rows[0]["bytes"] == sum(f.stat().st_size for f in store["web/clean"].files)
    assert len(_json(gristmill, "ls", "--all")) == 6
    assert {row["name"] for row in _csv(gristmill, "ls", "web/clean")} == {
        *("web/clean", "web/clean.ledger")
    }
    assert "web/unique" in gristmill("ls").out


def test_no_store_and_an_empty_one_are_told_apart(gristmill: Call, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    for command in (["ls"], ["status"], ["gc"], ["verify"], ["sql", "show tables"]):
        said = gristmill(*command, "--store", str(empty))
        assert said.code == 1 and f"no store at {empty}" in said.err and said.out == ""
    empty.mkdir()
    assert "no datasets yet" in gristmill("ls", "--store", str(empty)).out
    assert _json(gristmill, "ls", "--store", str(empty)) == []
    (tmp_path / "file").touch()
    assert "is no directory" in gristmill("ls", "--store", str(tmp_path / "file")).err


def test_show_tells_columns_config_and_funnel(gristmill: Call, store: Store) -> None:
    shown = _json(gristmill, "show", "web/clean")
    assert shown["rows"] == 8 and shown["schema"][0] == {"column": "id", "type": "string"}
    assert shown["config"]["ops"][0]["rules"]["min_words"] == 4
    assert [row["rows"] for row in shown["funnel"]] == [12, 4, 8]
    table = gristmill("show", f"web/clean@{store.versions('web/clean')[0][:6]}").out
    assert "gopher_quality.min_words" in table and "crawl/*.warc.gz" in table
    assert len(_csv(gristmill, "show", "web/clean")) > 10


def test_lineage_and_funnel(gristmill: Call, store: Store) -> None:
    steps = _json(gristmill, "lineage", "web/unique")
    assert [step["use"] for step in steps] == ["curate", "minhash_dedup"]
    assert steps[1]["parents"] == [store["web/clean"].ref]
    assert "crawl/*.warc.gz" in gristmill("lineage", "web/unique").out
    funnel = _csv(gristmill, "funnel", "web/unique")
    assert [row["rows"] for row in funnel] == ["12", "4", "8", "8", "1", "7"]


def test_sql_prints_every_format(gristmill: Call, store: Store) -> None:
    query = 'select language, count(*) as n, list(id) as ids from "web/clean" group by 1 order by 1'
    rows = _json(gristmill, "sql", query)
    assert [(row["language"], row["n"]) for row in rows] == [("de", 4), ("en", 4)]
    assert json.loads(_csv(gristmill, "sql", query)[0]["ids"]) == rows[0]["ids"]
    assert "language" in gristmill("sql", query).out
    assert _json(gristmill, "sql", "select 1 where false") == []
    assert _json(gristmill, "sql", "select count(*) as n from this", "--this", "web/unique") == [
        {"n": 7}
    ]
    kinds = _json(
        gristmill,
        "sql",
        "select 1.5::decimal(4,2) d, date '2026-01-02' t, 'nan'::double x, true b, null v, "
        "'\\x01'::blob raw, {'a': [1]} s, 170141183460469231731687303715884105727::hugeint h",
    )
    assert kinds == [
        {
            **{"d": 1.5, "t": "2026-01-02", "x": None, "b": True, "v": None, "raw": "AQ=="},
            **{"s": {"a": [1]}, "h": 2**127 - 1},
        }
    ]


def test_sql_from_stdin_and_into_a_closed_pipe(store: Store) -> None:
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "sql"]
    told = subprocess.run(
        [*command, "-", "--store", str(store.path), "--format", "csv"],
        input='select count(*) as n from "web/clean"',
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "n\n8\n"
    many = [*command, "from range(300000)", "--format", "csv", "--store", str(store.path)]
    with subprocess.Popen(many, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_a_table_is_cut_and_says_so(gristmill: Call, store: Store) -> None:
    said = gristmill("sql", "select repeat('x', 1000) as x from range(500)").out
    assert "first 200 rows" in said and "… (1,000 characters)" in said
    assert len(_csv(gristmill, "sql", "from range(500)")) == 500


def test_rows_too_wide_for_a_table_are_blocks(
    gristmill: Call, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = 'select * from "web/clean.ledger" order by "offset" limit 2'
    told = gristmill("sql", wide).out  # 11 columns: 200 characters will do
    assert "row 1" not in told and "gopher_quality.min_words" in told
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    told = gristmill("sql", wide).out
    assert "row 1" in told and "row 2" in told and "--format json" in told
    lines = [line.split() for line in told.splitlines()]
    assert ["url", "https://example.org/0"] in lines
    assert ["reason", "gopher_quality.min_words"] in lines
    assert max(map(len, told.splitlines())) <= 90  # colours included
    assert "row 1" not in gristmill("sql", 'select id, text from "web/clean"').out
    assert "(no rows)" in gristmill("sql", f"from ({wide}) where false").out


def test_stats(gristmill: Call, store: Store) -> None:
    whole = _json(gristmill, "stats", "web/clean")
    assert whole["rows"] == 8
    assert {"column": "language", "value": "de", "rows": 4, "share": 0.5} in whole["counts"]
    by = _csv(gristmill, "stats", "web/clean", "--by", "language")
    assert [row["rows"] for row in by] == ["4", "4"]
    (quantiles,) = _json(gristmill, "stats", "web/clean", "--by", "text")
    assert quantiles["p50"] == len("Grain number 7.")
    reasons = _json(gristmill, "stats", "web/clean.ledger", "--by", "reason")
    assert {row["reason"]: row["rows"] for row in reasons} == {"": 8, "gopher_quality.min_words": 4}
    assert "language" in gristmill("stats", "web/clean").out


def test_sample(gristmill: Call, store: Store) -> None:
    rows = _json(gristmill, "sample", "web/clean", "-n", "3", "--where", "language = 'de'")
    assert len(rows) == 3 and {row["language"] for row in rows} == {"de"}
    assert "row 1 of 2" in gristmill("sample", "web/clean", "-n", "2").out


def test_diff(gristmill: Call, store: Store) -> None:
    old = store.versions("web/clean")[0]
    found = _json(gristmill, "diff", f"web/clean@{old}")
    assert (found["added"], found["removed"], found["changed"]) == (1, 0, 0)
    assert found["examples"][0]["id"] == row_id(4)
    key = "config.ops.0.rules.min_words"
    assert {"step": "web/clean", "key": key, "a": 5, "b": 4} in found["asked"]
    assert "min_words" in gristmill("diff", f"web/clean@{old}", "web/unique").out
    assert gristmill("diff", "web/clean").code == 1


def test_why_tells_the_story(gristmill: Call, store: Store) -> None:
    table = gristmill("why", "web/unique", "https://example.org/4", "--signals").out
    assert f"{store['web/clean'].ref} (curate): kept" in table
    assert "dropped by minhash_dedup: near_duplicate" in table
    assert "near_duplicate: 0.9, threshold 0.8" in table and "words = 40" in table
    (story,) = _json(gristmill, "why", "web/unique", row_id(1))
    assert story["events"][0]["rules"][0]["threshold"] == 4.0
    assert len(_csv(gristmill, "why", "web/unique", "example.org")) == 12 + 8


def test_why_names_the_language_and_those_wanted(gristmill: Call, store: Store) -> None:
    failed = [("language.not_kept", 0.97, float("nan"))]
    rows = [(1, "dropped", "language", "language.not_kept", failed)]
    put(
        store,
        "web/ko",
        {
            "": ("document", [documents([2])]),
            ".ledger": ("ledger", [ledger(rows, {"language": (pa.string(), ["ko"])})]),
        },
        config={"ops": [{"extract": {}}, {"language": {"keep": ["en", "de"]}}]},
        use="curate",
    )
    said = gristmill("why", "web/ko", row_id(1)).out
    assert "language.not_kept: ko (0.97), kept: en, de" in said and "language: ko" not in said
    (story,) = _json(gristmill, "why", "web/ko", row_id(1))
    rule = story["events"][0]["rules"][0]
    assert (rule["found"], rule["allowed"]) == ("ko", ["en", "de"])


def test_verify_exits_with_one_when_something_is_wrong(gristmill: Call, store: Store) -> None:
    said = gristmill("verify")
    assert said.code == 0 and "6 versions checked, 0 errors" in said.out
    file = store["web/clean"].files[0]
    file.unlink()
    said = gristmill("verify", "web/clean", "--format", "json")
    assert said.code == 1
    (problem,) = json.loads(said.out)
    assert problem == {
        "level": "error",
        "where": store["web/clean"].ref,
        "what": "00000.parquet is missing",
    }


def test_tags_name_versions(gristmill: Call, store: Store) -> None:
    old = store.versions("web/clean")[0]
    assert gristmill("tag", f"web/clean@{old[:6]}", "paper").code == 0
    assert store["web/clean@paper"].version == old
    assert {tuple(row["tags"]) for row in _json(gristmill, "ls", "web/clean")} >= {("paper",)}
    assert gristmill("tag", "web/clean", "paper", "--remove").code == 0
    assert "web/clean@paper" not in store
    assert gristmill("tag", "web/clean", "paper", "--remove").code == 1
    assert gristmill("tag", "web/clean", "latest", "--remove").code == 1
    assert gristmill("tag", "web/clean", "../../x").code == 1


def test_gc_shows_first(gristmill: Call, store: Store) -> None:
    left = store.staging / "left"
    left.mkdir()
    (left / "big").write_bytes(b"x" * 5000)
    assert "nothing to remove" in gristmill("gc").out
    said = gristmill("gc", "--days", "0")
    assert ".staging/left" in said.out and "--yes removes" in said.out and left.exists()
    rows = _json(gristmill, "gc", "--days", "0", "--yes")
    assert {"path": ".staging/left", "bytes": 5000, "removed": True}.items() <= {
        **next(row for row in rows if row["path"] == ".staging/left")
    }.items()
    assert not left.exists() and gristmill("verify").code == 0


def test_status_of_interrupted_runs(gristmill: Call, store: Store) -> None:
    assert "no run is under way" in gristmill("status").out
    folder = store.staging / "0123456789ab"
    (folder / "documents" / "00000").mkdir(parents=True)
    (folder / "documents" / "00000" / "task.json").write_text("{}")
    run = {"name": "web/clean", "use": "curate", "started_at": "2026-01-01T00:00:00", "pid": 2**30}
    run |= {"phases": {"documents": {"tasks": 3}}, "recipe": "fineweb.yaml"}
    (folder / "run.json").write_text(json.dumps(run))
    (row,) = _json(gristmill, "status")
    assert (row["state"], row["tasks"], row["done"], row["failed"]) == ("interrupted", 3, 1, 0)
    assert row["error"] is None and row["fingerprint"] == "0123456789ab"
    assert "interrupted" in gristmill("status").out
    record = {"error": "RecipeError: straw\nmore", "user_error": True, "message": "straw\nmore"}
    (folder / "documents" / "00001.failed.json").write_text(json.dumps(record))
    (row,) = _json(gristmill, "status")
    assert (row["state"], row["failed"], row["error"]) == ("failed", 1, "straw")


def put_model(store: Store, weights: str, lr: float) -> str:
    """A version of kind model, as a stage of training leaves it."""
    staging = store.staging / weights
    folder = FileSet(staging / "out")
    (folder.folder / "config.json").write_text("{}")
    (folder.folder / "model.safetensors").write_text(weights)
    shards = [StagedShard(folder.folder / one["file"], one) for one in folder.close()]
    build = {
        "use": "train",
        "config": {"optim": {"lr": lr, "clip": 1.0}},
        "parents": [],
        "files": [],
        "packages": {},
        "facts": {"steps": 4, "advance": {"met_at": 3}},
        "created_at": f"2026-01-01T00:00:0{len(weights)}+00:00",
        "host": "mill",
        "seconds": 1.5,
    }
    return commit(store, "m", digest(build), {"m": ("model", shards)}, build)["m"]


def test_models_are_shown_and_compared_by_their_files(gristmill: Call, store: Store) -> None:
    before, after = put_model(store, "w", 0.001), put_model(store, "wt", 0.002)
    shown = gristmill("show", "m").out
    assert "facts.advance.met_at" in shown and "funnel" not in shown
    assert "model.safetensors" in shown and "build.facts" not in shown
    found = _json(gristmill, "diff", f"m@{before}", f"m@{after}")
    assert found["files"] == [
        {
            "file": "model.safetensors",
            "change": "changed",
            "beside": False,
            "bytes_a": 1,
            "bytes_b": 2,
        }
    ]
    assert [row["key"] for row in found["asked"]] == ["config.optim.lr"]
    said = gristmill("diff", f"m@{before}", f"m@{after}").out
    assert "model.safetensors" in said and "another order" not in said and "rows_a" not in said
    same = gristmill("diff", f"m@{before}", f"m@{before}").out
    assert "the same version" in same


def test_the_keys_of_a_step_are_a_table(gristmill: Call) -> None:
    rows = {row["key"]: row for row in _csv(gristmill, "schema", "train")}
    assert rows["optim.lr"]["type"] == "number > 0" and rows["optim.lr"]["default"] == "0.0003"
    assert rows["data"]["default"] == "(required)" and "use" not in rows
    assert rows["data.too_long"]["type"] == "'drop' or 'cut'"
    assert rows["loss"]["type"].startswith("one of ") and "loss.dpo.beta" in rows
    assert "optim.lr" in gristmill("schema", "train").out
    schema = _json(gristmill, "schema", "train")
    assert {"data", "optim"} <= set(schema["properties"]) and "Train.Optim" in schema["$defs"]
    assert "step.curate" not in schema["$defs"]
    said = gristmill("schema", "trian")
    assert said.code == 1 and "did you mean 'train'" in said.err
    assert "gristmill schema train" in gristmill("run", "--help").out


def test_ctrl_c_says_that_the_same_command_goes_on(
    gristmill: Call, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command, words in (("run", "; the same command goes on where it was"), ("gc", "")):
        module = sys.modules[f"pipelines.cli.{'run' if command == 'run' else 'keep'}"]
        opened = "open_store" if command == "run" else "existing_store"
        monkeypatch.setattr(module, opened, _interrupt)
        said = gristmill(command, *(["r.yaml"] if command == "run" else []))
        assert (said.code, said.err) == (130, f"stopped{words}\n")


def _interrupt(path: str) -> Store:
    raise KeyboardInterrupt


def test_python_m_gristmill_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gristmill", "ls", "--help"], capture_output=True, check=False
    )
    assert done.returncode == 0 and b"List datasets" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "web/claen"], "did you mean 'web/clean'"),
        (["ls", "web/claen"], "did you mean 'web/clean'"),
        (["sql", "drop table x"], "only SELECT statements"),
        (["sql", 'select nope from "web/clean"'], "nope"),
        (["stats", "web/clean", "--by", "langage"], "did you mean 'language'"),
        (["why", "web/clean", "nowhere.example"], "no record of web/clean@"),
        (["ls", "--store", "s3//bucket"], "did you mean 's3://bucket'"),
        (["run", "nowhere.yaml"], "no recipe at nowhere.yaml"),
        (["lineage", "../etc"], "is not a name"),
    ],
)
def test_mistakes_are_told_in_one_line_without_a_traceback(
    gristmill: Call, store: Store, arguments: list[str], said: str
) -> None:
    told = gristmill(*arguments)
    assert told.code == 1 and told.out == ""
    assert told.err.startswith("error: ") and said in told.err and "Traceback" not in told.err


def test_wrong_options_are_told_by_their_name(gristmill: Call) -> None:
    told = gristmill("ls", "--format", "xml")
    assert told.code == 2 and "xml" in told.err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_gives_an_example(gristmill: Call, command: str) -> None:
    told = gristmill(command, "--help")
    assert told.code == 0 and "Example" in told.out


def test_odd_names_and_texts_do_not_break_tables(gristmill: Call, store: Store) -> None:
    said = gristmill("sql", "select '[red]x[/red]' || chr(27) || '[31m' as \"[b]a\", '日本' as b")
    assert "\x1b" not in said.out
    assert "[red]x[/red]" in said.out and "[b]a" in said.out and "日本" in said.out


def test_starting_loads_nothing_heavy(store: Store) -> None:
    code = (
        "import sys\n"
        "from pipelines.cli import main\n"
        "sys.argv = ['gristmill', 'ls', '--store', sys.argv[1], '--format', 'json']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numba', 'duckdb', 'pandas', 'pyarrow', 'torch', 'rich.table'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(store.path)], capture_output=True, text=True, check=True
    )
    assert told.stderr.strip() == "[]"
