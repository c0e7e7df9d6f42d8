"""mixture_fit: from runs and their metrics to weights, laws and honest predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from gristmill.store import Store
from mixtures.weights.fit import MixtureFit
from mixtures.weights.solver import solve_mixture
from mixtures.weights.swarm import MixtureSwarm
from tests.mixtures.planted import TOKENS, Planted, planted_runs
from tests.run_step import InProcess, run_step

SOURCES = [f"train_the_pile_{n}" for n in range(17)]
TARGETS = [f"metric/the_pile_{n}_val_loss" for n in range(13)]


def fit(store: Store, **options: Any) -> tuple[dict[str, dict[str, Any]], str]:
    """Weight rows by source, and all notes."""
    step = MixtureFit(**{"name": "best", "use": "mixture_fit", **options})
    step.check()
    run_step(step, store, executor=InProcess())
    notes = " | ".join(store["best"].build()["notes"])
    return {row["source"]: row for row in store["best"].to_table().to_pylist()}, notes


def output(store: Store, suffix: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = store["best"].output(suffix).to_table().to_pylist()
    return rows


def write(path: Path, names: list[str], values: np.ndarray, run: str = "index") -> str:
    """A table as RegMix publishes them: `index` from 1."""
    columns = {run: np.arange(1, len(values) + 1), **dict(zip(names, values.T, strict=True))}
    pacsv.write_csv(pa.table(columns), path)
    return str(path)


@pytest.fixture(scope="module")
def runs() -> Planted:
    return planted_runs(768, seed=2)


@pytest.fixture(scope="module")
def tables(runs: Planted, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """512 runs and 256 to test on, shares to three decimals, in the shape of RegMix's CSVs."""
    place = tmp_path_factory.mktemp("regmix")
    train, test = slice(0, 512), slice(512, 768)
    return {
        "mixtures": write(place / "train_mixture.csv", SOURCES, runs.shares[train].round(3)),
        "metrics": write(place / "train_loss.csv", TARGETS, runs.losses[train]),
        "test_mixtures": write(place / "test_mixture.csv", SOURCES, runs.shares[test].round(3)),
        "test_metrics": write(place / "test_loss.csv", TARGETS, runs.losses[test]),
    }


