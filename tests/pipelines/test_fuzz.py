"""Bytes of a crawl flipped, cut, repeated, inserted: never an error, and no sound record lost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.curate import Curate, _curate, _set_up
from curation.readers import plan_splits
from gristmill.task import RunInfo, execute, published
from pipelines.recipe import load_recipe
from tests.curation.readers.warc_files import http, record
from tests.pipelines.broken_warcs import HTML, html, sound
from tests.run_step import RECIPES

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("GRISTMILL_FUZZ", "120"))
PAGES = 6


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a piece of bytes, at a place between 0 and 1 of it."""

    kind: str
    place: float
    length: int
    noise: bytes

    def apply(self, data: bytes) -> bytes:
        at = int(self.place * len(data))
        end = at + self.length
        flipped = bytes(a ^ b for a, b in zip(data[at:], self.noise, strict=False))
        return {
            "flip": data[:at] + flipped + data[at + len(flipped) :],
            "cut off": data[:at],
            "cut out": data[:at] + data[end:],
            "insert": data[:at] + self.noise + data[at:],
            "repeat": data[:end] + data[at:],
            "zero": data[:at] + bytes(len(data[at:end])) + data[end:],
        }[self.kind]


edits = st.builds(
    Edit,
    st.sampled_from(["flip", "cut off", "cut out", "insert", "repeat", "zero"]),
    st.floats(0, 1),
    st.integers(1, 400),
    st.binary(min_size=1, max_size=40),
)
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@cache
def members() -> list[bytes]:
    return [sound(number) for number in range(PAGES)]


@cache
def state() -> Any:
    """What a worker builds for the shipped ops."""
    (step, *_) = load_recipe(RECIPES / "fineweb.yaml").steps
    assert isinstance(step, Curate)
    return _set_up(step.model_copy(update={"rejected": True}))


def curated(name: str, content: bytes) -> dict[str, list[dict[str, Any]]]:
    """One file through the task that a worker runs: rows of each output."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        splits = plan_splits({"warc": str(Path(folder) / name)})
        kinds = {"": "document", ".ledger": "ledger", ".rejected": "document"}
        run = RunInfo(folder, folder, kinds)
        failed = execute(run, "documents", "0", _curate, {"splits": splits}, state())
        assert failed is None, failed
        done = published(Path(folder), "documents", "0")
        assert done is not None
        return {
            suffix: pa.concat_tables(
                pq.read_table(done.folder / f"out{suffix}" / shard["file"])
                for shard in done.shards[suffix]
            ).to_pylist()
            for suffix in kinds
        }


def check(found: dict[str, list[dict[str, Any]]]) -> set[int]:
    """Assert that the books balance; the pages kept."""
    ledger = found[".ledger"]
    states = [row["state"] for row in ledger]
    assert set(states) <= {"kept", "dropped"}
    assert states.count("kept") == len(found[""])
    assert all((row["reason"] is None) == (row["state"] == "kept") for row in ledger)
    assert all((row["rules"] == []) == (row["state"] == "kept") for row in ledger)
    places = {(row["offset"], row["length"]) for row in ledger}
    for row in [*found[""], *found[".rejected"]]:
        assert (row["offset"], row["length"]) in places
    urls = [row["url"] for row in found[""]]
    return {int(url.rsplit("/", 1)[1]) for url in urls if url and url.rsplit("/", 1)[1].isdigit()}


def test_nothing_edited_keeps_every_page() -> None:
    assert check(curated("a.warc.gz", b"".join(members()))) == set(range(PAGES))


@fuzzed
@given(st.dictionaries(st.integers(0, PAGES - 1), st.lists(edits, min_size=1, max_size=3)))
def test_edited_members_cost_no_other(damage: dict[int, Sequence[Edit]]) -> None:
    parts = []
    for number, data in enumerate(members()):
        for edit in damage.get(number, ()):
            data = edit.apply(data)
        parts.append(data)
    kept = check(curated("a.warc.gz", b"".join(parts)))
    assert kept >= set(range(PAGES)) - set(damage)


@fuzzed
@given(st.lists(edits, max_size=6))
def test_edits_anywhere_are_no_error(damage: Sequence[Edit]) -> None:
    data = b"".join(members())
    for edit in damage:
        data = edit.apply(data)
    check(curated("a.warc.gz", data))


@fuzzed
@given(st.lists(edits, max_size=6))
def test_edits_of_records_are_no_error(damage: Sequence[Edit]) -> None:
    data = b"".join(record(http(html(number), HTML), number) for number in range(PAGES))
    for edit in damage:
        data = edit.apply(data)
    check(curated("a.warc", data))


@fuzzed
@given(st.binary(max_size=3000))
def test_any_bytes_are_a_page(body: bytes) -> None:
    data = record(http(body, HTML), 0) + record(http(html(1), HTML), 1)
    found = curated("a.warc", data)
    assert len(found[".ledger"]) == 2 or b"WARC/" in body
    assert 1 in check(found)
