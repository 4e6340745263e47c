"""What was known at as_of? One consistent snapshot of everything that forecasts and plans are made from."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from pullplan.engine.model import (
    Adjustment,
    Bucket,
    Capability,
    CapacityException,
    DailyUnits,
    ForecastFacts,
    Horizon,
    Lane,
    LeadSignal,
    Node,
    NodeStock,
    OpenSupply,
    Order,
    OutOfStock,
    PlanningFacts,
    PlanParameters,
    Product,
    Promotion,
    PullPolicy,
    Region,
    Resource,
    StockPosition,
    UsageExclusion,
)
from pullplan.storage.columns import columns_of, made_of
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("facts")

ROWS_AT_ONCE = 5_000

type _Few = tuple[list[str] | None, list[str] | None]
"""The product codes and region codes of some pairs; None: all."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When the snapshot was taken and which instant it looks from."""

    snapshot_at: datetime
    seen: str
    """Which transactions the snapshot sees, as Postgres writes it."""
    as_of: datetime
    as_of_date: date
    """as_of's day in the deployment's time zone."""
    time_zone: str

    def horizon(self, bucket: Bucket, horizon_buckets: int) -> Horizon:
        """Say which days are planned from this moment."""
        return Horizon(as_of_date=self.as_of_date, bucket=bucket, horizon_buckets=horizon_buckets)


@asynccontextmanager
async def opened_snapshot(
    connection: Connection, as_of: datetime | None, time_zone: str
) -> AsyncIterator[Moment]:
    """Hold one consistent, read-only view of the database; as_of None is the moment of the snapshot itself."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(SQL["prefer_hash_joins"])
        await connection.execute(SQL["prepare_snapshot"])
        row = await connection.fetchrow(SQL["read_moment"], as_of, time_zone)
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        yield Moment(**row, time_zone=time_zone)


async def read_network_facts(
    connection: Connection,
    horizon: Horizon,
    *,
    parameters: PlanParameters,
    policy_overrides: Sequence[PullPolicy] = (),
) -> PlanningFacts:
    """Read the network and its policies alone, what is retired left out.

    To be called inside `opened_snapshot`.
    """
    resources = await connection.fetch(SQL["list_resources"])
    return PlanningFacts(
        horizon=horizon,
        parameters=parameters,
        products=await _read(connection, Product, "list_products"),
        regions=await _read(connection, Region, "list_regions"),
        nodes=await _read(connection, Node, "list_nodes"),
        resources=tuple(
            Resource(**{**row, "working_weekdays": tuple(row["working_weekdays"])}) for row in resources
        ),
        capacity_exceptions=await _read(connection, CapacityException, "list_capacity_exceptions"),
        capabilities=await _read(connection, Capability, "list_capabilities"),
        lanes=await _read(connection, Lane, "list_lanes"),
        policies=await _read_policies(connection, horizon.as_of_date, policy_overrides),
    )


async def read_planning_facts(
    connection: Connection, moment: Moment, network: PlanningFacts
) -> PlanningFacts:
    """Add demand, stock and supply to the network: all that a plan is made from, except its forecast.

    Nothing that occurred after as_of is read. To be called inside `opened_snapshot`.
    """
    as_of, recent = moment.as_of, await _read_recent(connection, moment, network)
    return msgspec.structs.replace(
        network,
        recent_consumption=recent[0],
        recent_orders=recent[1],
        usage_exclusions=recent[2],
        consumption_pairs=_pairs(await connection.fetch(SQL["list_consumption_pairs"], as_of)),
        orders=await _read(connection, Order, "list_open_orders", as_of),
        lead_signals=await _read(connection, LeadSignal, "list_leads", as_of),
        stock=await _read(connection, StockPosition, "list_stock", as_of),
        open_supply=await _read(connection, OpenSupply, "list_open_supply", as_of),
    )


async def read_node_stock(connection: Connection, moment: Moment) -> tuple[NodeStock, ...]:
    """Read what lies finished at nodes, by the last count of each.

    To be called inside `opened_snapshot`.
    """
    return await _read(connection, NodeStock, "list_node_stock", moment.as_of)


async def read_forecast_facts(
    connection: Connection,
    moment: Moment,
    network: PlanningFacts,
    *,
    n_steps: int,
    pairs: Sequence[tuple[str, str]] | None = None,
) -> ForecastFacts:
    """Read what a forecast is made from: the days before as_of's, and what people changed of the future.

    Pairs without history get a forecast when they hold stock, are adjusted, or have a policy of their own that counts
    it; where `pairs` are named, these and no other. To be called inside `opened_snapshot`.
    """
    day, as_of = moment.as_of_date, moment.as_of
    few = (None, None) if pairs is None else ([p for p, _ in pairs], [r for _, r in pairs])
    adjustments = await _read(connection, Adjustment, "list_adjustments", day, as_of, *few)
    if pairs is None:
        pairs = (
            *_pairs(await connection.fetch(SQL["list_stock"], as_of)),
            *((a.product_code, a.region_code) for a in adjustments),
            *_pairs_that_count_forecast(network),
        )
    return ForecastFacts(
        horizon=network.horizon,
        n_steps=n_steps,
        policies=network.policies,
        consumption=await _read_consumption(connection, moment, None, few),
        order_history=await _read_order_history(connection, moment, None, few),
        adjustments=adjustments,
        promotions=await _read(connection, Promotion, "list_promotions", day, as_of, *few),
        out_of_stock=await _read(connection, OutOfStock, "list_out_of_stock", as_of, moment.time_zone, *few),
        pairs=tuple(sorted(set(pairs))),
    )


async def _read_policies(
    connection: Connection, day: date, overrides: Sequence[PullPolicy]
) -> tuple[PullPolicy, ...]:
    """Read the policies in force on a day, with overrides laid over them."""
    return lay_over(await _read(connection, PullPolicy, "list_policies", day), overrides)


def lay_over(stored: Sequence[PullPolicy], overrides: Sequence[PullPolicy]) -> tuple[PullPolicy, ...]:
    """Put policies in the place of those of the same codes."""
    by_pair = {(p.product_code, p.region_code): p for p in (*stored, *overrides)}
    return tuple(by_pair[pair] for pair in sorted(by_pair))


def _pairs_that_count_forecast(network: PlanningFacts) -> set[tuple[str, str]]:
    products = {product.product_code for product in network.products}
    regions = {region.region_code for region in network.regions}
    return {
        (p.product_code, p.region_code)
        for p in network.policies
        if p.counts_forecast and p.product_code in products and p.region_code in regions
    }


async def _read_recent(
    connection: Connection, moment: Moment, network: PlanningFacts
) -> tuple[DailyUnits, DailyUnits, tuple[UsageExclusion, ...]]:
    """Read consumption and orders of the days that DDMRP buffers average usage over, and which days do not count."""
    days = max((p.usage_past_days for p in network.policies if p.policy == "ddmrp_buffer"), default=0)
    if days == 0:
        return DailyUnits(), DailyUnits(), ()
    day, first = moment.as_of_date, moment.as_of_date - timedelta(days=days)
    promotions = await _read(connection, Promotion, "list_promotions", day, moment.as_of, None, None)
    return (
        await _read_consumption(connection, moment, first),
        await _read_order_history(connection, moment, first),
        (
            *await _read(connection, UsageExclusion, "list_usage_exclusions", day, first),
            *(_excluding(promotion) for promotion in promotions if promotion.until_date > first),
        ),
    )


def _excluding(promotion: Promotion) -> UsageExclusion:
    """Leave a promotion's days out of usage, as they are left out of what forecasts learn from."""
    return UsageExclusion(
        product_code=promotion.product_code,
        region_code=promotion.region_code,
        from_date=promotion.from_date,
        until_date=promotion.until_date,
        reason=f"promotion {promotion.external_id}",
    )


