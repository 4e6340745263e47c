"""Are folders of CSV files read as documented, and what is wrong in them named?"""

import gzip
from typing import Any

import pytest

from pullplan.cli.dataset import Dataset
from pullplan.cli.demo_data import make_demo_data
from pullplan.cli.folder import FolderInvalidError, as_text, read_folder, write_folder


def _rows(dataset: Dataset, name: str) -> list[dict[str, Any]]:
    (table,) = (table for table in dataset.tables if table.collection.name == name)
    return [dict(zip(table.fields, row, strict=True)) for _, row in table.rows()]


def test_a_data_set_written_as_a_folder_reads_the_same(tmp_path):
    made = make_demo_data(5, small=True)
    write_folder(made, tmp_path)
    read = read_folder(tmp_path, "x")
    assert read.notes == ()
    for ours, theirs in zip(
        (t for t in made.tables if t.n_rows), (t for t in read.tables if t.n_rows), strict=True
    ):
        assert ours.collection == theirs.collection
        assert ours.n_rows == theirs.n_rows
        assert [as_text(row) for _, row in ours.rows()] == [list(row) for _, row in theirs.rows()]


def test_the_iowa_folder_is_understood_as_it_is(shared):
    dataset = read_folder(shared / "data" / "iowa_spirits", "iowa")
    sizes = {table.collection.name: table.n_rows for table in dataset.tables}
    assert sizes == {
        "products": 7,
        "regions": 25,
        "nodes": 24,
        "capacity": 24,
        "capabilities": 70,
        "demand_signals": 39_835,
    }
    capacity = {row["node_code"]: row["capacity_per_day"] for row in _rows(dataset, "capacity")}
    assert capacity["MRD"] == pytest.approx(2610 / 7)
    assert _rows(dataset, "capabilities")[0]["use_per_unit"] == "capacity=1"
    assert _rows(dataset, "demand_signals")[0] == {
        "source": "iowa",
        "external_id": "2019-01-07:IA-500:SPECIAL",
        "kind": "consumption",
        "product_code": "SPECIAL",
        "region_code": "IA-500",
        "units": "2",
        "occurred_at": "2019-01-07T12:00:00Z",
        "reason": None,
    }
    assert any("order_lines" in note for note in dataset.notes)


def test_what_goes_below_zero_is_a_return(tmp_path):
    (tmp_path / "demand_signals.csv").write_text("date,region,product,units\n2026-01-05,R,P,-2\n")
    (row,) = _rows(read_folder(tmp_path, "till"), "demand_signals")
    assert (row["units"], row["reason"], row["source"]) == ("-2", "return", "till")


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    (tmp_path / "products.csv").write_text('code,name\nA,"two\nlines"\n\nB,b\n')
    (table,) = read_folder(tmp_path, "x").tables
    assert [(line, row[0]) for line, row in table.rows()] == [(2, "A"), (5, "B")]


def test_a_column_of_a_fields_own_name_beats_its_other_names(tmp_path):
    (tmp_path / "products.csv").write_text("code,product_code\nold,new\n")
    dataset = read_folder(tmp_path, "x")
    assert _rows(dataset, "products") == [{"product_code": "new"}]
    assert dataset.notes == ("products.csv: no field is called code: not read",)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("products.csv", b"", "products.csv is empty"),
        ("products.csv", b"code\n\xff\n", "products.csv can't be read as CSV in UTF-8"),
        ("products.csv.gz", b"code\nA\n", "products.csv.gz can't be read"),
        ("products.csv", b"code,product\nA,B\n", "more than one column for product_code"),
        ("products.csv", b"code,name\nA,a\nB\n", "products.csv line 3: 1 cells, the header has 2"),
        (
            "nodes.csv",
            b"code,capacity_per_week\nN,many\n",
            "nodes.csv line 2: 'many' is no capacity per week",
        ),
        ("other.csv", b"code\nA\n", "has none of the files products.csv"),
    ],
)
def test_what_is_wrong_in_a_folder_is_named_by_file_and_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FolderInvalidError, match=words):
        [list(table.rows()) for table in read_folder(tmp_path, "x").tables]


def test_a_table_may_not_be_there_twice(tmp_path):
    (tmp_path / "products.csv").write_text("code\nA\n")
    (tmp_path / "products.csv.gz").write_bytes(gzip.compress(b"code\nA\n"))
    with pytest.raises(FolderInvalidError, match="are the same table"):
        read_folder(tmp_path, "x")
