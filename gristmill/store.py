"""The store: versioned Parquet without a server, readable by any Parquet reader.

In: shards that tasks wrote. Out: immutable versions, the build record that commits them, refs.
Shown by: `gristmill ls`. Limit: commits need a local (or POSIX network) file system.

    STORE/<name>/<version>/00000.parquet …      version = 12 hex digits of the logical rows
    STORE/<name>/<version>/.manifest.json       what the data is
    STORE/<name>/builds/<fingerprint>.json      created exclusively: this is the commit
    STORE/<name>/refs/latest                    one line; tags likewise
    STORE/.staging/<fingerprint>/               where a run works, and a killed run continues
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.errors import StoreError, nearest

if TYPE_CHECKING:  # 0.3 s to import, and most commands read manifests only
    import duckdb
    import pyarrow as pa

RESERVED = {"refs", "builds"}
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_VERSION = re.compile(r"[0-9a-f]{12}")


def check_name(name: str) -> str:
    """A dataset's name (`web/clean`: segments of letters, digits, `_ . -`), or StoreError."""
    segments = name.split("/") if isinstance(name, str) else []
    for segment in segments or [""]:
        if not _SEGMENT.fullmatch(segment) or ".." in segment:
            raise StoreError(
                f"dataset name {name!r}: {segment!r} is not a name; use letters, digits, '_', '.' "
                "and '-', starting with a letter or digit, e.g. 'web/clean'"
            )
        if segment in RESERVED or _VERSION.fullmatch(segment):
            raise StoreError(
                f"dataset name {name!r}: {segment!r} is reserved (refs, builds and 12 hex digits "
                "name parts of the store); choose another"
            )
    return name


