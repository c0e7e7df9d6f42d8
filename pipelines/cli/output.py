"""What commands print: a table for people, JSON or CSV for programs, on stdout.

In: columns and rows. Out: text; rows too wide for a table as blocks, where a command asks for it.
Shown by: `gristmill ls --format json`.
Limit: a table shows at most 200 rows and shortens long texts; JSON and CSV hold everything.
"""

from __future__ import annotations

import base64
import csv
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from rich.console import Console

TABLE_ROWS = 200
CELL = 300  # characters of one cell of a table
COLUMN = 12  # characters: a column that wants more is still readable when it gets as many


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
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    format: Format,
    title: str | None = None,
    blocks: bool = False,
) -> None:
    """Print rows given as sequences, as they come where the format allows it.

    blocks: where a table would be too wide to read, print each row as a block of lines.
    """
    if format is Format.json:
        _write_json(columns, rows)
    elif format is Format.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_csv_cell(value) for value in row] for row in rows)
    else:
        _write_table(columns, iter(rows), title, blocks)


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


def _write_table(
    columns: Sequence[str], rows: Iterator[Sequence[Any]], title: str | None, blocks: bool
) -> None:
    from rich.console import Console

    listed = list(islice(rows, TABLE_ROWS))
    more = next(rows, None) is not None
    console = Console(soft_wrap=False, highlight=False)
    if not console.is_terminal:
        console.width = 200  # a file or a pipe has no width of its own
    apart = blocks and bool(listed) and _least_width(columns, listed) > console.width
    if apart:
        _print_blocks(console, columns, listed)
    else:
        _print_table(console, columns, listed, title)
    if more:
        console.print(f"Only the first {TABLE_ROWS} rows; --format csv or json gives them all.")
    elif not listed:
        console.print("(no rows)")
    if apart:
        console.print(f"Too wide for a table of {console.width} characters; also: --format json.")


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    """Characters that a readable table of these rows takes."""
    from rich.cells import cell_len

    wanted = [cell_len(clean(name)) for name in columns]
    for row in rows:
        for index, value in enumerate(row):
            if wanted[index] < COLUMN:
                wanted[index] = max(wanted[index], cell_len(text(value)))
    return sum(min(width, COLUMN) for width in wanted) + 3 * len(columns)


def _print_blocks(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A row is a block; a column, a line of it (more where its value is long)."""
    from rich.table import Table
    from rich.text import Text

    names = [clean(name) for name in columns]
    for number, row in enumerate(rows, 1):
        console.print(Text(f"row {number}", style="bold"))
        block = Table.grid(padding=(0, 2))
        block.add_column(no_wrap=True, min_width=max(map(len, names)) + 2)
        block.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            block.add_row(Text(f"  {name}"), Text(text(value)))
        console.print(block)
        console.print()


def _print_table(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for index, name in enumerate(columns):
        numbers = [row[index] for row in rows if row[index] is not None]
        right = bool(numbers) and all(
            isinstance(value, int | float | Decimal) and not isinstance(value, bool)
            for value in numbers
        )
        table.add_column(Text(clean(name)), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(text(value)) for value in row))
    console.print(table)
