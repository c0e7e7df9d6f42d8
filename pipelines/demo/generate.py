"""Writes the demo's crawl: 3,000 pages on 65 made-up hosts, and the truth about each of them.

In: a folder, a seed, a number of pages. Out: `crawl/*.warc.gz`, `benchmark.jsonl`, `truth.jsonl`;
same seed, same bytes. Shown by: `python -m pipelines.demo.generate demo/web`.
Limit: every page has status 200 and an address of its own.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gristmill.errors import GristmillError
from pipelines.demo import compose, damage, plant, sites
from pipelines.demo.compose import KEPT, Page, weighted
from pipelines.demo.corpus import HERE, Host, hosts
from pipelines.demo.warc import Record, http_block, publish, write_warc

# Shares of the pages; what is left is unplanted.
SHARES = {
    "exact_duplicate": 0.05,
    "near_duplicate": 0.07,
    "boilerplate": 0.05,
    "spam": 0.06,
    "wrong_language": 0.04,
    "contaminated": 0.025,
    "personal": 0.025,
    "broken": 0.008,  # cannot be read: a counted drop
    "damaged": 0.007,  # can be read all the same
}
MIN_PAGES = 200  # fewer, and some kind or variant would be missing


@dataclass(frozen=True, slots=True)
class Planted:
    """One record of the crawl and what it is. `partner` is the address that a duplicate copies."""

    url: str
    kind: str
    language: str
    host: str
    partner: str
    detail: dict[str, Any]
    file: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What was written: paths, and one `Planted` for each record, in the order of the files."""

    crawl: str  # glob of the WARC files
    benchmark: Path
    path: Path
    records: list[Planted]

    def counts(self) -> dict[str, int]:
        """Records of each kind, the largest first."""
        return dict(Counter(r.kind for r in self.records).most_common())


@dataclass(slots=True)
class Draft:
    """A page on its way into the crawl."""

    kind: str
    page: Page
    host: Host
    url: str
    html: str
    detail: dict[str, Any] = field(default_factory=dict)
    partner: str = ""


