"""The demo: a made-up crawl, the recipe over it, and what was found against what was planted.

In: nothing; no network. Out: `demo/` with crawl, truth and store, and on the terminal a funnel, a
score, an answer in SQL and the `why` of one document. Shown by: `make demo`.
Limit: 3,000 pages say nothing about speed; see `make bench`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from rich.console import Console

from gristmill import Dataset, GristmillError, Store, run
from gristmill.lineage import funnel
from pipelines.cli import app
from pipelines.demo.generate import Truth, generate
from pipelines.demo.score import score_dataset, table
from pipelines.demo.show import funnel_table

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "demo.yaml"
LAST = "web/final"
WIDTH = 110  # of the tables where the output is no terminal
QUESTION = "Which hosts lost most pages, and to which rule?"
# Without single quotes, so that the printed command can be copied into a shell.
SQL = """select split_part(url, chr(47), 3) as host, reason, count(*) as pages
from (select url, reason from "web/clean.ledger"
      union all select url, reason from "web/distinct.ledger"
      union all select url, reason from "web/unique.ledger"
      union all select url, reason from "web/final.ledger")
where reason is not null
group by host, reason order by pages desc, host, reason limit 10"""


def main(argv: list[str] | None = None) -> int:
    """Run the demo; 0 when every record is accounted for."""
    options = argparse.ArgumentParser(prog="python -m pipelines.demo", description=__doc__)
    options.add_argument("--dir", type=Path, default=Path("demo"), help="where to (default: demo)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--pages", type=int, default=3000)
    options.add_argument("--workers", type=int, default=None)
    asked = options.parse_args(argv)
    err = Console(stderr=True)
    out = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    try:
        with err.status("writing the crawl"):
            truth = generate(asked.dir, asked.seed, asked.pages)
        planted = sum(count for kind, count in truth.counts().items() if kind != "unplanted")
        out.print(f"{len(truth.records):,} pages in {truth.crawl}, {planted:,} of them planted")
        store = Store(asked.dir / "store")
        chosen = {"crawl": truth.crawl, "against": [str(truth.benchmark)]}
        versions = run(str(RECIPE), store=store, set=chosen, workers=asked.workers)
        return report(out, truth, Dataset(store, LAST, versions[LAST]))
    except GristmillError as error:
        err.print(f"error: {error}", markup=False)
        return 1


def report(out: Console, truth: Truth, last: Dataset) -> int:
    """Print what came of it; 1 where a record has no ledger row."""
    out.print()
    out.print(funnel_table(funnel(last)))
    out.print()
    result = score_dataset(truth.records, last)
    store = os.path.relpath(last.store.path)
    out.print(table(result))
    out.print()
    ask(out, QUESTION, "sql", SQL, "--store", store)
    if url := example(truth, last):
        ask(out, f"Why is this page not in {LAST}?", "why", LAST, url, "--store", store)
    out.print("Ask more: gristmill --help")
    return 1 if result.unaccounted else 0


def ask(out: Console, question: str, *command: str) -> None:
    """Print a question, and the command that answers it with what it says."""
    out.print(question, style="italic")
    out.print(f"$ gristmill {shlex.join(command)}", markup=False, highlight=False, soft_wrap=True)
    app(command, standalone_mode=False)


def example(truth: Truth, last: Dataset) -> str | None:
    """A reprint that dedup dropped: its story names the page that it copies."""
    left = set(last.to_table(["url"])["url"].to_pylist())
    for record in truth.records:
        if record.kind == "near_duplicate" and record.url not in left and record.partner in left:
            return record.url
    return next((r.url for r in truth.records if r.url not in left), None)


if __name__ == "__main__":
    sys.exit(main())
