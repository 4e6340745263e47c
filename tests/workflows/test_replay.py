"""Does a replay read at every bucket only what was known at its first instant?"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.seeding import demand, insert, network, signal

from pullplan.cli.folder import read_folder
from pullplan.engine.model import PullPolicy
from pullplan.engine.replay import Replay, ReplayPolicy, add_up
from pullplan.storage.database import Connection
from pullplan.workflows.replay import NothingToReplayError, ReplayRequest, replay

pytestmark = pytest.mark.anyio

FIRST, UNTIL = date(2024, 4, 1), date(2024, 5, 6)
POLICIES = tuple(
    ReplayPolicy(name=policy.policy, policy=policy)
    for policy in (
        PullPolicy(policy="make_to_order"),
        PullPolicy(policy="base_stock", service_level_share=0.9),
        PullPolicy(policy="ddmrp_buffer"),
    )
)


async def replayed(connection: Connection, request: ReplayRequest) -> list[Replay]:
    """Replay, and look at how far it says to be after each bucket."""
    heard: list[tuple[int, int]] = []
    last: list[Replay] = []

    def after_bucket(replays: Sequence[Replay], n_done: int, n_buckets: int) -> None:
        heard.append((n_done, n_buckets))
        assert {len(one.results) for one in replays} == {n_done}
        last[:] = replays

    await replay(connection, request, "UTC", after_bucket)
    assert heard == [(n + 1, len(heard)) for n in range(len(heard))]
    return last


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


async def test_what_is_said_later_changes_no_week_before_it(connection: Connection):
    stored = [*network(), *demand()]
    await insert(connection, stored)
    request = ReplayRequest(from_date=FIRST, until_date=UNTIL, policies=POLICIES, warm_up_buckets=2)
    before = await replayed(connection, request)
    assert [len(one.results) for one in before] == [7, 7, 7]

    later = date(2024, 4, 23)  # the Tuesday of the sixth week
    count = {"source": "erp", "external_id": "c", "product_code": "BREAD", "region_code": "NORTH"}
    said: list[tuple[str, dict[str, Any]]] = [
        signal("sold", "consumption", 5_000.0, occurred_at=noon(later)),
        signal("ordered", "order", 700.0, due_date=UNTIL, occurred_at=noon(later)),
        signal("hoped for", "lead", 700.0, probability=0.9, due_date=UNTIL, occurred_at=noon(later)),
        signal(
            *("raised", "adjustment", None),
            multiplier=3.0, from_date=FIRST, until_date=UNTIL, occurred_at=noon(later),
        ),
        ("stock_counts", count | {"counted_at": noon(later), "on_hand_units": 4_000.0}),
    ]  # fmt: skip
    await insert(connection, said)
    after = await replayed(connection, request)
    for ours, theirs in zip(before, after, strict=True):
        assert ours.results[:5] == theirs.results[:5]
        assert ours.results[5].ordered_by_product == theirs.results[5].ordered_by_product
        assert ours.results[5].served.demanded_units + 5_000 == theirs.results[5].served.demanded_units
        assert ours.results[6].ordered_by_product != theirs.results[6].ordered_by_product


async def test_stored_policies_rule_from_the_day_on_which_they_begin(connection: Connection):
    begins = date(2024, 4, 15)
    to_order = {"product_code": "*", "region_code": "*", "policy": "make_to_order"}
    kept = {"product_code": "BREAD", "region_code": "*", "policy": "base_stock", "effective_from": begins}
    await insert(connection, [*network(), *demand(), ("policies", to_order), ("policies", kept)])
    request = ReplayRequest(
        from_date=FIRST, until_date=UNTIL, policies=(ReplayPolicy(name="stored"),), warm_up_buckets=0
    )
    (stored,) = await replayed(connection, request)
    is_in_time = [result.served.in_time_units > 0 for result in stored.results]
    assert is_in_time == [result.first_date >= begins for result in stored.results]
    assert [result.served.lost_units > 0 for result in stored.results[:2]] == [False, False]
    assert any(result.served.late_units for result in stored.results)


async def test_days_without_demand_are_not_replayed(connection: Connection):
    await insert(connection, network())
    with pytest.raises(NothingToReplayError, match="between 2024-02-05 and 2024-05-06"):
        await replayed(connection, ReplayRequest(from_date=FIRST, until_date=UNTIL, policies=POLICIES))


async def test_some_weeks_of_iowas_gin_are_served_the_better_the_more_is_kept(
    connection: Connection, shared: Path
):
    first = date(2020, 8, 3)
    await insert(
        connection, _gin(shared / "data" / "iowa_spirits", date(2019, 10, 7), first + timedelta(weeks=8))
    )
    levels = (0.5, 0.8, 0.98)
    policies = tuple(
        ReplayPolicy(name=str(level), policy=PullPolicy(policy="base_stock", service_level_share=level))
        for level in levels
    )
    request = ReplayRequest(
        from_date=first, until_date=first + timedelta(weeks=8), policies=(POLICIES[0], *policies),
        warm_up_buckets=2, horizon_buckets=3, refit_every_buckets=5,
    )  # fmt: skip
    replays = await replayed(connection, request)
    to_order, *kept = (add_up(one.results) for one in replays)
    assert to_order.demanded_units > 1_000
    assert to_order.mean_stock_units == pytest.approx(0.0, abs=1e-6)
    shares = [one.in_time_share or 0.0 for one in kept]
    assert shares == sorted(shares)
    assert shares[-1] > 0.8
    stocks = [one.mean_stock_units for one in kept]
    assert stocks == sorted(stocks)


def _gin(folder: Path, begin: date, end: date) -> Iterable[tuple[str, dict[str, Any]]]:
    """Read three distilleries and what six regions take of their gin."""
    tables = {
        table.collection.name: [dict(zip(table.fields, row, strict=True)) for _, row in table.rows()]
        for table in read_folder(folder).tables
    }
    makers = [row["node_code"] for row in tables["capabilities"] if row["product_code"] == "GIN"][:3]
    regions = tables["regions"][:6]
    yield "products", {"product_code": "GIN"}
    for name, places in (("regions", regions), ("nodes", tables["nodes"])):
        code = f"{name[:-1]}_code"
        for row in places:
            if name == "regions" or row["node_code"] in makers:
                north, east = float(str(row["latitude"])), float(str(row["longitude"]))
                yield name, {code: row[code], "latitude": north, "longitude": east}
    for node_code in makers:
        line = {"node_code": node_code, "resource_code": "line"}
        yield "resources", line | {"capacity_per_day": 400.0}
        made = {"node_code": node_code, "product_code": "GIN", "use_per_unit": {"line": 1.0}}
        yield "capabilities", made
    taken = {row["region_code"] for row in regions}
    for row in tables["demand_signals"]:
        day = datetime.fromisoformat(str(row["occurred_at"]))
        if row["product_code"] == "GIN" and row["region_code"] in taken and begin <= day.date() < end:
            yield signal(
                *(str(row["external_id"]), "consumption", float(str(row["units"]))),
                product_code="GIN", region_code=row["region_code"], occurred_at=day, reason=row["reason"],
            )  # fmt: skip
