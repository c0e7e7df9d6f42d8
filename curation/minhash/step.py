"""minhash_dedup: drop near-duplicates; LSH proposes, measured Jaccard disposes.

In: documents, and optionally the signatures of earlier runs. Out: survivors with the size of their
cluster, `.ledger`, `.signatures` of the survivors (for the next run's `against`), `.report`.
Shown by: `- {name: web/unique, use: minhash_dedup, from: web/clean, survivor: longest}`.
Limit: pairs are found with the chance of the band formula: .924 at Jaccard .8 by default, .56 at
.7.

Every dropped document has a kept partner, named in the ledger, with which its measured Jaccard
similarity reaches the threshold; no chain of look-alikes merges what is not alike. Temporary disk:
about 1.1 kB a document and 8 bytes a distinct shingle of candidates; memory does not grow with the
corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from pydantic import Field

from curation.minhash import measure, output, propose, resolve, sign
from curation.minhash.sign import Setup
from curation.spill import task_id
from curation.survivors import check_name, check_policy
from gristmill.errors import RecipeError, nearest
from gristmill.step import Output, Phase, Step, StepRun, Task

PAIRS_A_TASK = 1 << 19
SIGNATURES = ".signatures"


class MinhashDedup(Step):
    """Keep one document of each cluster of near-duplicates."""

    VERSION: ClassVar[int] = 1

    from_: str = Field(alias="from")
    bands: int = Field(14, ge=1, le=1024)  # 14 x 8: FineWeb's
    rows: int = Field(8, ge=1, le=1024)
    ngram: int = Field(5, ge=1, le=32)  # words a shingle
    seed: int = Field(1, ge=0, lt=1 << 32)  # of the permutations; datasketch's default
    # Drop at this Jaccard similarity or above. 14 x 8 bands find .56 of the pairs at .7, and ever
    # fewer below: so .7 keeps what LSH finds reliably and refuses what it meets by chance.
    threshold: float = Field(0.7, gt=0, le=1)
    survivor: str = "longest"  # longest | oldest | newest | first | signal:COLUMN
    max_cluster: int = Field(10_000, ge=2)  # distinct texts that one component may join
    against: tuple[str, ...] = ()  # earlier `.signatures`: their documents always survive
    wipeout_by: str = "host"  # or a column, e.g. source
    wipeout_min: int = Field(20, ge=1)  # documents a source must have to be missed

    def inputs(self) -> list[str]:
        return [self.from_, *map(_signatures_of, self.against)]

    def check(self) -> None:
        check_name(self.survivor)

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("document", "one document of each cluster"),
            ".ledger": Output("ledger", "every document, its partner and their similarity"),
            SIGNATURES: Output("rows", "signatures of the survivors, for `against`"),
            ".report": Output("rows", "totals, and sources that lost every document"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        setup = self._setup(run)
        corpus = setup.corpus()
        new, everything = corpus.new_shards(), range(len(corpus.shards))

        def tasks(
            call: Callable[..., Any], numbers: Iterable[int], key: str = "shard"
        ) -> list[Task]:
            sizes = {n: max(1, corpus.shards[n].rows) if key == "shard" else 1 for n in numbers}
            args = {n: {"setup": setup, key: n} for n in sizes}
            return [Task(task_id(n), call, args[n], size) for n, size in sizes.items()]

        older = [n for n in everything if n not in new]
        signing = tasks(sign.sign_older, older) + tasks(sign.sign_documents, new)
        yield Phase("sign", signing, unit="rows")
        parts = range(setup.partitions())
        yield Phase("buckets", tasks(propose.find_candidates, parts, "partition"), unit="parts")
        yield Phase("estimate", tasks(propose.estimate_pairs, new), unit="rows")
        yield Phase("sets", tasks(measure.make_sets, new), unit="rows")
        yield Phase("verify", tasks(measure.verify_pairs, new), unit="rows")
        yield Phase("settle-0", [_single(resolve.start_settling, setup)], unit="tasks")
        rounds = 0
        while asked := run.records(f"settle-{rounds}")[0].value["pairs"]:
            starts = range(0, asked, PAIRS_A_TASK)
            yield Phase(
                f"measure-{rounds}",
                [
                    Task(
                        task_id(i),
                        measure.measure_pairs,
                        {
                            "setup": setup,
                            "round_": rounds,
                            "start": start,
                            "end": min(start + PAIRS_A_TASK, asked),
                        },
                    )
                    for i, start in enumerate(starts)
                ],
                unit="tasks",
            )
            rounds += 1
            going = _single(resolve.go_on_settling, setup, round_=rounds, parts=len(starts))
            yield Phase(f"settle-{rounds}", [going], unit="tasks")
        yield Phase("finish", [_single(resolve.finish, setup, rounds=rounds)], unit="tasks")
        yield Phase("write", tasks(output.write_shard, new), unit="rows")
        totals = self._totals(run, rounds)
        yield Phase("report", [_single(output.write_report, setup, totals=totals)], unit="tasks")
        self._notes(run, totals)

    def _setup(self, run: StepRun) -> Setup:
        dataset = run.inputs[self.from_]
        check_policy(self.survivor, dataset.schema)
        older = {_signatures_of(ref).partition("@")[0] for ref in self.against}
        if self.name + SIGNATURES in older:
            raise RecipeError(
                f"against {list(self.against)}: {self.name!r} would drop what it kept before as "
                "its own duplicates; give each dump's result a name of its own"
            )
        if self.wipeout_by != "host" and self.wipeout_by not in dataset.schema.names:
            hint = nearest(self.wipeout_by, ["host", *dataset.schema.names])
            raise RecipeError(f"wipeout_by {self.wipeout_by!r}: no such column{hint}")
        return Setup(
            store=str(run.store.path),
            source=dataset.ref,
            against=tuple(run.inputs[_signatures_of(ref)].ref for ref in self.against),
            bands=self.bands,
            rows=self.rows,
            ngram=self.ngram,
            seed=self.seed,
            threshold=self.threshold,
            survivor=self.survivor,
            max_cluster=self.max_cluster,
            wipeout_by=self.wipeout_by,
            wipeout_min=self.wipeout_min,
        )

    def _totals(self, run: StepRun, rounds: int) -> dict[str, float]:
        """The report's totals, in the order of the work."""

        def total(phase: str, key: str) -> int:
            return sum(record.value[key] for record in run.records(phase))

        measured = sum(total(f"measure-{n}", "measured") for n in range(rounds))
        return {
            "documents": total("write", "rows"),
            "without_words": total("sign", "without_words"),
            "candidate_pairs": total("estimate", "proposed"),
            "measured_pairs": total("verify", "measured") + measured,
            "verified_pairs": total("verify", "verified"),
            "edges_refused_by_cap": total("settle-0", "refused"),
            "rounds": rounds,
            "dropped": total("finish", "dropped"),
            "dropped_for_older": total("finish", "dropped_for_older"),
            "clusters": total("finish", "clusters"),
            "largest_cluster": total("finish", "largest"),
        }

    def _notes(self, run: StepRun, totals: dict[str, float]) -> None:
        if refused := totals["edges_refused_by_cap"]:
            run.note(
                f"max_cluster {self.max_cluster:,} kept {refused:,.0f} similar pairs apart; raise "
                "it if one survivor of such a cluster is enough"
            )
        found = run.records("report")[0].value
        if found["lost"]:
            run.note(
                f"{found['lost']:,} sources of {self.wipeout_min} or more documents lost all of "
                f"them ({', '.join(found['examples'])}): see {self.name}.report"
            )


def _single(call: Callable[..., Any], setup: Setup, **more: Any) -> Task:
    return Task(task_id(0), call, {"setup": setup, **more})


def _signatures_of(ref: str) -> str:
    """`web/unique` and `web/unique.signatures` name the same; a version is the signatures' own."""
    name, at, version = ref.partition("@")
    return (name if name.endswith(SIGNATURES) else name + SIGNATURES) + at + version
