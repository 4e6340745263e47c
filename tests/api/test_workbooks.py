"""Spreadsheets: what a workbook's sheet says is taken as a CSV's lines are, and what is exported stays what it was."""

import io
import zipfile
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

import httpx
import pytest
from python_calamine import CalamineWorkbook
from xlsxwriter import Workbook

from pullplan.api import workbooks
from pullplan.api.worksheets import XLSX, XLSX_BYTES_MAX

pytestmark = pytest.mark.anyio

BATCH = "/v1/demand-signals/batch"
SHEET = {"Content-Type": XLSX}
HEADER = (
    "source",
    "external_id",
    "kind",
    "product_code",
    "region_code",
    "units",
    "due_date",
    "occurred_at",
    "priority",
)
PLACED = "2026-03-01T12:00:00+01:00"


@pytest.fixture
async def network(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Load two products and a region."""
    await client.put("/v1/products", json=[{"product_code": code} for code in ("GIN", "007")])
    await client.put("/v1/regions", json=[{"region_code": "EAST"}])
    return client


def workbook(*sheets: Sequence[Sequence[Any]]) -> bytes:
    """Write sheets as a spreadsheet does: days as days, numbers as numbers."""
    file = io.BytesIO()
    book = Workbook(file)
    day = book.add_format({"num_format": "dd.mm.yyyy"})
    for rows in sheets:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if isinstance(cell, date):
                    sheet.write_datetime(number, column, cell, day)
                elif isinstance(cell, str) and cell.startswith("="):
                    sheet.write_formula(number, column, cell, None, 12)
                elif isinstance(cell, str):
                    sheet.write_string(number, column, cell)
                elif cell is not None:
                    sheet.write(number, column, cell)
    book.close()
    return file.getvalue()


def order(number: int, *, units: Any = 4, due: Any = date(2026, 3, 9), code: str = "GIN") -> list[Any]:
    return ["erp", f"o-{number}", "order", code, "EAST", units, due, PLACED, 2]


async def test_a_sheet_is_taken_as_lines_of_csv_are(network: httpx.AsyncClient):
    rows = [HEADER, order(1, units=4.5), [], order(2, code="007", units="=4*3"), order(3, due="2026-03-10")]
    answer = await network.post(BATCH, content=workbook(rows, []), headers=SHEET)
    assert (answer.status_code, answer.json()["stored"]) == (200, 3), answer.text
    stored = (await network.get("/v1/demand-signals")).json()["items"]
    assert [(s["product_code"], s["units"], s["due_date"], s["priority"]) for s in stored] == [
        ("GIN", 4.5, "2026-03-09", 2),
        ("007", 12.0, "2026-03-09", 2),
        ("GIN", 4.0, "2026-03-10", 2),
    ]
    assert stored[0]["occurred_at"] == "2026-03-01T11:00:00Z"
    again = await network.post(BATCH, content=workbook(rows), headers=SHEET)
    assert again.json()["known"] == 3


async def test_a_bad_cell_is_named_by_its_row_and_field_and_nothing_is_stored(network: httpx.AsyncClient):
    rows = [
        [],
        HEADER,
        order(1),
        [],
        order(2, units="many"),
        order(3)[:4],
        [*order(4), "more"],
        order(5, code="RUM"),
    ]
    answer = await network.post(BATCH, content=workbook(rows), headers=SHEET)
    assert answer.status_code == 422
    assert [(e["line"], e.get("field"), e["code"]) for e in answer.json()["errors"]] == [
        (5, "units", "invalid"),
        (6, "region_code", "missing-field"),
        (7, None, "malformed-line"),
        (8, "product_code", "unknown-code"),
    ]
    assert (await network.get("/v1/demand-signals")).json()["items"] == []
    partly = await network.post(f"{BATCH}?partial=true", content=workbook(rows), headers=SHEET)
    assert (partly.json()["stored"], partly.json()["refused"]) == (1, 4)


async def test_master_data_comes_in_as_a_sheet_too(network: httpx.AsyncClient):
    rows = [("product_code", "weight_kg", "shelf_life_days"), ("RUM", 1.5, 30), (8, 2, None)]
    answer = await network.put("/v1/products", content=workbook(rows), headers=SHEET)
    assert answer.json()["stored"] == 2, answer.text
    assert (await network.get("/v1/products/RUM")).json()["shelf_life_days"] == 30
    assert (await network.get("/v1/products/8")).json()["weight_kg"] == 2.0


def vast() -> bytes:
    """Pack a sheet of two cells, as far apart as a sheet is large: laid out, it takes half a terabyte."""
    file = io.BytesIO(workbook([("a",)]))
    with zipfile.ZipFile(file) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    parts["xl/worksheets/sheet1.xml"] = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
        b"</sheetData></worksheet>"
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as book:
        for name, part in parts.items():
            book.writestr(name, part)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"product_code\nRUM\n", 400, "no XLSX workbook"),
        (workbook([HEADER])[:200], 400, "no XLSX workbook"),
        (workbook([]), 400, "no sheet of the workbook has a filled cell"),
        (workbook([[" "]]), 422, "line 1 must be a header"),
        (workbook([["\n"], [" "]]), 422, "line 1 must be a header"),
        (workbook([[""]]), 400, "no sheet of the workbook has a filled cell"),
        (workbook([HEADER], [HEADER]), 400, "this one has 'Sheet1', 'Sheet2'"),
        (workbook([[], ["source", "units", "amount"]]), 422, "line 2 must be a header"),
        (workbook([HEADER, [*order(1)[:7], date(2026, 3, 1)]]), 422, "write an instant as RFC 3339 with an offset"),
        (vast(), 413, "takes more than 1024 MB"),
        (b"PK" + b"0" * XLSX_BYTES_MAX, 413, "a workbook may have 52428800 bytes"),
    ],
    ids=["text", "torn", "empty", "blank", "blanks", "nothing", "two", "header", "instant", "vast", "large"],
)  # fmt: skip
async def test_what_is_no_such_sheet_is_refused_in_words(
    network: httpx.AsyncClient, body: bytes, status: int, words: str
):
    answer = await network.post(BATCH, content=body, headers=SHEET)
    assert answer.status_code == status, answer.text
    assert words in str(answer.json())
    assert (await network.get("/v1/demand-signals")).json()["items"] == []


async def exported(header: Sequence[str], *chunks: Sequence[Sequence[Any]]) -> list[list[list[Any]]]:
    async def given() -> AsyncIterator[Sequence[Sequence[Any]]]:
        for chunk in chunks:
            yield chunk

    body = b"".join([piece async for piece in workbooks.written(header, given())])
    book = CalamineWorkbook.from_filelike(io.BytesIO(body))
    return [book.get_sheet_by_name(name).to_python() for name in book.sheet_names]


async def test_no_text_becomes_a_formula_a_link_or_a_number():
    texts = ["=1+1", "+1", "-1", "@A1", "https://example.com", "007", "1e5", "a\nb", "true"]
    ((header, row),) = await exported(texts, [texts])
    assert header == row == texts


async def test_cells_keep_their_kind_and_long_texts_are_cut_where_a_cell_ends():
    row = [1.5, True, date(2026, 3, 1), date(1815, 6, 18), None, "x" * 40_000]
    ((_, shown),) = await exported("abcdef", [row])
    assert shown[:5] == [1.5, True, date(2026, 3, 1), "1815-06-18", ""]
    assert shown[5] == "x" * 32_766 + "…"


async def test_more_rows_than_a_sheet_holds_go_to_further_ones(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workbooks, "ROWS_MAX", 3)
    sheets = await exported(["n"], [[1], [2]], [[3], [4]], [[5], [6], [7]])
    assert sheets == [[["n"], [1], [2], [3]], [["n"], [4], [5], [6]], [["n"], [7]]]
