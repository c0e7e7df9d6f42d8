"""Free SQL over the store: what is readable, and what is refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.query import Catalog, QueryError
from gristmill.selects import tables_of_select
from gristmill.store import Store
from tests.make_store import documents, ledger, put, put_documents


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    rows = [(n, "dropped", "rules", "short", [("short", n, 5.0)]) for n in range(5)]
    put(
        store,
        "web/clean",
        {
            "": ("document", [documents(range(5, 15)), documents(range(15, 25))]),
            ".ledger": ("ledger", [ledger(rows)]),
        },
    )
    put_documents(store, "books", range(3))
    return store


def test_a_view_for_each_dataset_version_tag_and_side_output(store: Store) -> None:
    catalog = Catalog(store)
    clean = store["web/clean"]
    assert catalog.rows('select count(*) n from "web/clean"') == [{"n": 20}]
    assert catalog.rows("select count(*) n from books") == [{"n": 3}]
    assert catalog.rows(f'select count(*) n from "{clean.ref}"') == [{"n": 20}]
    assert catalog.rows('select count(*) n from "web/clean.ledger"') == [{"n": 5}]
    assert catalog.rows(f'select count(*) n from "{clean.ref}.ledger"') == [{"n": 5}]
    newer = put_documents(store, "web/clean", range(2), config={"v": 2})
    store.tag("web/clean", clean.version, "gold.v1")
    assert Catalog(store).rows('select count(*) n from "web/clean"') == [{"n": 2}]
    assert catalog.rows('select count(*) n from "web/clean@gold.v1"') == [{"n": 20}]
    assert catalog.rows('select count(*) n from "web/clean@gold.v1.ledger"') == [{"n": 5}]
    assert catalog.rows(f'select count(*) n from "{newer.ref}"') == [{"n": 2}]


def test_this_is_the_dataset_and_its_ledger(store: Store) -> None:
    clean = store["web/clean"]
    query = "select language, count(*) from this group by 1 order by 1"
    assert clean.sql(query).fetchall() == [("de", 10), ("en", 10)]
    assert clean.sql("select count(*) from \"this.ledger\" where state = 'dropped'").fetchall() == [
        (5,)
    ]
    with pytest.raises(QueryError, match=r"Dataset\.sql\(\) only"):
        store.sql("from this")


@pytest.mark.parametrize(
    "sql",
    [
        'from "web/clean"',
        'describe "web/clean"',
        'summarize "web/clean"',
        "values (1), (2)",
        'with x as (from books) select * from x join "web/clean" using (language) limit 3',
        "with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) from t",
        'explain select * from "web/clean"',
        'EXPLAIN  ANALYZE select count(*) from "web/clean"',
        'explain (format json) select count(*) from "web/clean"',
        "select 1 union select 2;",
        "/* why */ select 1 -- because",
        "(select 1)",
        "pivot books on language in ('en', 'de') using count(*)",
        "unpivot (select 1 as a, 2 as b) on a, b",
        'select * exclude (text) replace (upper(id) as id) from "web/clean" limit 1',
        "select unnest([x for x in [1, 2, 3] if x > 1])",
        'select id, row_number() over (order by id) r from "web/clean" qualify r < 3',
        'from "web/clean" using sample 3',
        "table books",
        "from range(3)",
    ],
)
def test_selects_of_every_form_run(store: Store, sql: str) -> None:
    assert Catalog(store).query(sql)[1]


def test_show_tables_lists_every_dataset(store: Store) -> None:
    names = {row["name"] for row in Catalog(store).rows("show tables")}
    assert names == {"web/clean", "web/clean.ledger", "books"}
    counted = Catalog(store).rows("select count(*) n from information_schema.tables")
    assert counted == [{"n": 3}]


def test_parameters_are_values_not_sql(store: Store) -> None:
    found = Catalog(store).rows("select count(*) n from books where url = $1", ["' or true --"])
    assert found == [{"n": 0}]


def _attacks(store: Path, outside: Path) -> list[str]:
    copy = f"copy (select 1 as a) to '{store}/evil.csv'"
    quoted = copy.replace("'", "''")
    return [
        copy,
        f"with a as ({copy}) select * from a",
        f"with a as materialized ({copy}) select * from a",
        f"select * from (with a as ({copy}) select * from a)",
        f"explain analyze {copy}",
        f"explain analyze with a as ({copy}) select * from a",
        f"explain (analyze) {copy}",
        f"from query('with a as ({quoted}) select * from a')",
        f"from query('{quoted}')",
        f"from json_execute_serialized_sql(json_serialize_sql('with a as ({quoted}) from a'))",
        f"pragma json_execute_serialized_sql('{{}}'); {copy}",
        f"select 1; {copy}",
        "create table t as select 1",
        "create view v as select 1",
        "insert into books values (1)",
        "with a as (insert into books values (1) returning *) select * from a",
        "with a as (delete from books returning *) select * from a",
        "delete from books",
        "update books set id = 'x'",
        f"attach '{store}/x.db'",
        f"export database '{store}/dump'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "reset allowed_directories",
        f"set allowed_directories = ['{outside}']",
        "pragma enable_profiling",
        "call enable_logging()",
        f"from enable_logging(storage = 'file', storage_path = '{store}/log')",
        "use memory",
        "checkpoint",
        "vacuum",
        "begin",
        "prepare p as select 1",
        "create secret s (type s3)",
        f"from '{outside}/secret.parquet'",
        f"from '{store}/../outside/secret.parquet'",
        f"from '{store}-evil/secret.parquet'",
        f"from '{store}/link/secret.parquet'",
        f"from read_text('{outside}/secret.txt')",
        f"from read_blob('{store}/../outside/*')",
        f"from read_csv('{outside}/secret.txt')",
        f"from glob('{outside}/*')",
        f"from parquet_metadata('{outside}/secret.parquet')",
        f"from sniff_csv('{outside}/secret.txt')",
        "from 'http://127.0.0.1:9/x.parquet'",
        "from 's3://bucket/x.parquet'",
        "from callers_variable",
        "select getenv('HOME')",
        "",
        ";",
    ]


def test_attacks_are_refused_and_leave_nothing(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    beside = tmp_path / "store-evil"
    for folder in (outside, beside):
        folder.mkdir()
        pq.write_table(pa.table({"secret": ["hush"]}), folder / "secret.parquet")
        (folder / "secret.txt").write_text("hush")
    (store.path / "link").symlink_to(outside)
    callers_variable = pa.table({"secret": ["hush"]})
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for sql in _attacks(store.path, outside):
        with pytest.raises(QueryError):
            pytest.fail(f"{sql!r} gave {Catalog(store).query(sql)}")
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before
    assert callers_variable.num_rows == 1


def test_the_guard_is_needed_a_locked_connection_still_writes(tmp_path: Path) -> None:
    """What DuckDB itself lets through; should it start to refuse, the guard may be simplified."""
    connection = duckdb.connect()
    connection.execute(f"set allowed_directories = ['{tmp_path}']")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")
    sql = f"with a as (copy (select 1 as a) to '{tmp_path}/evil.csv') select * from a"
    assert connection.extract_statements(sql)[0].type.name == "SELECT"
    connection.execute(sql)
    assert (tmp_path / "evil.csv").exists()
    with pytest.raises(QueryError, match="holds COPY"):
        tables_of_select(connection, sql)


def test_errors_name_the_fix(store: Store) -> None:
    catalog = Catalog(store)
    with pytest.raises(QueryError, match="did you mean 'web/clean'"):
        catalog.rows('from "web/claen"')
    with pytest.raises(QueryError, match='write "web/clean"'):
        catalog.rows("select count(*) from web/clean")
    with pytest.raises(QueryError, match=r"languag.*language"):
        catalog.rows('select languag from "web/clean"')
    with pytest.raises(Exception, match=r"version or tag 'gold' is not there"):
        catalog.rows('from "web/clean@gold"')
    with pytest.raises(QueryError, match=r"nothing outside it; `gristmill import`"):
        catalog.rows("from '/etc/hostname.parquet'")
    with pytest.raises(QueryError, match="one statement at a time, got 2"):
        catalog.rows("select 1; select 2")
    with pytest.raises(QueryError, match="PIVOT needs its values"):
        catalog.rows("pivot books on language using count(*)")
    with pytest.raises(QueryError, match="differ only in case"):
        put_documents(store, "Books", range(2))
        catalog.rows('from books, "Books"')


def test_a_store_below_odd_directories(tmp_path: Path) -> None:
    """`run=3` must not become a column, `[1]*` no glob, and a quote no end of a string."""
    store = Store(tmp_path / "run=3" / "it's [1]*" / "store")
    put_documents(store, "books", range(3))
    assert [row[0] for row in store.sql("describe books").fetchall()] == documents([]).schema.names
    assert store.sql("select count(*) from books").fetchall() == [(3,)]


def test_relations_outlive_their_catalog_and_stay_apart(store: Store) -> None:
    one = store["books"].sql("select count(*) from this")
    two = store["web/clean"].sql("select count(*) from this")
    assert (one.fetchall(), two.fetchall()) == ([(3,)], [(20,)])
    assert Catalog(store).arrow("select id from books").num_rows == 3


def test_a_half_read_result_stops_nothing(store: Store) -> None:
    catalog = Catalog(store)
    columns, half = catalog.stream('select id from "web/clean"')
    assert columns == ["id"] and next(half)
    assert catalog.rows('select count(*) n from "web/clean"') == [{"n": 20}]
    assert len(list(half)) == 19


def test_views_are_made_only_for_what_a_query_names(store: Store) -> None:
    (store["books"].files[0]).unlink()
    assert Catalog(store).rows('select count(*) n from "web/clean"') == [{"n": 20}]
    with pytest.raises(QueryError, match="verify books"):
        Catalog(store).rows("from books")
