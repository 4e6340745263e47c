"""How does a data set get into a service, as an ERP and a shop would send it?"""

import csv
import io
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import batched
from typing import NamedTuple

import msgspec

from pullplan.cli.client import Client, Json
from pullplan.cli.dataset import Dataset, Row, Table
from pullplan.cli.folder import as_text

BATCH_LINES = 5_000
"""Of signals, stock and supply; each batch is stored wholly or not at all, and known when it comes again."""
_CHUNK_LINES = 1_000
OnRows = Callable[[str, int], None]
"""Hears the table's name and how many more of its rows are stored."""


class Loaded(NamedTuple):
    """How many rows of a table the service has taken, and how many of them it had already."""

    n_rows: int
    n_known: int


class _Lines:
    """Which line of the file each sent line came from."""

    def __init__(self, table: Table, first_sent_line: int) -> None:
        self.table = table
        self.first_sent_line = first_sent_line
        self.lines = array("Q")

    def name(self, sent_line: int) -> str:
        index = sent_line - self.first_sent_line
        line = self.lines[index] if 0 <= index < len(self.lines) else 1
        return f"{self.table.origin} line {line}"


def _csv_chunks(table: Table, numbered: Iterator[tuple[int, Row]], lines: _Lines) -> Iterator[bytes]:
    yield (",".join(table.fields) + "\n").encode()
    for chunk in batched(numbered, _CHUNK_LINES, strict=False):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for line, row in chunk:
            lines.lines.append(line)
            writer.writerow(as_text(row))
        yield text.getvalue().encode()


def _json_line_chunks(table: Table, numbered: Iterator[tuple[int, Row]], lines: _Lines) -> Iterator[bytes]:
    encoder = msgspec.json.Encoder()
    for chunk in batched(numbered, _CHUNK_LINES, strict=False):
        lines.lines.extend(line for line, _ in chunk)
        yield encoder.encode_lines(
            [
                {field: cell for field, cell in zip(table.fields, row, strict=True) if cell is not None}
                for _, row in chunk
            ]
        )


def _send(client: Client, table: Table, numbered: Iterator[tuple[int, Row]]) -> Json:
    collection = table.collection
    if table.typed and collection.verb == "POST":
        lines = _Lines(table, first_sent_line=1)
        body, media_type = _json_line_chunks(table, numbered, lines), "application/x-ndjson"
    else:
        lines = _Lines(table, first_sent_line=2)
        body, media_type = _csv_chunks(table, numbered, lines), "text/csv"
    return client.send(collection.verb, collection.path, media_type, body, lines.name)


def load_table(client: Client, table: Table, on_rows: OnRows) -> Loaded:
    """Send one table.

    Raises: ServiceProblemError naming the file's lines that were refused.
    """
    n_rows = n_known = 0
    batches: Iterable[Iterable[tuple[int, Row]]] = (
        batched(table.rows(), BATCH_LINES, strict=False)
        if table.collection.verb == "POST"
        else (table.rows(),)
    )
    for batch in batches:
        counts = _send(client, table, iter(batch))
        n_batch = int(counts["stored"]) + int(counts["known"])
        n_rows += n_batch
        n_known += int(counts["known"])
        on_rows(table.collection.name, n_batch)
    return Loaded(n_rows, n_known)


def load(client: Client, dataset: Dataset, on_rows: OnRows) -> dict[str, Loaded]:
    """Send every table in load order; answer what became of each."""
    return {table.collection.name: load_table(client, table, on_rows) for table in dataset.tables}
