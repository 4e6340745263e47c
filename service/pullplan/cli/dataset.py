"""Which tables make up a network and its demand, and in which order does the service want them?"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

Cell = str | int | float | bool | None
Row = tuple[Cell, ...]


class Collection(NamedTuple):
    """A table of the API: where it is sent, how, and which fields it has."""

    name: str
    """Of the file without `.csv`, and of the table in every message."""
    path: str
    verb: Literal["PUT", "POST"]
    """PUT stores a whole file or nothing; POST takes batches of lines that are known when they come again."""
    fields: tuple[str, ...]


_SOURCE = ("source", "external_id")
_PAIR = ("product_code", "region_code")
_LOTS = ("minimum_lot_units", "lot_multiple_units", "maximum_lot_units")

COLLECTIONS = (
    Collection(
        "products",
        "/v1/products",
        "PUT",
        (
            "product_code",
            "name",
            "unit",
            "weight_kg",
            "value_per_unit",
            "holding_cost_per_unit_per_day",
            "largest_share",
            "shelf_life_days",
            "effective_from",
            "effective_until",
            *_LOTS,
            "source_revision",
        ),
    ),
    Collection(
        "regions",
        "/v1/regions",
        "PUT",
        ("region_code", "name", "latitude", "longitude", "source_revision"),
    ),
    Collection(
        "nodes",
        "/v1/nodes",
        "PUT",
        ("node_code", "name", "latitude", "longitude", "status", "capacity_share", "source_revision"),
    ),
    Collection(
        "capacity",
        "/v1/capacity",
        "PUT",
        ("node_code", "resource_code", "kind", "capacity_per_day", "working_weekdays", "on_hand"),
    ),
    Collection(
        "capacity_exceptions",
        "/v1/capacity-exceptions",
        "PUT",
        ("node_code", "resource_code", "from_date", "until_date", "capacity_per_day"),
    ),
    Collection(
        "capabilities",
        "/v1/capabilities",
        "PUT",
        (
            "node_code",
            "product_code",
            "unit_cost",
            "make_lead_time_days",
            "use_per_unit",
            "yield_share",
            "qualified",
            "effective_from",
            "effective_until",
            *_LOTS,
            "setup_use_per_order",
        ),
    ),
    Collection(
        "lanes",
        "/v1/lanes",
        "PUT",
        (
            "node_code",
            "region_code",
            "distance_km",
            "transit_days",
            "freight_cost_per_unit",
            "forbidden",
            "effective_from",
            "effective_until",
            "source_revision",
        ),
    ),
    Collection(
        "policies",
        "/v1/policies",
        "PUT",
        (
            *_PAIR,
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
        ),
    ),
    Collection(
        "stock_counts",
        "/v1/stock-counts",
        "POST",
        (*_SOURCE, *_PAIR, "counted_at", "on_hand_units", "reserved_units", "blocked_units"),
    ),
    Collection(
        "node_stock_counts",
        "/v1/node-stock-counts",
        "POST",
        (
            *(*_SOURCE, "node_code", "product_code", "counted_at"),
            *("on_hand_units", "reserved_units", "blocked_units"),
        ),
    ),
    Collection(
        "open_supply",
        "/v1/open-supply",
        "POST",
        (
            *_SOURCE,
            *_PAIR,
            "units",
            "due_date",
            "work_order_id",
            "received_units",
            "receipt_at",
            "closed",
            "source_revision",
        ),
    ),
    Collection(
        "demand_signals",
        "/v1/demand-signals/batch",
        "POST",
        (
            *_SOURCE,
            "kind",
            *_PAIR,
            "units",
            "occurred_at",
            "due_date",
            "shipped_units",
            "shipped_at",
            "cancelled",
            "priority",
            "probability",
            "from_date",
            "until_date",
            "multiplier",
            "reason",
            "source_revision",
        ),
    ),
)
"""In load order: what a line refers to is there before it."""

COLLECTION_BY_NAME = {collection.name: collection for collection in COLLECTIONS}


class Table(NamedTuple):
    """Rows of one collection; `rows` gives each with the line that it has in its file, as often as asked."""

    collection: Collection
    origin: str
    """What messages call it: a file's name."""
    fields: tuple[str, ...]
    n_rows: int
    rows: Callable[[], Iterator[tuple[int, Row]]]
    typed: bool = False
    """Cells are numbers and booleans rather than a file's text: can be sent as JSON lines."""


class Dataset(NamedTuple):
    """A network with its demand, and what of its files was not understood."""

    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


def table_of(name: str, fields: tuple[str, ...], rows: list[Row]) -> Table:
    """Make a typed table from rows in memory."""
    return Table(
        COLLECTION_BY_NAME[name],
        f"{name}.csv",
        fields,
        len(rows),
        lambda: enumerate(rows, start=2),
        typed=True,
    )
