"""How is a folder of CSV files read as a network with its demand, and written as one?"""

import csv
import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from pullplan.cli.dataset import COLLECTION_BY_NAME, COLLECTIONS, Cell, Dataset, Row, Table
from pullplan.engine.errors import PullplanError

DEFAULT_SOURCE = "import"
WHOLE_CAPACITY = "capacity"
"""The one resource of a node whose file says no more than a capacity per week."""

_OTHER_STEMS = {"signals_daily": "demand_signals", "signals": "demand_signals"}
_OTHER_NAMES = {
    "product": "product_code",
    "region": "region_code",
    "node": "node_code",
    "lat": "latitude",
    "lon": "longitude",
    "lng": "longitude",
    "quantity": "units",
}
_CODE_OF = {"products": "product_code", "regions": "region_code", "nodes": "node_code"}
_DATE = "date"
_PER_WEEK = "capacity_per_week"
_Record = dict[str, str]


class FolderInvalidError(PullplanError):
    """A folder can't be read as a data set."""

    code = "folder-invalid"


class _File(NamedTuple):
    """A CSV file of one collection, its header already read."""

    name: str
    path: Path
    columns: tuple[str, ...]
    """Of the file, renamed to the collection's fields where they have another name for one."""
    n_rows: int

    def records(self) -> Iterator[tuple[int, _Record]]:
        """Yield each row with the line on which it starts; the header is line 1."""
        with _open_text(self.path) as text:
            reader = csv.reader(text)
            next(reader, None)
            line = reader.line_num + 1
            for cells in reader:
                if cells and len(cells) != len(self.columns):
                    raise FolderInvalidError(
                        f"{self.path.name} line {line}: {len(cells)} cells, the header has {len(self.columns)}"
                    )
                if cells:
                    yield line, dict(zip(self.columns, cells, strict=True))
                line = reader.line_num + 1


def _open_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _create_text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        packed = gzip.GzipFile(path, "wb", compresslevel=4, mtime=0)
        return io.TextIOWrapper(packed, encoding="utf-8", newline="")
    return path.open("w", encoding="utf-8", newline="")


def _field_of(column: str, name: str, columns: list[str]) -> str:
    """Rename a column to the field that it means, unless the field has a column of its own."""
    if column in COLLECTION_BY_NAME[name].fields:
        return column
    field = _CODE_OF.get(name) if column == "code" else _OTHER_NAMES.get(column)
    if name == "nodes" and (column == _PER_WEEK or column.startswith("weekly_capacity")):
        field = _PER_WEEK
    return column if field is None or field in columns else field


def _open_file(name: str, path: Path) -> _File:
    try:
        with _open_text(path) as text:
            reader = csv.reader(text)
            header = [cell.strip() for cell in next(reader, [])]
            n_rows = sum(1 for cells in reader if cells)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise FolderInvalidError(f"{path.name} can't be read as CSV in UTF-8: {error}") from None
    if not header:
        raise FolderInvalidError(f"{path.name} is empty; its first line must name the columns")
    columns = [_field_of(column, name, header) for column in header]
    doubled = sorted({column for column in columns if columns.count(column) > 1})
    if doubled:
        raise FolderInvalidError(f"{path.name} has more than one column for {', '.join(doubled)}")
    return _File(name, path, tuple(columns), n_rows)


def _find_files(folder: Path) -> tuple[dict[str, _File], list[str]]:
    """Open each collection's file; also say what was not read."""
    files: dict[str, _File] = {}
    notes: list[str] = []
    for path in sorted(folder.glob("*.csv")) + sorted(folder.glob("*.csv.gz")):
        stem = path.name.removesuffix(".gz").removesuffix(".csv")
        name = _OTHER_STEMS.get(stem, stem)
        if name not in COLLECTION_BY_NAME:
            notes.append(f"{path.name} is not part of the format: not read")
        elif name in files:
            raise FolderInvalidError(f"{files[name].path.name} and {path.name} are the same table; keep one")
        else:
            files[name] = _open_file(name, path)
    return files, notes


