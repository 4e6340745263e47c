"""Do the connectors of openapi/examples do what they promise, against a whole service, through faults?"""

import asyncio
import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from python_calamine import CalamineWorkbook
from tests.faults.processes import api_process, wait_until
from xlsxwriter import Workbook

from pullplan.api.examples import BODIES, as_lines
from pullplan.cli.service import Service
from pullplan.storage import database, idempotency

type Run = Callable[..., subprocess.CompletedProcess[str]]

FIELDS = (
    "source",
    "external_id",
    "kind",
    "product_code",
    "region_code",
    "units",
    "occurred_at",
    "due_date",
)


def order(source: str, number: int, **more: Any) -> dict[str, Any]:
    return {
        "source": source,
        "external_id": f"{source}-{number}",
        "kind": "order",
        "product_code": "RYE",
        "region_code": "BIBERACH",
        "units": 10 + number,
        "occurred_at": datetime.now(UTC).isoformat(),
        "due_date": str(date.today() + timedelta(days=7)),  # noqa: DTZ011 - a week has room for either zone's day
    } | more


@pytest.fixture
def command(service: Service, repository: Path) -> Callable[[str], tuple[list[str], dict[str, str]]]:
    """Word a connector's command and its environment."""

    def worded(script: str) -> tuple[list[str], dict[str, str]]:
        environment = {**os.environ, "PULLPLAN_URL": service.url, "PULLPLAN_KEY": service.key}
        return [sys.executable, str(repository / "openapi" / "examples" / script)], environment

    return worded