def test_tables_of_regmix_shape_meet_its_figures(
    tables: dict[str, str], runs: Planted, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    sizes = dict(zip(SOURCES, TOKENS.tolist(), strict=True))
    budget = float(TOKENS.sum())
    weights, notes = fit(store, sources=sizes, budget=budget, **tables)
    laws = output(store, ".laws")
    assert [law["target"] for law in laws] == TARGETS
    for kind in ("", "test_"):
        mean = np.mean([law[f"{kind}spearman"] for law in laws])
        line = np.mean([law[f"{kind}ols_spearman"] for law in laws])
        assert mean >= 0.97 and mean >= line + 0.05, kind
    assert "rank" not in notes
    caps = np.minimum(4 * TOKENS / budget, 1)
    caps = np.minimum(caps, runs.shares[:512].max(axis=0))
    exact = solve_mixture(runs.law.t, TOKENS / TOKENS.sum(), caps).weights
    found = np.array([row["weight"] for row in weights.values()])
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert np.abs(found - exact).max() < 0.01
    assert all(row["epochs"] <= 4.0001 for row in weights.values())
    assert weights[SOURCES[0]]["unimax"] is not None
    for law in laws:
        assert law["loss_fitted"] > 0 and len(law["t"]) == 17
    assert np.mean([law["loss_fitted"] - law["loss_natural"] for law in laws]) < -0.02


def test_predictions_are_of_runs_that_the_fit_had_not_seen(
    tables: dict[str, str], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    targets = {TARGETS[0]: 3.0, TARGETS[4]: 1.0}
    _, notes = fit(store, targets=targets, **tables)
    rows = output(store, ".predictions")
    assert len(rows) == 768 * 2
    assert {row["fold"] for row in rows} == {-1, 0, 1, 2, 3, 4}
    assert sum(row["fold"] == -1 for row in rows) == 512
    assert rows[1]["target"] == TARGETS[4] and rows[0]["run"] == rows[1]["run"] == "1"
    off = [abs(row["observed"] - row["predicted"]) for row in rows]
    assert np.mean(off) < 0.05
    assert [law["target_weight"] for law in output(store, ".laws")] == [0.75, 0.25]
    assert "no `sources` with their tokens" in notes


def test_from_a_swarm_to_weights(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    sources = {"web": 8e9, "novels": 3e9, "news": 1e9, "maths": 1e8}
    swarm = MixtureSwarm(
        name="swarm", use="mixture_swarm", sources=sources, budget=2e9, max_epochs=4
    )
    run_step(swarm, store, executor=InProcess())
    table = store["swarm"].to_table()
    shares = np.column_stack([table[name].to_numpy() for name in sources])
    slopes = np.array([[0.8, 0.6, 0.7, -9.0], [0.5, -2.0, 0.5, 0.9]])
    losses = np.exp(0.9) + np.exp(shares @ slopes.T)
    metrics = pa.table({"run": table["run"], "maths": losses[:, 0], "prose": losses[:, 1]})
    pq.write_table(metrics.slice(0, 14), tmp_path / "metrics.parquet")
    options = {"mixtures": "swarm", "metrics": str(tmp_path / "metrics.parquet"), "reach": 2}
    weights, notes = fit(store, **options)
    assert weights["maths"]["cap"] == weights["maths"]["weight"] == 0.2  # 4 epochs of 2e9 tokens
    assert weights["maths"]["epochs"] == 4
    assert weights["novels"]["weight"] > 2 * weights["novels"]["natural"]
    assert "1 runs have no metrics and are left out" in notes
    again = run_step(
        MixtureFit(**{"name": "best", "use": "mixture_fit", **options}),
        store,
        executor=InProcess(),
    )
    assert again["best"] == store["best"].version


def test_runs_are_matched_whatever_other_tools_made_of_their_names(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    sources = {"a": 1e9, "b": 1e9}
    run_step(MixtureSwarm(name="swarm", use="mixture_swarm", sources=sources, runs=12), store,
             executor=InProcess())  # fmt: skip
    shares = store["swarm"].to_table()["a"].to_numpy()
    for number, names in enumerate((["%02d", "%d"], ["%d.0", "%02d"])):
        lines = [f"{names[number] % n},{3 - 0.5 * s + s * s}" for n, s in enumerate(shares, 1)]
        (tmp_path / "l.csv").write_text("\n".join(["run,loss", *lines]))
        fit(store, mixtures="swarm", metrics=str(tmp_path / "l.csv"), seed=number)
        assert store["best"].build()["facts"]["runs"] == 12


def test_the_columns_of_a_test_set_may_stand_in_another_order(
    tables: dict[str, str], tmp_path: Path
) -> None:
    turned = {}
    for name in ("test_mixtures", "test_metrics"):
        table = pacsv.read_csv(tables[name])
        pacsv.write_csv(table.select(table.column_names[::-1]), tmp_path / f"{name}.csv")
        turned[name] = str(tmp_path / f"{name}.csv")
    store = Store(tmp_path)
    fit(store, **tables | turned)
    assert min(law["test_spearman"] for law in output(store, ".laws")) > 0.9


def test_a_poor_fit_is_said_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), 40)
    losses = np.column_stack((rng.uniform(3, 4, 40), 3 - shares[:, 0]))
    place = write(tmp_path / "m.csv", ["a", "b", "c"], shares, "run")
    metrics = write(tmp_path / "l.csv", ["noise", "line"], losses, "run")
    _, notes = fit(Store(tmp_path), mixtures=place, metrics=metrics)
    assert "noise: held-out rank correlation" in notes and "does not rank mixtures" in notes
    assert "line: held-out" not in notes


def test_what_nobody_tried_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shares = np.column_stack((rng.dirichlet(np.ones(3) * 20, 40), np.zeros(40)))
    losses = 2 + np.exp(shares @ np.array([[-4.0, 0.5, 0.5, 0.0]]).T)
    place = write(tmp_path / "m.csv", ["a", "b", "c", "d"], shares)
    metrics = write(tmp_path / "l.csv", ["loss"], losses)
    weights, notes = fit(
        Store(tmp_path), mixtures=place, metrics=metrics, sources=dict.fromkeys("abcd", 1e9)
    )
    tried = float(shares[:, 0].max())
    assert weights["a"]["weight"] == pytest.approx(tried, abs=1e-6)
    assert "a: held at" in notes and "near the highest share tried" in notes
    assert weights["d"]["weight"] == 0 and "d: in no run" in notes
    assert "no `budget`" in notes
    weights, notes = fit(
        Store(tmp_path), mixtures=place, metrics=metrics, sources=dict.fromkeys("abcd", 1e9),
        reach=None,
    )  # fmt: skip
    assert weights["a"]["weight"] > tried + 0.05
    assert "a: weight" in notes and "beyond any run's share" in notes


@pytest.mark.parametrize(
    ("shares", "losses", "says"),
    [
        ("run,a,b\n1,.5,.5\n1,.4,.6\n", "run,l\n1,3\n", "run '1' is there twice"),
        ("run,a,b\n1,.5,.2\n2,.4,.6\n", "run,l\n1,3\n2,3\n", "run '1' sum to 0.7"),
        ("run,a,b\n1,.5,.5\n2,.4,.6\n", "run,l\n8,3\n9,3\n", "no run has both shares"),
        ("name,a,b\n1,.5,.5\n", "run,l\n1,3\n", "no column 'run'"),
        ("run,a,b\n1,.5,.5\n2,.4,.6\n", "run,l\n1,3\n2,3\n", "2 runs for 2 live domains need"),
        ("run,a,b\n1,.5,.5\n2,.4,.6\n", "run,l\n1,\n2,\n", "columns of numbers|lacks a metric"),
        ("run,a,b\n1,.5,.5\n2,.4,.6\n3,1,0\n", "run,l\n1,3\n2,-3\n3,1\n", "a loss is -3"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, shares: str, losses: str, says: str) -> None:
    (tmp_path / "m.csv").write_text(shares)
    (tmp_path / "l.csv").write_text(losses)
    with pytest.raises(Exception, match=says):
        fit(Store(tmp_path), mixtures=str(tmp_path / "m.csv"), metrics=str(tmp_path / "l.csv"))


def test_options_that_are_refused(tables: dict[str, str], tmp_path: Path) -> None:
    store = Store(tmp_path)
    for options, says in (
        ({"test_metrics": None}, "both or neither"),
        ({"targets": {"x": -1.0}}, "weights are numbers from 0"),
        ({"targets": ["metric/the_pile_3_val_los"]}, "did you mean 'metric/the_pile_3_val_loss'"),
        ({"sources": {"train_the_pile": 1e9}}, "did you mean 'train_the_pile"),
        ({"budget": 1e9}, "budget needs `sources`"),
        ({"sources": dict.fromkeys(SOURCES, 1e9), "budget": 1e12}, r"= 0\.0680 < 1"),
    ):
        with pytest.raises(Exception, match=says):
            fit(store, **{**tables, **options})


def test_a_mixture_takes_the_fitted_weights(tmp_path: Path) -> None:
    from mixtures.blend.step import Mixture
    from mixtures.plan import open_plan
    from tests.mixtures.make_tokens import put_tokens

    store = Store(tmp_path / "store")
    topics = {"topic": ["art", "science"] * 60}
    put_tokens(store, "tokens/web", documents=120, columns=topics)
    put_tokens(store, "tokens/code", documents=40, prefix="c", seed=1)
    sources = {"web": {"from": "tokens/web", "by": "topic"}, "code": "tokens/code"}
    plain = {"sources": sources, "budget": "4K"}
    swarm = MixtureSwarm.model_validate({"name": "swarm", "use": "mixture_swarm", **plain})
    run_step(swarm, store, executor=InProcess())
    table = store["swarm"].to_table()
    losses = 2 + np.exp(-2 * table["web/art"].to_numpy() - table["code"].to_numpy())
    pq.write_table(pa.table({"run": table["run"], "loss": losses}), tmp_path / "l.parquet")
    weights, _ = fit(store, mixtures="swarm", metrics=str(tmp_path / "l.parquet"))
    mixture = Mixture.model_validate(
        {"name": "mix", "use": "mixture", **plain, "weights": {"fitted": "best"},
         "shape": {"seq": 32, "batch": 5}}
    )  # fmt: skip
    run_step(mixture, store, executor=InProcess())
    plan = open_plan(store, "mix")
    assert sorted(weights) == ["code", "web/art", "web/science"]
    rows = {source.name: source.rows for source in plan.spec.sources}
    for name, row in weights.items():
        assert rows[name] / sum(rows.values()) == pytest.approx(row["weight"], abs=0.01)
