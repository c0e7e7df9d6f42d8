"""Side-by-side measurements: one script a claim, peers in their own environments.

In: `../shared/data` (or `$GRISTMILL_TEST_DATA`). Out: one JSON a claim in `.bench/results/`, from
which `bench.report` writes `docs/RESULTS.md`. Shown by: `python -m bench --size full`.
Limit: ratios hold for the machine and the minute in which they were taken; absolute times do not.
"""
