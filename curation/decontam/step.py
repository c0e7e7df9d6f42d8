"""Decontaminate: take benchmark items out of documents, and report what each item met.

In: a dataset of documents, benchmark files. Out: documents, `.ledger`, `.report` (a row an item).
Shown by: `gristmill run pipelines/recipes/fineweb.yaml --set against='[benchmarks/*.jsonl.gz]'`.
Limit: copies are found, whatever their case, punctuation and layout; paraphrases are not.

Phases: `index` (one task) writes the index once, workers map it; `common` counts n-grams where a
recipe exempts common ones; `rows` decides, one task a shard; `report` (one task) adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from curation.decontam import tasks
from curation.decontam.cut import MAX_CUTS, MIN_FRAGMENT, WINDOW
from curation.decontam.rows import Action
from gristmill.decontam.benchmarks import Against
from gristmill.decontam.recipes import DecontaminationRecipe, decontamination_recipe
from gristmill.step import Output, Phase, Step, StepRun, Task
from gristmill.text.ngrams import MAX_COUNTING, MIN_DISTINCT


class CutOptions(BaseModel):
    """Action `cut`: what goes with a shared n-gram, and when too little is left."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    window: int = Field(default=WINDOW, ge=0)  # characters removed on both sides
    min_fragment: int = Field(default=MIN_FRAGMENT, ge=0)  # shorter pieces are discarded
    max_cuts: int = Field(default=MAX_CUTS, ge=0)  # a document with more is dropped


class Decontaminate(Step):
    """Drop, cut or flag documents that hold benchmark items."""

    VERSION: ClassVar[int] = 1

    from_: str = Field(alias="from")
    against: tuple[Against, ...] = ()  # files and globs: .jsonl .json .csv .tsv .parquet
    recipe: str = "gpt3_13gram"
    action: Action = "drop"
    fields: tuple[str, ...] | None = None  # of every entry of `against` without its own
    threshold: float | dict[str, float] | None = None  # for all, or by benchmark
    ngram: int | None = Field(default=None, ge=1)  # words of an n-gram; None: the recipe's
    min_words: int | None = Field(
        default=None, ge=1
    )  # items from here to `ngram` are looked for whole
    min_distinct: int = Field(
        default=MIN_DISTINCT, ge=0
    )  # words of two letters in an n-gram to count
    max_counting: int = Field(
        default=MAX_COUNTING, ge=1
    )  # numbers that count up in an n-gram to count
    common_use: int | None = Field(default=None, ge=1)  # n-grams in more documents are no evidence
    cut: CutOptions = CutOptions()

    @field_validator("against", mode="before")
    @classmethod
    def _parse_against(cls, entries: Any) -> Any:
        """A path alone, or a list of paths and mappings."""
        if entries is None:
            return ()
        if isinstance(entries, str | dict):
            entries = [entries]
        if not isinstance(entries, list | tuple):
            raise ValueError(f"against is {entries!r}; it is a path, or a list of paths")
        return tuple({"path": entry} if isinstance(entry, str) else entry for entry in entries)

    @field_validator("threshold")
    @classmethod
    def _fractions(cls, given: float | dict[str, float] | None) -> float | dict[str, float] | None:
        for value in given.values() if isinstance(given, dict) else [given]:
            if value is not None and not 0 <= value <= 1:
                raise ValueError(
                    f"threshold {value}: it is a fraction of an item's words, from 0 (one shared "
                    "n-gram is enough) to 1"
                )
        return given

    @field_validator("recipe")
    @classmethod
    def _known(cls, name: str) -> str:
        decontamination_recipe(name)
        return name

    def inputs(self) -> list[str]:
        return [self.from_]

    def files(self) -> list[str]:
        return list(dict.fromkeys(entry.path for entry in self.against))

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("document", "documents kept"),
            ".ledger": Output("ledger", "what became of every document, and which item it met"),
            ".report": Output("rows", "what every benchmark item met"),
        }

    def config(self) -> dict[str, Any]:
        recipe = self.resolved()  # the register's numbers count, not the name alone
        numbers = {
            "lengths": list(recipe.lengths),
            "min_words": recipe.min_words,
            "threshold": recipe.threshold,
            "common_use": recipe.common_use,
            "measure": f"{recipe.measure.__module__}.{recipe.measure.__qualname__}",
        }
        return {**super().config(), "resolved": numbers}

    def resolved(self) -> DecontaminationRecipe:
        """The recipe with this step's settings."""
        recipe = decontamination_recipe(self.recipe)
        if self.ngram is not None:
            recipe = replace(
                recipe, lengths=(self.ngram,), min_words=min(recipe.min_words, self.ngram)
            )
        if self.min_words is not None:
            recipe = replace(recipe, min_words=self.min_words)
        if self.common_use is not None:
            recipe = replace(recipe, common_use=self.common_use)
        return recipe

    def phases(self, run: StepRun) -> Iterator[Phase]:
        shards = [(str(path), path.stat().st_size) for path in run.inputs[self.from_].files]

        def each(call: Callable[..., Any]) -> list[Task]:
            """One task a shard."""
            return [
                Task(f"{number:05d}", call, {"shard": path}, size)
                for number, (path, size) in enumerate(shards)
            ]

        home: Path | None = None
        common: Path | None = None
        if not self.against:
            run.note(
                "`against` is empty: nothing was compared and every document passed; name "
                "benchmark files to decontaminate"
            )
        else:
            args: dict[str, Any] = {"step": self, "files": self._sources(run)}
            yield Phase("index", [Task("index", tasks.index, args)], unit="items")
            home = run.records("index")[0].path("index")
            most = self.resolved().common_use
            if most is not None:
                setup = partial(tasks.set_up, self, home)
                yield Phase("common", each(tasks.count_common), worker_setup=setup)
                counts = [str(record.path("counts.npy")) for record in run.records("common")]
                args = {"counts": counts, "most": most}
                yield Phase("exempt", [Task("exempt", tasks.exempt, args)], unit="n-grams")
                common = run.records("exempt")[0].path("exempt.npy")
        setup = partial(tasks.set_up, self, home, common)
        yield Phase("rows", each(tasks.rows), worker_setup=setup)
        args = {"totals": [str(record.path("totals")) for record in run.records("rows")]}
        yield Phase("report", [Task("report", tasks.report, args)], worker_setup=setup)
        note = run.records("report")[0].value.get("note")
        if note:
            run.note(str(note))

    def _sources(self, run: StepRun) -> list[tuple[str, Against]]:
        """Each benchmark file once, with the first entry of `against` that names it."""
        found: dict[str, Against] = {}
        for entry in self.against:
            if entry.fields is None and self.fields is not None:
                entry = entry.model_copy(update={"fields": list(self.fields)})
            for file in run.files[entry.path]:
                found.setdefault(file.path, entry)
        return list(found.items())
