"""Which data set does the demo load? Plants, stock, supply and signals of a network of breweries, from a seed."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from pullplan.cli import demo_market as market_of
from pullplan.cli import demo_network as network
from pullplan.cli.dataset import COLLECTION_BY_NAME, Cell, Dataset, Row, Table, table_of

DEFAULT_SEED = 1516
_EARTH_RADIUS_KM = 6371.0088
_MUST_SHARE = 0.8
"""Of the cider that the horizon is going to ask for, how much the must yields."""
_LITRES_PER_CRATE = 10.0
_LINE, _MUST = "line_hours", "must_litres"


def make_demo_data(seed: int = DEFAULT_SEED, *, small: bool = False) -> Dataset:
    """Make the demo's data set; equal for an equal seed."""
    scale = network.scale(small=small)
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(5)]
    market = market_of.lay_out_market(scale, streams[0])
    sold = market_of.draw_sales(market, streams[1])
    said = [
        *market_of.orders(market, streams[2]),
        *market_of.leads(market, streams[2]),
        *market_of.promotion(market),
    ]
    return Dataset(
        (
            *_master_tables(scale),
            *_capacity_tables(market),
            _capabilities(scale, streams[3]),
            _policies(),
            _stock_counts(market, streams[4]),
            _open_supply(market, streams[4]),
            _signals(said, market_of.consumption(market, sold, streams[1])),
        )
    )


def _signals(said: list[dict[str, Cell]], sold: Iterator[tuple[str, str, str, int, str]]) -> Table:
    """Put what people said before what the shops' tills report, in one table."""
    fields = COLLECTION_BY_NAME["demand_signals"].fields
    place = {field: index for index, field in enumerate(fields)}
    rows: list[Row] = [tuple(map(signal.get, fields)) for signal in said]
    for external_id, product_code, region_code, units, day in sold:
        row: list[Cell] = [None] * len(fields)
        row[:5] = ["shops", external_id, "consumption", product_code, region_code]
        row[place["units"]] = units
        row[place["occurred_at"]] = f"{day}T12:00:00Z"
        row[place["reason"]] = "return" if units < 0 else None
        rows.append(tuple(row))
    return table_of("demand_signals", fields, rows)


def _master_tables(scale: network.Scale) -> list[Table]:
    products: list[Row] = [
        (drink.code, drink.name, "crate", 17.5, drink.value_per_unit, round(drink.value_per_unit * 4e-4, 5))
        for drink in scale.drinks
    ]
    product_fields = ("product_code", "name", "unit", "weight_kg", "value_per_unit")
    status = {network.OFFLINE_NODE: "offline", network.DEGRADED_NODE: "degraded"}
    nodes: list[Row] = [
        (
            node.code,
            node.name,
            node.latitude,
            node.longitude,
            status.get(node.code, "online"),
            network.DEGRADED_CAPACITY_SHARE if node.code == network.DEGRADED_NODE else 1.0,
        )
        for node in scale.breweries
    ]
    place = ("name", "latitude", "longitude")
    return [
        table_of("products", (*product_fields, "holding_cost_per_unit_per_day"), products),
        table_of(
            "regions",
            ("region_code", *place),
            [(town.code, town.name, town.latitude, town.longitude) for town in scale.towns],
        ),
        table_of("nodes", ("node_code", *place, "status", "capacity_share"), nodes),
    ]


# --- capacity: sized by the demand that is nearest ------------------------------------------------------------


def _distance_km(scale: network.Scale) -> market_of.Floats:
    """Measure great circles, (n_regions, n_nodes)."""
    towns = np.radians([[(town.latitude, town.longitude)] for town in scale.towns])
    nodes = np.radians([[(node.latitude, node.longitude) for node in scale.breweries]])
    half = np.sin((towns - nodes) / 2) ** 2
    chord = half[..., 0] + np.cos(towns[..., 0]) * np.cos(nodes[..., 0]) * half[..., 1]
    return np.asarray(2 * _EARTH_RADIUS_KM * np.arcsin(np.sqrt(chord)))


def _nearest_units_per_day(market: market_of.Market) -> market_of.Floats:
    """Give each region's mean day of the horizon to the nearest brewery that makes it, (n_products, n_nodes)."""
    scale = market.scale
    ahead, distance_km = market.ahead_units_per_day(), _distance_km(scale)
    units = np.zeros((len(scale.drinks), len(scale.breweries)))
    for product, drink in enumerate(scale.drinks):
        makers = [index for index, node in enumerate(scale.breweries) if drink.letter in node.makes]
        nearest = np.array(makers)[distance_km[:, makers].argmin(axis=1)]
        np.add.at(units[product], nearest, ahead[product])
    return units


def _hours_per_unit(drink: network.Drink) -> float:
    """Small batches run slower: 80 crates an hour of what everybody drinks, 20 of the rest."""
    return 1 / 80 if drink.usual_units_per_day > 5 else 1 / 20


