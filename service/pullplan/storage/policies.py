"""How does each product × region pull?"""

from datetime import date, datetime

import asyncpg

from pullplan.storage.batches import target
from pullplan.storage.database import Connection
from pullplan.storage.queries import load_queries

SQL = load_queries("policies")
COLUMNS = (
    "product_code",
    "region_code",
    "policy",
    "service_level_share",
    "review_period_days",
    "consume_buckets_back",
    "consume_buckets_forward",
    "lead_probability_min",
    "history_basis",
    "lead_time_factor",
    "variability_factor",
    "usage_basis",
    "usage_past_days",
    "usage_forward_days",
    "usage_past_share",
    "order_cycle_days",
    "minimum_order_units",
    "order_multiple_units",
    "maximum_order_units",
    "demand_adjustment_factor",
    "lead_time_adjustment_factor",
    "red_zone_factor",
    "yellow_zone_factor",
    "green_zone_factor",
    "spike_threshold_units",
    "spike_horizon_days",
    "buffer_rounding",
    "buffer_tolerance_share",
    "minimum_stock_units",
    "maximum_stock_units",
    "effective_from",
    "effective_until",
)
TARGET = target(SQL, "staged_policies", COLUMNS)


async def list_page(
    connection: Connection,
    after: tuple[str, str, date | None] | None,
    limit: int,
    updated_since: datetime | None,
    *filters: str | date | None,
) -> list[asyncpg.Record]:
    """List policies by product and region, those for every one (`*`) first; `filters`: product_code, region_code, day."""
    start = after or ("", "", None)
    return await connection.fetch(SQL["list_page"], *start, limit, updated_since, *filters)
