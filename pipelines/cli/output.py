"""What commands print: a table for people, JSON or CSV for programs, on stdout.

In: columns and rows. Out: text. Shown by: `gristmill ls --format json`.
Limit: a table shows at most 200 rows and shortens long texts; JSON and CSV hold everything.
"""

from __future__ import annotations

import base64
import csv
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import Any
from uuid import UUID

TABLE_ROWS = 200
CELL = 300  # characters of one cell of a table


class Format(StrEnum):
    """How to print."""

    table = "table"
    json = "json"
    csv = "csv"


def show(
    rows: Iterable[Mapping[str, Any]],
    format: Format,
    columns: Sequence[str] | None = None,
    title: str | None = None,
) -> None:
    """Print rows. `columns` orders and selects them; by default those of the first row."""
    listed = rows if columns is not None else list(rows)
    if columns is None:
        columns = list(dict.fromkeys(key for row in listed for key in row))
    names = list(columns)
    show_tuples(names, ([row.get(name) for name in names] for row in listed), format, title)


def show_tuples(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], format: Format, title: str | None = None
) -> None:
    """Print rows given as sequences, as they come where the format allows it."""
    if format is Format.json:
        _write_json(columns, rows)
    elif format is Format.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_csv_cell(value) for value in row] for row in rows)
    else:
        _write_table(columns, iter(rows), title)


def show_object(value: Mapping[str, Any], format: Format, title: str | None = None) -> None:
    """Print one object: its keys and values as a table, the object itself as JSON."""
    if format is Format.json:
        print(json.dumps(plain(value), ensure_ascii=False, indent=2))
    else:
        show_tuples(["key", "value"], list(value.items()), format, title)


def plain(value: Any) -> Any:
    """A value as JSON knows it: dates as ISO text, bytes as base64, NaN as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, timedelta | UUID):
        return str(value)
    return str(value)


def text(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}" if math.isfinite(value) else str(value)
    if not isinstance(value, str):
        value = plain(value)
        value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = value if len(value) <= CELL else f"{value[:CELL]}… ({len(value):,} characters)"
    return clean(shown)


def clean(value: str) -> str:
    """Without control characters: a page may hold a terminal's escape sequences."""
    return "".join(c if c in "\n\t" or c.isprintable() or ord(c) > 0x9F else "�" for c in value)


def _write_json(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    separator = "[\n"
    for row in rows:
        entry = dict(zip(columns, map(plain, row), strict=True))
        sys.stdout.write(separator + json.dumps(entry, ensure_ascii=False))
        separator = ",\n"
    sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")


def _csv_cell(value: Any) -> Any:
    value = plain(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = iter(rows)
    listed = list(islice(rows, TABLE_ROWS))
    more = next(rows, None) is not None
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for index, name in enumerate(columns):
        numbers = [row[index] for row in listed if row[index] is not None]
        right = bool(numbers) and all(
            isinstance(value, int | float | Decimal) and not isinstance(value, bool)
            for value in numbers
        )
        table.add_column(Text(clean(name)), justify="right" if right else "left", overflow="fold")
    for row in listed:
        table.add_row(*(Text(text(value)) for value in row))
    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console.width = 200  # a file or a pipe has no width of its own
    console.print(table)
    if more:
        console.print(f"Only the first {TABLE_ROWS} rows; --format csv or json gives them all.")
    elif not listed:
        console.print("(no rows)")