async def _read_consumption(
    connection: Connection, moment: Moment, first: date | None = None, few: _Few = (None, None)
) -> DailyUnits:
    return _daily(
        await connection.fetch(
            SQL["list_daily_consumption"], moment.as_of_date, moment.time_zone, first, *few
        )
    )


async def _read_order_history(
    connection: Connection, moment: Moment, first: date | None = None, few: _Few = (None, None)
) -> DailyUnits:
    return _daily(
        await connection.fetch(SQL["list_daily_orders"], moment.as_of_date, moment.as_of, first, *few)
    )


async def _read[T: msgspec.Struct](
    connection: Connection, kind: type[T], query: str, *arguments: date | datetime | str | list[str] | None
) -> tuple[T, ...]:
    """Read facts some thousand rows at a time; a code or a day that a million rows share is held once."""
    known: dict[Any, Any] = {}
    facts: list[T] = []
    cursor = await connection.cursor(SQL[query], *arguments)
    while rows := await cursor.fetch(ROWS_AT_ONCE):
        columns: dict[str, Iterable[Any]] = {**columns_of(rows)}
        for name, value in rows[0].items():
            if isinstance(value, str | date) and name != "external_id":
                columns[name] = map(known.setdefault, columns[name], columns[name])
        facts += made_of(kind, columns)
        if len(rows) < ROWS_AT_ONCE:
            break
    return tuple(facts)


def _pairs(rows: Iterable[asyncpg.Record]) -> tuple[tuple[str, str], ...]:
    return tuple((row["product_code"], row["region_code"]) for row in rows)


def _daily(rows: Sequence[asyncpg.Record]) -> DailyUnits:
    columns = zip(*rows, strict=True) if rows else ((), (), (), ())
    product_codes, region_codes, days, units = columns
    return DailyUnits(product_codes=product_codes, region_codes=region_codes, days=days, units=units)