def _table(
    file: _File, name: str, added: dict[str, Callable[[_Record], Cell]], n_rows: int | None = None
) -> Table:
    """Make a table of the columns that are fields, and of fields that are computed from a record."""
    collection = COLLECTION_BY_NAME[name]
    kept = tuple(column for column in file.columns if column in collection.fields and column not in added)

    def rows() -> Iterator[tuple[int, Row]]:
        for line, record in file.records():
            try:
                computed = [compute(record) for compute in added.values()]
            except ValueError as error:
                raise FolderInvalidError(f"{file.path.name} line {line}: {error}") from None
            yield line, (*(record[column] for column in kept), *computed)

    return Table(collection, file.path.name, (*kept, *added), file.n_rows if n_rows is None else n_rows, rows)


def _signal_fields(columns: tuple[str, ...], source: str) -> dict[str, Callable[[_Record], Cell]]:
    """Complete signals that say only date, region, product and units: daily consumption, returns negative."""
    added: dict[str, Callable[[_Record], Cell]] = {}
    if "source" not in columns:
        added["source"] = lambda _: source
    if "kind" not in columns:
        added["kind"] = lambda _: "consumption"
        if "reason" not in columns:
            added["reason"] = lambda record: "return" if record.get("units", "").startswith("-") else None
    if _DATE in columns and "occurred_at" not in columns:
        added["occurred_at"] = lambda record: f"{record[_DATE]}T12:00:00Z"
        if "external_id" not in columns:
            added["external_id"] = lambda record: ":".join(
                (record[_DATE], record.get("region_code", ""), record.get("product_code", ""))
            )
    return added


def _capacity_fields() -> dict[str, Callable[[_Record], Cell]]:
    def per_day(record: _Record) -> float:
        try:
            return float(record[_PER_WEEK]) / 7
        except ValueError:
            raise ValueError(f"{record[_PER_WEEK]!r} is no capacity per week") from None

    return {"resource_code": lambda _: WHOLE_CAPACITY, "capacity_per_day": per_day}


def read_folder(folder: Path, source: str = DEFAULT_SOURCE) -> Dataset:
    """Read a folder in the documented format; `source` names signals that don't name theirs.

    Raises: FolderInvalidError naming the file, and the line where it is one's.
    """
    files, notes = _find_files(folder)
    if not files:
        raise FolderInvalidError(
            f"{folder} has none of the files {', '.join(f'{name}.csv' for name in COLLECTION_BY_NAME)}"
        )
    short_capacity = "nodes" in files and _PER_WEEK in files["nodes"].columns and "capacity" not in files
    tables: list[Table] = []
    for collection in COLLECTIONS:
        name = collection.name
        if name == "capacity" and short_capacity:
            tables.append(_table(files["nodes"], name, _capacity_fields()))
        if name not in files:
            continue
        file = files[name]
        added: dict[str, Callable[[_Record], Cell]] = {}
        if name == "demand_signals":
            added = _signal_fields(file.columns, source)
        elif name == "capabilities" and short_capacity and "use_per_unit" not in file.columns:
            added = {"use_per_unit": lambda _: f"{WHOLE_CAPACITY}=1"}
        tables.append(_table(file, name, added))
        used = {*collection.fields, *((_DATE,) if "occurred_at" in added else ())}
        used |= {_PER_WEEK} if name == "nodes" and short_capacity else set()
        unused = [column for column in file.columns if column not in used]
        if unused:
            notes.append(f"{file.path.name}: no field is called {', '.join(unused)}: not read")
    return Dataset(tuple(tables), tuple(notes))


def write_folder(dataset: Dataset, folder: Path) -> None:
    """Write a data set as a folder that `read_folder` reads; signals are compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in dataset.tables:
        name = table.collection.name
        path = folder / (f"{name}.csv.gz" if name == "demand_signals" else f"{name}.csv")
        with _create_text(path) as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(table.fields)
            writer.writerows(as_text(row) for _, row in table.rows())


def as_text(row: Row) -> list[str]:
    """Write cells as the service's CSV reads them."""
    return [
        "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in row
    ]