@dataclass(frozen=True)
class Dataset:
    """One version of one dataset. Opening it reads its manifest and no row."""

    store: Store
    name: str
    version: str

    def __repr__(self) -> str:
        return f"<Dataset {self.ref}: {self.rows:,} rows, {len(self.files)} shards>"

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def path(self) -> Path:
        """The version's directory: give it to pandas, DuckDB or `datasets` as it is."""
        return self.store.path / self.name / self.version

    @cached_property
    def manifest(self) -> dict[str, Any]:
        try:
            loaded: dict[str, Any] = json.loads((self.path / ".manifest.json").read_text())
        except FileNotFoundError:
            raise StoreError(
                f"{self.ref} has no manifest in {self.path}; is it complete? "
                "`gristmill ls` lists what the store holds"
            ) from None
        return loaded

    @property
    def rows(self) -> int:
        return int(self.manifest["totals"]["rows"])

    @property
    def files(self) -> list[Path]:
        """Shards in order."""
        return [self.path / shard["file"] for shard in self.manifest["shards"]]

    @property
    def is_folder(self) -> bool:
        """Whether the version is files without rows: a model."""
        return not self.manifest["schema"]

    def must_have_rows(self) -> Dataset:
        """Itself; StoreError for a model, which neither SQL nor a scan can read."""
        if self.is_folder:
            raise StoreError(
                f"{self.ref} is a {self.manifest['kind']}, which has no rows: its files are in "
                f"{self.path}; what training said of it is in {self.name}.log"
            )
        return self

    @property
    def schema(self) -> pa.Schema:
        import pyarrow.parquet as pq

        return pq.read_schema(self.must_have_rows().files[0])

    def scan(
        self, columns: Sequence[str] | None = None, rows: int = 8192
    ) -> Iterator[pa.RecordBatch]:
        """Batches in order, at most `rows` rows each; memory is one row group."""
        import pyarrow.parquet as pq

        for file in self.must_have_rows().files:
            with pq.ParquetFile(file) as parquet:
                for group in range(parquet.num_row_groups):  # a batch would join several
                    yield from parquet.iter_batches(rows, [group], columns=columns)

    def to_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows in memory."""
        import pyarrow.dataset as pads

        files = [str(file) for file in self.must_have_rows().files]
        return pads.dataset(files).to_table(columns=columns)

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """DuckDB over the store, with this version as the view `this`."""
        from gristmill.query import Catalog

        return Catalog(self.store, this=self).relation(query)

    def build(self) -> dict[str, Any]:
        """The newest build record that made this version (its own, or its step's main output's)."""
        found = self.store.builds_of(self)
        if not found:
            raise StoreError(f"{self.ref} has no build record; `gristmill verify` tells more")
        return found[-1]

    def output(self, suffix: str) -> Dataset:
        """Another output of the step that made this version: `.ledger`, `.report`, …"""
        outputs = self.build()["outputs"]
        main = self.build()["name"]
        if main + suffix not in outputs:
            raise StoreError(
                f"{self.ref} has no output {suffix!r}{nearest(main + suffix, outputs)}"
            )
        return Dataset(self.store, main + suffix, outputs[main + suffix])

    @property
    def ledger(self) -> Dataset:
        """What became of every input row of the step that made this version."""
        return self.output(".ledger")


@dataclass(frozen=True)
class Store:
    """A directory of datasets: `Store("store")["web/clean"].sql("select count(*) from this")`."""

    path: Path

    def __init__(self, path: str | os.PathLike[str] = "store") -> None:
        text = os.fspath(path)
        if "://" in text and not text.startswith("file://"):
            raise StoreError(
                f"--store {text!r}: commits need a file system with atomic renames; "
                "use a local or network-mounted path (inputs may lie at any URL)"
            )
        if re.match(r"^[a-z0-9]+//", text):
            fixed = text.replace("//", "://", 1)
            raise StoreError(f"--store {text!r} is not a path or URL; did you mean {fixed!r}?")
        object.__setattr__(self, "path", Path(text.removeprefix("file://")).expanduser().resolve())

    @property
    def staging(self) -> Path:
        return self.path / ".staging"

    def __getitem__(self, ref: str) -> Dataset:
        """`name` (latest), `name@version` (a prefix of 4 or more digits will do) or `name@tag`."""
        name, _, wanted = ref.partition("@")
        check_name(name)
        folder = self.path / name
        versions = self.versions(name)
        if not versions:
            known = self.names()
            raise StoreError(f"no dataset {name!r} in {self.path}{nearest(name, known)}")
        ref_file = folder / "refs" / (wanted or "latest")
        if _SEGMENT.fullmatch(wanted or "latest") and ref_file.is_file():
            wanted = ref_file.read_text().strip()
        matches = [
            version for version in versions if len(wanted) >= 4 and version.startswith(wanted)
        ]
        if not wanted:
            raise StoreError(
                f"{name!r} has no latest version: the run that was making it did not finish; "
                f"run it again, or name one of its versions: {', '.join(versions)}"
            )
        if len(matches) != 1:
            why = "is ambiguous" if matches else "is not there"
            known = [*versions, *self.refs(name)]
            raise StoreError(f"{ref!r}: version or tag {wanted!r} {why}{nearest(wanted, known)}")
        return Dataset(self, name, matches[0])

    def __contains__(self, ref: str) -> bool:
        try:
            self[ref]
        except StoreError:
            return False
        return True

    def names(self) -> list[str]:
        """Every dataset with a version, side outputs (`web/clean.ledger`) too, sorted."""
        found = set()
        for folder, children, _ in os.walk(self.path):
            versions = [child for child in children if _VERSION.fullmatch(child)]
            if versions and folder != str(self.path):
                found.add(Path(folder).relative_to(self.path).as_posix())
            children[:] = [
                child
                for child in children
                if not child.startswith(".")
                and child not in RESERVED
                and not _VERSION.fullmatch(child)
            ]
        return sorted(found)

    def versions(self, name: str) -> list[str]:
        """Versions of a dataset, oldest first."""
        folder = self.path / check_name(name)
        if not folder.is_dir():
            return []
        found = [child for child in folder.iterdir() if _VERSION.fullmatch(child.name)]
        return [child.name for child in sorted(found, key=lambda c: (c.stat().st_mtime_ns, c.name))]

    def refs(self, name: str) -> dict[str, str]:
        """Tag -> version, `latest` among them."""
        folder = self.path / check_name(name) / "refs"
        if not folder.is_dir():
            return {}
        return {
            file.name: file.read_text().strip()
            for file in sorted(folder.iterdir())
            if not file.name.startswith(".")
        }

    def build(self, name: str, fingerprint: str) -> dict[str, Any] | None:
        """The commit of `fingerprint`, or None where it has not been built."""
        path = self.path / check_name(name) / "builds" / f"{fingerprint[:12]}.json"
        try:
            record: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        return record

    def builds(self, name: str) -> list[dict[str, Any]]:
        """All build records of a dataset, oldest first."""
        folder = self.path / check_name(name) / "builds"
        if not folder.is_dir():
            return []
        records = [json.loads(file.read_text()) for file in folder.glob("[0-9a-f]*.json")]
        return sorted(records, key=lambda r: (r["created_at"], r["fingerprint"]))

    def builds_of(self, dataset: Dataset) -> list[dict[str, Any]]:
        """Build records that made this version, oldest first."""
        return self.makers(dataset.name).get(dataset.version, [])

    def makers(self, name: str) -> dict[str, list[dict[str, Any]]]:
        """Version -> build records that made it; a side output's lie with its main output."""
        owners = [name]
        folder, _, last = name.rpartition("/")
        while "." in last:
            last = last.rpartition(".")[0]
            owners.append(f"{folder}/{last}".lstrip("/"))
        made: dict[str, list[dict[str, Any]]] = {}
        for owner in owners:
            for record in self.builds(owner):
                if name in record["outputs"]:
                    made.setdefault(record["outputs"][name], []).append(record)
        return made

    def tag(self, name: str, version: str, tag: str) -> None:
        """Name a version; tags keep it from `gc`."""
        if not _SEGMENT.fullmatch(tag) or _VERSION.fullmatch(tag):
            raise StoreError(
                f"tag {tag!r}: use letters, digits, '_', '.' and '-', not 12 hex digits"
            )
        dataset = self[f"{name}@{version}"]
        write_ref(self.path / name / "refs" / tag, dataset.version)

    def untag(self, name: str, tag: str) -> None:
        """Forget a tag; the version stays until `gc` finds that nothing else needs it."""
        if tag not in self.refs(name) or tag == "latest":
            raise StoreError(
                f"{name!r} has no tag {tag!r} that could go{nearest(tag, self.refs(name))}"
            )
        (self.path / name / "refs" / tag).unlink()

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """DuckDB over every dataset: a view for each name and `name@version`."""
        from gristmill.query import Catalog

        return Catalog(self).relation(query)


def write_ref(path: Path, version: str) -> None:
    """Swap a ref atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}-{os.getpid()}"
    temporary.write_text(version + "\n")
    os.replace(temporary, path)
