"""compare: the report of an ablation: did an arm change a metric beyond the noise of its seeds?

In: evaluations of several arms and seeds, and the name of the control. Out: a row an arm and metric
with its verdict, over seeds or, of one seed, over the test's items; `.pictures`. Shown by: `-
{name: ablate/report, use: compare, evals: "eval/*", control: raw}`. Limit: the arms must have been
evaluated by the same tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from gristmill.errors import RecipeError, nearest
from gristmill.step import Ahead, Output, Phase, Step, StepRun, Task, TaskContext
from gristmill.store import Store
from train.evaluate.step import Evaluate
from train.spec.base import Names

FEW = 3  # seeds below which a t interval says little


class Compare(Step):
    """Compare arms with a control."""

    VERSION: ClassVar[int] = 2
    SAMPLED: ClassVar[bool] = True  # a picture's bytes depend on fonts
    PATTERNS: ClassVar[tuple[str, ...]] = ("evals", "runs", "curves")

    evals: Names = ()  # evaluations whose labels name arm and seed; "eval/*": those before it
    runs: dict[str, Names] = Field(default_factory=dict)  # or: arm -> its evaluations
    control: str  # the arm that the others are compared with
    by: str = "arm"  # the column of `evals` that tells the arm: a label, or `model`
    over: str = "seed"  # the label that tells the seed
    tasks: Names = ()  # of those compared; default: all
    metrics: Names = ()
    sources: Names = ()
    curves: Names = ()  # training steps whose `.log` is drawn
    level: float = Field(0.95, gt=0, lt=1)

    @field_validator("level")
    @classmethod
    def _level(cls, value: float) -> float:
        if value < 0.5:
            raise RecipeError(f"level is {value}; it is the interval's coverage, e.g. 0.95")
        return value

    def inputs(self) -> list[str]:
        refs = [*self.evals, *(ref for several in self.runs.values() for ref in several)]
        return list(dict.fromkeys([*refs, *(f"{name}.log" for name in self.curves)]))

    def packages(self) -> list[str]:
        return ["scipy"]

    def check(self) -> None:
        if bool(self.evals) == bool(self.runs):
            raise RecipeError(
                'compare needs one of `evals: "eval/*"` (labels name the arms) and `runs: '
                "{raw: [eval/raw-1, …], clean: […]}`"
            )
        if self.runs and self.control not in self.runs:
            raise RecipeError(f"control is {self.control!r}{nearest(self.control, self.runs)}")

    def check_recipe(self, ahead: Ahead) -> None:
        steps = [ahead.step(ref) for ref in self.evals]
        if not steps or self.by == "model" or not all(isinstance(s, Evaluate) for s in steps):
            return
        arms = {
            str(s.labels[self.by]) for s in steps if isinstance(s, Evaluate) and self.by in s.labels
        }
        if self.control not in arms:
            raise RecipeError(
                f"control is {self.control!r}, which no evaluation has as {self.by!r}"
                f"{nearest(self.control, arms)}"
            )

    def forecast(self, ahead: Ahead) -> dict[str, Any]:
        return {"documents": 0, "tokens": 0}  # scores

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("rows", "each arm on each metric: mean, difference, interval, verdict"),
            ".pictures": Output("pictures", "differences with intervals; curves, as PNG files"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        self.check()
        inputs = {name: dataset.ref for name, dataset in run.inputs.items()}
        args = {"step": self, "store": str(run.store.path), "inputs": inputs}
        yield Phase("compare", [Task("all", _compare, args)], unit="reports")
        made = run.records("compare")[0].value
        run.facts.update(made["facts"])
        for note in made["notes"]:
            run.note(note)


def _compare(
    ctx: TaskContext, step: Compare, store: str, inputs: Mapping[str, str]
) -> dict[str, Any]:
    from train.compare import read, report
    from train.compare.pictures import curves, differences
    from train.compare.statistics import ITEMS
    from train.compare.verdicts import few_seeds, hung_on_items, judged
    from train.evaluate.pictures import save

    place = Store(store)
    datasets = {ref: place[version] for ref, version in inputs.items()}
    if step.evals:
        runs = read.labelled([datasets[ref] for ref in step.evals], step.by, step.over)
    else:
        by_arm = {arm: [datasets[ref] for ref in refs] for arm, refs in step.runs.items()}
        runs = read.listed(by_arm, step.over)
    if step.control not in runs.arms:
        raise RecipeError(f"control is {step.control!r}{nearest(step.control, runs.arms)}")
    runs = read.chosen(runs, step.tasks, step.metrics, step.sources)
    found, notes = judged(runs, step.control, step.level)
    ctx.writer("", report.SCHEMA).write(report.table(found))
    folder = ctx.files(".pictures")
    save(differences(found, step.control), folder / "differences.png")
    if step.curves:
        logs: dict[str, list[Any]] = {}
        for name in step.curves:
            logs.setdefault(runs.arm_of.get(name, name), []).append(datasets[f"{name}.log"])
        save(curves(logs), folder / "curves.png")
    ctx.advance(1)
    tested = sum(one.noise is not None for one in found)
    about = (
        f"{tested} comparisons with {step.control}, {step.level:.0%} intervals; "
        "the last column keeps the chance of any false verdict among them below "
        f"{1 - step.level:.0%} (Holm)"
    )
    if single := sum(one.noise == ITEMS for one in found):
        about += (
            f"; {single} of them over items of one seed: that is the noise of the test, not of "
            "training; another seed could differ by more"
        )
    facts = {"comparisons": tested, "control": step.control, "table": report.text(found)}
    notes += [*few_seeds(found, FEW), *hung_on_items(found, step.level)]
    return {"facts": facts, "notes": [*notes, f"{about}\n{facts['table']}"]}