@pytest.fixture
def run(command: Callable[[str], tuple[list[str], dict[str, str]]]) -> Run:
    def ran(script: str, *arguments: Path, given: str = "") -> subprocess.CompletedProcess[str]:
        words, environment = command(script)
        return subprocess.run(
            [*words, *map(str, arguments)],
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return ran


def stored(http: httpx.Client, source: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = http.get("/v1/demand-signals", params={"source": source}).json()["items"]
    return items


# --- nightly ERP sync -----------------------------------------------------------------------------------------


def export(folder: Path) -> None:
    """Write what an ERP writes every night."""
    for collection in ("products", "regions", "nodes", "capacity", "capabilities"):
        rows: Any = BODIES[f"load{collection.title()}"]
        (folder / f"{collection}.csv").write_text(as_lines(rows)["text/csv"])
    orders = [order("erp", number) for number in range(1, 6)]
    (folder / "orders.csv").write_text(as_lines(orders)["text/csv"])


def test_the_nightly_sync_stores_once_plans_once_and_leaves_assignments(
    run: Run, http: httpx.Client, tmp_path: Path
):
    export(tmp_path)
    target = tmp_path / "assignments.csv"
    first = run("nightly_sync.py", tmp_path, target)
    assert first.returncode == 0, first.stderr
    assert "orders.csv: 5 stored, 0 known already" in first.stdout
    lines = list(csv.DictReader(target.read_text().splitlines()))
    assert {(line["node_code"], line["product_code"]) for line in lines} == {("OVEN-ULM", "RYE")}
    assert sum(float(line["units"]) for line in lines) >= sum(10 + number for number in range(1, 6))
    plans = len(http.get("/v1/plans").json()["items"])
    again = run("nightly_sync.py", tmp_path, target)
    assert "orders.csv: 0 stored, 5 known already" in again.stdout
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]
    assert len(http.get("/v1/plans").json()["items"]) == plans
    assert len(stored(http, "erp")) == 5


def test_the_nightly_sync_names_the_line_that_is_wrong_and_leaves_no_file(run: Run, tmp_path: Path):
    export(tmp_path)
    with (tmp_path / "orders.csv").open("a") as orders:
        orders.write("erp,bad,order,NO-SUCH,BIBERACH,1,2026-01-01T00:00:00Z,2026-01-02\n")
    ran = run("nightly_sync.py", tmp_path, tmp_path / "assignments.csv")
    assert ran.returncode == 1
    assert "line 7: there is no product 'NO-SUCH'" in ran.stderr
    assert not (tmp_path / "assignments.csv").exists()


# --- shop -----------------------------------------------------------------------------------------------------


def has_lines(file: Path, number: int) -> bool:
    return len(file.read_text().splitlines()) == number


def test_the_shop_stores_each_order_once_through_a_killed_api_and_a_busy_key(
    service: Service,
    bakery: httpx.Client,
    command: Callable[[str], tuple[list[str], dict[str, str]]],
    run: Run,
    tmp_path: Path,
):
    orders = [order("shop", number) for number in range(1, 9)]
    words, environment = command("shop_orders.py")
    said, told = tmp_path / "said", tmp_path / "told"
    with said.open("w") as out, told.open("w") as err:
        shop = subprocess.Popen(
            [*words[:1], "-u", *words[1:]], env=environment, stdin=subprocess.PIPE, stdout=out, stderr=err
        )
    assert shop.stdin is not None
    for number, one in enumerate(orders, start=1):
        if number == 4:
            api_process(service).kill()
        shop.stdin.write(f"{json.dumps(one)}\n".encode())
        shop.stdin.flush()
        wait_until(partial(has_lines, said, number), 30.0, f"order {number}")
    assert "again in" in told.read_text()
    key_id = UUID(bakery.get("/v1/me").json()["key_id"])

    async def hold_the_key() -> None:
        connection = await database.connect(service.database_url)
        async with connection.transaction():
            assert await idempotency.try_lock(connection, key_id, "after-shop-8")
            shop.stdin.close()  # type: ignore[union-attr]
            wait_until(lambda: "idempotency-key-busy: again in" in told.read_text(), 10.0, "a busy key")
        await connection.close()

    asyncio.run(hold_the_key())
    assert shop.wait(30) == 0, told.read_text()
    assert "a plan is made by the run" in said.read_text()
    found = stored(bakery, "shop")
    assert sorted(one["external_id"] for one in found) == [f"shop-{number}" for number in range(1, 9)]
    assert {one["revision"] for one in found} == {1}

    again = run("shop_orders.py", given="".join(json.dumps(one) + "\n" for one in orders))
    assert again.stdout.count("known already") == 8
    assert again.stdout.splitlines()[-1] == said.read_text().splitlines()[-1]  # the same run


def test_the_shop_keeps_a_refused_order_for_a_person(run: Run, bakery: httpx.Client):
    orders = [order("counter", 1, product_code="NO-SUCH"), order("counter", 2)]
    ran = run("shop_orders.py", given="".join(json.dumps(one) + "\n" for one in orders))
    assert ran.returncode == 1
    assert "counter-1: refused" in ran.stderr
    assert [one["external_id"] for one in stored(bakery, "counter")] == ["counter-2"]


# --- spreadsheet ----------------------------------------------------------------------------------------------


def sheet(file: Path, orders: list[dict[str, Any]]) -> None:
    with Workbook(file) as book:
        page = book.add_worksheet()
        day = book.add_format({"num_format": "dd.mm.yyyy"})
        page.write_row(0, 0, FIELDS)
        for number, one in enumerate(orders, start=1):
            page.write_row(number, 0, [one[name] for name in FIELDS[:-1]])
            page.write_datetime(number, len(FIELDS) - 1, date.fromisoformat(one["due_date"]), day)


@pytest.mark.usefixtures("bakery")
def test_a_sheet_of_orders_comes_back_as_a_sheet_of_assignments(run: Run, tmp_path: Path):
    given, target = tmp_path / "orders.xlsx", tmp_path / "assignments.xlsx"
    sheet(given, [order("sheet", number) for number in range(1, 4)])
    ran = run("spreadsheet.py", given, target)
    assert ran.returncode == 0, ran.stderr
    assert "3 orders stored" in ran.stdout
    header, *rows = CalamineWorkbook.from_path(target).get_sheet_by_index(0).to_python()
    lines = [dict(zip(header, row, strict=True)) for row in rows]
    assert {line["node_code"] for line in lines} == {"OVEN-ULM"}
    assert sum(float(str(line["units"])) for line in lines) >= 36


def test_a_wrong_row_of_a_sheet_is_named_and_nothing_stored(run: Run, bakery: httpx.Client, tmp_path: Path):
    given = tmp_path / "orders.xlsx"
    sheet(given, [order("wrong", 1), order("wrong", 2, region_code="NO-SUCH")])
    ran = run("spreadsheet.py", given, tmp_path / "assignments.xlsx")
    assert ran.returncode == 1
    assert "row 3: there is no region 'NO-SUCH'" in ran.stderr
    assert stored(bakery, "wrong") == []
