"""Renders what was measured: the tables of `docs/RESULTS.md` and of the README.

In: `.bench/results/*.json`. Out: what stands between `<!-- bench:begin -->` and
`<!-- bench:end -->` in both files. Shown by: `python -m bench.report`.
Limit: figures of different claims may come from different hours; each says when it was taken.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.harness import RESULTS, ROOT

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def records() -> list[dict[str, Any]]:
    """What the scripts wrote, in the order in which `python -m bench` runs them."""
    from bench.__main__ import CLAIMS

    paths = [RESULTS / f"{name}.json" for name in CLAIMS]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def number(value: float) -> str:
    """Three digits where there are that many; 99.98 is not 100."""
    if 99 <= abs(value) < 100:
        return f"{value:.4g}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _target(row: dict[str, Any]) -> str:
    if row["target"] is None:
        return ""
    return f"{'at most' if row['at_most'] else 'at least'} {row['target']:g}"


def _line(row: dict[str, Any], command: str) -> str:
    verdict = {None: "", True: "met", False: "**missed**"}[row["met"]]
    span = f"{number(row['low'])} to {number(row['high'])}"
    measured = f"{number(row['measured'])} {row['unit']}"
    cells = [row["work"], _target(row), measured, span, verdict, f"`{command}`", row["detail"]]
    return f"| {' | '.join(cells)} |"


def table(only_targets: bool = False) -> str:
    """All rows as Markdown; with `only_targets` those that have one."""
    head = [
        "| work | target | measured | lowest to highest | | command | |",
        "|---|---|---|---|---|---|---|",
    ]
    lines = [
        _line(row, record["command"])
        for record in records()
        for row in record["rows"]
        if row["target"] is not None or not only_targets
    ]
    return "\n".join(head + lines)


def readme_table() -> str:
    """The short table of the README: each claim's first ratio; RESULTS.md has all rows."""
    head = ["| work | measured | command |", "|---|---|---|"]
    lines = []
    for record in records():
        ratios = (r for r in record["rows"] if r["target"] is not None and " / " in r["work"])
        if (row := next(ratios, None)) is not None:
            value = f"{number(row['measured'])} {row['unit']}"
            lines.append(f"| {row['work']} | {value} | `{record['command']}` |")
    return "\n".join(head + lines)


def details() -> str:
    """Per claim: corpus, each side's start-up, median, rate, versions; notes."""
    parts = []
    for record in records():
        machine = record["machine"]
        corpus = ", ".join(f"{key} {value}" for key, value in record["corpus"].items())
        lines = [
            f"### {record['title']}",
            "",
            f"`{record['command']}`, {record['taken']} UTC, {machine['processor']}, "
            f"{machine['cores']} cores, Python {machine['python']}. Corpus: {corpus}.",
            "",
            "| side | median s | MB/s | import s | load s | first run s | packages |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, side in record["sides"].items():
            seconds = sorted(side["seconds"])
            middle = seconds[len(seconds) // 2]
            size = side["bytes"] or record["corpus"].get("bytes", 0)
            rate = number(size / middle / 1e6) if size and middle > 0 else ""
            packages = ", ".join(f"{key} {value}" for key, value in side["packages"].items())
            cells = [name, number(middle), rate]
            cells += [number(side[key]) for key in ("import_s", "load_s", "first_run_s")]
            lines.append(f"| {' | '.join([*cells, packages])} |")
        lines += [f"\n{note}." for note in record["notes"]]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _between(path: Path, text: str, otherwise: str) -> None:
    """Put `text` between the marks of a file; a file without marks is left as it is."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(otherwise)
    old = path.read_text()
    head, begin, rest = old.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if begin and end:
        path.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")


def write() -> None:
    """Both files. RESULTS.md is made where it is not there; the README keeps its own words."""
    results = (
        "# Results\n\nMeasured side by side in one run on the same documents: sides take turns, "
        "medians of five rounds, lowest and highest beside them, start-up apart. One core a side. "
        f"`make bench` makes all of it anew.\n\n{BEGIN}\n{END}\n"
    )
    body = f"{table()}\n\n{details()}"
    _between(ROOT / "docs" / "RESULTS.md", body, results)
    if (ROOT / "README.md").exists():
        _between(ROOT / "README.md", readme_table(), "")


if __name__ == "__main__":
    write()
    print(table())