def _capacity_tables(market: market_of.Market) -> list[Table]:
    scale = market.scale
    units = _nearest_units_per_day(market)
    hours = np.array([_hours_per_unit(drink) for drink in scale.drinks]) @ units
    rows: list[Row] = []
    for index, node in enumerate(scale.breweries):
        line_hours = max(1.5, round(float(hours[index]) * 7 / 6 * node.slack, 1))
        rows.append((node.code, _LINE, "renewed", line_hours, "1;2;3;4;5;6", 0.0))
        for product, drink in enumerate(scale.drinks):
            if drink.code == network.MUST_DRINK and drink.letter in node.makes:
                cider_units = float(units[product, index]) * 7 * network.HORIZON_WEEKS
                litres = round(cider_units * _LITRES_PER_CRATE * _MUST_SHARE, -1)
                rows.append((node.code, _MUST, "stored", 0.0, "1;2;3;4;5;6;7", litres))
    fields = ("node_code", "resource_code", "kind", "capacity_per_day", "working_weekdays", "on_hand")
    overhaul = network.AS_OF + timedelta(weeks=4)
    closed: list[Row] = [
        (node.code, _LINE, overhaul.isoformat(), (overhaul + timedelta(weeks=1)).isoformat(), 0.0)
        for node in scale.breweries
        if node.code == network.MAINTAINED_NODE
    ]
    closed_fields = ("node_code", "resource_code", "from_date", "until_date", "capacity_per_day")
    return [table_of("capacity", fields, rows), table_of("capacity_exceptions", closed_fields, closed)]


def _capabilities(scale: network.Scale, rng: np.random.Generator) -> Table:
    rows: list[Row] = []
    for node in scale.breweries:
        dearness = rng.uniform(0.92, 1.10)
        for drink in scale.drinks:
            if drink.letter not in node.makes:
                continue
            must = f";{_MUST}={_LITRES_PER_CRATE:g}" if drink.code == network.MUST_DRINK else ""
            rows.append(
                (
                    node.code,
                    drink.code,
                    round(drink.value_per_unit * 0.45 * dearness, 2),
                    drink.make_lead_time_days,
                    f"{_LINE}={_hours_per_unit(drink):g}{must}",
                    (node.code, drink.code) != network.UNQUALIFIED,
                )
            )
    fields = ("node_code", "product_code", "unit_cost", "make_lead_time_days", "use_per_unit", "qualified")
    return table_of("capabilities", fields, rows)


def _policies() -> Table:
    rows: list[Row] = [
        ("*", "*", "base_stock", 0.95, 1, 1),
        (network.ORDERED_ONLY, "*", "make_to_order", 0.95, 0, 0),
    ]
    fields = (
        "product_code",
        "region_code",
        "policy",
        "service_level_share",
        "consume_buckets_back",
        "consume_buckets_forward",
    )
    return table_of("policies", fields, rows)


# --- what is there and what is coming -------------------------------------------------------------------------


def _stock_counts(market: market_of.Market, rng: np.random.Generator) -> Table:
    """Count each pair in the last week: about twelve days of sales, one pair in forty runs out."""
    weekly_units = market.ahead_units_per_day(weeks=2) * 7
    rows: list[Row] = []
    for product, region in np.argwhere(weekly_units > 0):
        drink, town = market.scale.drinks[product], market.scale.towns[region]
        weeks = 0.1 if rng.random() < 0.025 else rng.uniform(1.3, 2.6)
        units = (
            0.0 if drink.code == network.ORDERED_ONLY else round(float(weekly_units[product, region] * weeks))
        )
        counted = network.AS_OF - timedelta(days=int(rng.integers(1, 4)))
        rows.append(
            (
                "erp",
                f"COUNT-{town.code}-{drink.code}",
                drink.code,
                town.code,
                f"{counted.isoformat()}T18:00:00Z",
                units,
                float(units // 25),
            )
        )
    fields = (
        "source",
        "external_id",
        "product_code",
        "region_code",
        "counted_at",
        "on_hand_units",
        "reserved_units",
    )
    return table_of("stock_counts", fields, rows)


def _open_supply(market: market_of.Market, rng: np.random.Generator) -> Table:
    """Let a sixth of the pairs expect a delivery; some are overdue, one for so long that nobody counts on it."""
    weekly_units = market.ahead_units_per_day(weeks=2) * 7
    rows: list[Row] = []
    for product, region in np.argwhere(weekly_units > 20):
        if rng.random() > 1 / 6:
            continue
        number = len(rows) + 1
        days = -40 if number == 5 else int(rng.integers(-4, 12))
        rows.append(
            (
                "erp",
                f"PO-{number:04d}",
                market.scale.drinks[product].code,
                market.scale.towns[region].code,
                float(round(float(weekly_units[product, region]) * rng.uniform(0.5, 1.0))),
                (network.AS_OF + timedelta(days=days)).isoformat(),
            )
        )
    fields = ("source", "external_id", "product_code", "region_code", "units", "due_date")
    return table_of("open_supply", fields, rows)