def generate(out_dir: str | Path, seed: int = 0, pages: int = 3000) -> Truth:
    """Write crawl, benchmark and truth into `out_dir`; files that are right stay untouched."""
    if pages < MIN_PAGES:
        raise GristmillError(
            f"pages={pages}: the demo needs {MIN_PAGES} or more to plant every kind"
        )
    out = Path(out_dir)
    drafts = _drafts(seed, pages)
    rng = random.Random(f"{seed}:order")
    rng.shuffle(drafts)
    count = max(4, pages // 400)
    bins: list[list[tuple[Draft, Record]]] = [[] for _ in range(count)]
    last: list[tuple[Draft, Record]] = []
    for draft in drafts:
        entry = (draft, _record(draft))
        (last if entry[1].truncated else bins[rng.randrange(count)]).append(entry)
    records: list[Planted] = []
    names = {f"demo-{seed}-{number:05d}.warc.gz" for number in range(count)}
    for stale in (out / "crawl").glob("demo-*.warc.gz"):
        if stale.name not in names:
            stale.unlink()
    for number, (name, entries) in enumerate(zip(sorted(names), bins, strict=True)):
        entries += last[number : number + 1]
        places = write_warc(out / "crawl" / name, [r for _, r in entries], number * 86400)
        records += [
            Planted(
                d.url,
                d.kind,
                d.page.language,
                d.host.name,
                d.partner,
                d.detail,
                p.file,
                p.offset,
                p.length,
            )
            for (d, _), p in zip(entries, places, strict=True)
        ]
    publish(out / "benchmark.jsonl", (HERE / "benchmark.jsonl").read_bytes())
    lines = "".join(json.dumps(asdict(r), ensure_ascii=False) + "\n" for r in records)
    publish(out / "truth.jsonl", lines.encode())
    return Truth(
        str(out / "crawl" / "*.warc.gz"), out / "benchmark.jsonl", out / "truth.jsonl", records
    )


def load(path: str | Path) -> list[Planted]:
    """The records of a truth file."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [Planted(**json.loads(line)) for line in lines]


def _drafts(seed: int, pages: int) -> list[Draft]:
    counts = {kind: max(4, round(share * pages)) for kind, share in SHARES.items()}
    drafts: list[Draft] = []
    solid: list[Draft] = []
    for number in range(pages - sum(counts.values())):
        rng = random.Random(f"{seed}:page:{number}")
        host = rng.choice(hosts("site", weighted(rng, KEPT)))
        style, page = compose.unplanted(rng, host.language, host.shelf)
        drafts.append(_draft("unplanted", page, host, len(drafts), rng, {"style": style}))
        if style != "thin":
            solid.append(drafts[-1])
    for kind, count in counts.items():
        for number in range(count):
            rng = random.Random(f"{seed}:{kind}:{number}")
            drafts.append(_planted(kind, number, len(drafts), rng, solid))
    return drafts


def _draft(
    kind: str, page: Page, host: Host, number: int, rng: random.Random, detail: dict[str, Any]
) -> Draft:
    url = sites.address(host, page, number, rng)
    return Draft(kind, page, host, url, sites.render(page, host, url, rng), detail)


def _planted(kind: str, number: int, at: int, rng: random.Random, solid: list[Draft]) -> Draft:
    """The `number`th page of a planted kind, the `at`th of the crawl."""
    language = weighted(rng, KEPT)
    host = rng.choice(hosts("site", language))
    partner = ""
    if kind == "exact_duplicate":
        return _copy(rng.choice(solid), at, rng)
    if kind == "near_duplicate":
        original = rng.choice(solid)
        partner = original.url
        page, detail = plant.near_duplicate(rng, original.page)
        host = rng.choice(hosts("mirror" if rng.random() < 0.8 else "site", page.language))
    elif kind == "boilerplate":
        page, detail = plant.boilerplate(rng, language)
    elif kind == "spam":
        page, detail = plant.spam(rng)
        host = rng.choice(hosts("spam") if rng.random() < 0.8 else hosts("site", "en"))
    elif kind == "wrong_language":
        host = hosts("foreign")[number % len(hosts("foreign"))]
        page, detail = compose.foreign(rng, host.language), {}
    elif kind == "contaminated":
        page, detail = plant.contaminated(rng, number)
        host = rng.choice(hosts("site", "en"))
    elif kind == "personal":
        page, detail = plant.personal(rng, language)
    else:
        fault = damage.FAULTS[kind][number % len(damage.FAULTS[kind])]
        page, host, detail = damage.carrier(rng, fault)
    return replace(_draft(kind, page, host, at, rng, detail), partner=partner)


def _copy(original: Draft, at: int, rng: random.Random) -> Draft:
    """The same page at another address; half of the copies differ outside their text."""
    form = rng.choice(["campaign link", "print view", "scraped"])
    joint = "&" if "?" in original.url else "?"
    url = {
        "campaign link": f"{original.url}{joint}utm_source=mail{at}",
        "print view": f"{original.url}{joint}print={at}",
        "scraped": f"https://{rng.choice(hosts('mirror')).name}/copy/{at}",
    }[form]
    same_bytes = rng.random() < 0.5
    html = original.html if same_bytes else f"{original.html}<!-- served by web{at} -->"
    detail = {"form": form, "same_bytes": same_bytes}
    host = replace(original.host, name=url.split("/")[2])
    return Draft("exact_duplicate", original.page, host, url, html, detail, original.url)


def _record(draft: Draft) -> Record:
    charset = draft.host.charset
    if "fault" in draft.detail:
        return damage.record(draft.url, draft.html, draft.detail["fault"], charset)
    body = sites.encode(draft.html, charset)
    return Record(draft.url, http_block(body, f"text/html; charset={charset}"), body)


def main() -> None:
    """`python -m pipelines.demo.generate OUT [SEED [PAGES]]`"""
    if not 2 <= len(sys.argv) <= 4:
        raise SystemExit("usage: python -m pipelines.demo.generate OUT [SEED [PAGES]]")
    truth = generate(sys.argv[1], *map(int, sys.argv[2:]))
    print(f"{len(truth.records)} records: {truth.crawl}")
    for kind, count in truth.counts().items():
        print(f"  {count:5d} {kind}")


if __name__ == "__main__":
    main()
