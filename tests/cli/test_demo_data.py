"""Is the demo's data what it says, and the same for the same seed?"""

from collections import Counter, defaultdict
from datetime import date
from typing import Any

import pytest

from pullplan.cli.dataset import COLLECTIONS, Dataset
from pullplan.cli.demo_data import make_demo_data
from pullplan.cli.demo_network import AS_OF, NEW_REGION, OFFLINE_NODE


def _rows(dataset: Dataset, name: str) -> list[dict[str, Any]]:
    (table,) = (table for table in dataset.tables if table.collection.name == name)
    return [dict(zip(table.fields, row, strict=True)) for _, row in table.rows()]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_demo_data()


def test_an_equal_seed_makes_equal_data_and_another_seed_other_data():
    first, again, other = (make_demo_data(seed, small=True) for seed in (3, 3, 4))
    assert [list(table.rows()) for table in first.tables] == [list(table.rows()) for table in again.tables]
    assert _rows(first, "demand_signals") != _rows(other, "demand_signals")


def test_the_network_has_dozens_of_regions_ten_products_and_more_than_a_dozen_nodes(dataset):
    assert len(_rows(dataset, "regions")) == 36
    assert len(_rows(dataset, "products")) == 10
    assert len(_rows(dataset, "nodes")) == 16
    assert {row["node_code"] for row in _rows(dataset, "nodes") if row["status"] == "offline"} == {
        OFFLINE_NODE
    }


def test_tables_come_in_the_order_in_which_the_service_wants_them(dataset):
    names = [table.collection.name for table in dataset.tables]
    assert names == [collection.name for collection in COLLECTIONS if collection.name in names]
    assert all(set(table.fields) <= set(table.collection.fields) for table in dataset.tables)


def test_two_years_of_daily_sales_end_the_day_before_as_of(dataset):
    sold = [row for row in _rows(dataset, "demand_signals") if row["kind"] == "consumption"]
    days = sorted({row["occurred_at"][:10] for row in sold})
    assert days[0] == "2024-04-15"
    assert date.fromisoformat(days[-1]) < AS_OF
    assert AS_OF.weekday() == 0
    assert 120_000 < len(sold) < 170_000
    assert len({row["external_id"] for row in sold}) == len(sold)


def test_demand_has_seasons_trends_rare_sellers_returns_and_a_new_region(dataset):
    sold = [row for row in _rows(dataset, "demand_signals") if row["kind"] == "consumption"]
    units: Counter[tuple[str, str]] = Counter()
    days_sold: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in sold:
        units[row["product_code"], row["occurred_at"][:7]] += row["units"]
        days_sold[row["product_code"], row["region_code"]].add(row["occurred_at"])
    assert units["LEMONADE", "2025-07"] > 1.8 * units["LEMONADE", "2025-01"]
    assert units["ALCOHOLFREE", "2026-02"] > 1.15 * units["ALCOHOLFREE", "2025-02"]
    assert sum(len(days) > 500 for days in days_sold.values()) > 150
    assert sum(len(days) < 150 for days in days_sold.values()) > 40
    assert any(row["units"] < 0 and row["reason"] == "return" for row in sold)
    assert min(row["occurred_at"] for row in sold if row["region_code"] == NEW_REGION) > "2026-02-20"


def test_there_are_orders_leads_and_a_promotion(dataset):
    signals = _rows(dataset, "demand_signals")
    kinds = Counter(row["kind"] for row in signals)
    assert kinds["order"] > 100
    assert kinds["lead"] > 20
    assert kinds["adjustment"] == 6
    open_orders = [row for row in signals if row["kind"] == "order" and not row["cancelled"]]
    assert any(row["due_date"] < AS_OF.isoformat() for row in open_orders)
    assert any(0 < (row["shipped_units"] or 0) < row["units"] for row in open_orders)
    assert all(row["occurred_at"] < AS_OF.isoformat() for row in signals)
