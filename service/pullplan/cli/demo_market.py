"""What do the demo's regions want, and what did their shops sell? Two years of it, drawn from a seed."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pullplan.cli import demo_network as network
from pullplan.cli.dataset import Cell

_WEEKDAY_SHARES = (0.80, 0.75, 0.85, 1.05, 1.45, 1.10, 0.0)
"""Monday to Sunday; shops close on Sundays."""
_PROMOTION_MULTIPLIER = 1.5
_N_RETURNS = 40

Floats = npt.NDArray[np.float64]
_Signal = dict[str, Cell]


class Market(NamedTuple):
    """Expected units per product × region × day, from the first day of history to the horizon's last."""

    scale: network.Scale
    days: list[date]
    mean_units: Floats

    def ahead_units_per_day(self, weeks: int = network.HORIZON_WEEKS) -> Floats:
        """Average the first weeks of the horizon, (n_products, n_regions)."""
        first = network.HISTORY_DAYS
        return np.asarray(self.mean_units[:, :, first : first + 7 * weeks].mean(axis=2))


def _in_promotion(days: list[date]) -> npt.NDArray[np.bool_]:
    """Tell the promotion's days: this year's, and the same weeks of the years before."""
    since = np.array([(day - network.AS_OF).days for day in days])
    first, end = (7 * week for week in network.PROMOTION_WEEKS_AHEAD)
    return np.asarray((since % 364 >= first) & (since % 364 < end))


def lay_out_market(scale: network.Scale, rng: np.random.Generator) -> Market:
    """Multiply size, taste, trend, season, weekday and last year's promotion of every product × region."""
    n_days = network.HISTORY_DAYS + 7 * network.HORIZON_WEEKS
    days = [network.AS_OF + timedelta(days=day - network.HISTORY_DAYS) for day in range(n_days)]
    years = np.array([(day - network.AS_OF).days for day in days]) / 365.25
    midsummer_years = (date(2025, 7, 12) - network.AS_OF).days / 365.25
    drinks, towns = scale.drinks, scale.towns
    size = np.array([(town.size / 300) ** 0.75 for town in towns])
    taste = np.exp(rng.normal(0.0, 0.25, (len(drinks), len(towns))))
    usual = np.array([drink.usual_units_per_day for drink in drinks])
    carried = rng.random(taste.shape) < np.array([[drink.carried_share] for drink in drinks])
    wave = np.cos(2 * np.pi * (years - midsummer_years))
    season = 1 + np.outer([drink.summer_share for drink in drinks], wave)
    growth = np.log1p([[drink.growth_share_per_year] for drink in drinks]) + rng.normal(
        0.0, 0.12, taste.shape
    )
    weekday = np.array([_WEEKDAY_SHARES[day.weekday()] for day in days]) * 7 / sum(_WEEKDAY_SHARES)
    level = usual[:, None] * taste * size * carried
    trend = np.exp(growth[:, :, None] * years)
    mean_units = level[:, :, None] * trend * (season * weekday)[:, None, :]
    past = np.array([day < network.AS_OF for day in days])
    opened = network.AS_OF - timedelta(days=network.NEW_REGION_DAYS)
    for index, town in enumerate(towns):
        if town.code == network.NEW_REGION:
            mean_units[:, index, [day < opened for day in days]] = 0.0
        for product, drink in enumerate(drinks):
            if town.code in network.PROMOTED_REGIONS and drink.code == network.PROMOTED:
                mean_units[product, index, past & _in_promotion(days)] *= _PROMOTION_MULTIPLIER
    return Market(scale, days, mean_units)


def draw_sales(market: Market, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw each past day's units: weather moves a region's whole week, packs are bought whole."""
    mean_units = market.mean_units[:, :, : network.HISTORY_DAYS]
    drinks = market.scale.drinks
    weeks = (1, len(market.scale.towns), network.HISTORY_DAYS // 7)
    weather = np.exp(rng.normal(-0.005, 0.10, weeks)).repeat(7, axis=2)
    shops = rng.gamma(16.0, 1 / 16.0, mean_units.shape)
    mean_pack = np.array([[[(1 + drink.largest_pack) / 2]] for drink in drinks])
    purchases = rng.poisson(mean_units * weather * shops / mean_pack)
    packs = rng.integers(1, [[[drink.largest_pack + 1]] for drink in drinks], purchases.shape)
    return np.asarray(purchases * packs, dtype=np.int64)


def consumption(
    market: Market, sold: npt.NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[str, str, str, int, str]]:
    """Yield external_id, product, region, units and day of what the shops report; some of it comes back."""
    towns, drinks = market.scale.towns, market.scale.drinks
    stamps = [day.isoformat() for day in market.days]
    sales = np.argwhere(sold.transpose(2, 1, 0))
    for day, region, product in sales.tolist():
        external_id = f"{stamps[day]}:{towns[region].code}:{drinks[product].code}"
        units = int(sold[product, region, day])
        yield external_id, drinks[product].code, towns[region].code, units, stamps[day]
    returned = rng.choice(len(sales), _N_RETURNS, replace=False)
    for number, (day, region, product) in enumerate(sales[returned].tolist(), start=1):
        units = -int(rng.integers(1, 4))
        yield f"return-{number}", drinks[product].code, towns[region].code, units, stamps[day]


# --- what people know beyond the shops' tills -----------------------------------------------------------------


def _day_ahead(rng: np.random.Generator, first: int, last: int) -> str:
    return (network.AS_OF + timedelta(days=int(rng.integers(first, last)))).isoformat()


def _pairs_that_sell(market: Market, ordered_only: bool) -> list[tuple[int, int]]:
    ahead = market.ahead_units_per_day()
    return [
        (int(product), int(region))
        for product, region in np.argwhere(ahead > 0)
        if (market.scale.drinks[product].code == network.ORDERED_ONLY) == ordered_only
    ]


def orders(market: Market, rng: np.random.Generator) -> list[_Signal]:
    """Draw open orders of restaurants and wholesalers: some urgent, shipped in part, past due or cancelled."""
    ahead = market.ahead_units_per_day()
    usual, ordered_only = (_pairs_that_sell(market, only) for only in (False, True))
    chosen = [
        usual[int(i)] for i in rng.choice(len(usual), len(usual) // 3, replace=False)
    ] + 3 * ordered_only
    yesterday = network.AS_OF - timedelta(days=1)
    made: list[_Signal] = []
    for number, (product, region) in enumerate(chosen, start=1):
        drink, town = market.scale.drinks[product], market.scale.towns[region]
        units = 1 + int(rng.gamma(2.0, 1.0) * (1 + 2.5 * ahead[product, region]))
        placed = network.AS_OF - timedelta(days=int(rng.integers(1, 28)))
        signal: _Signal = {
            "source": "erp",
            "external_id": f"SO-{number:05d}",
            "kind": "order",
            "product_code": drink.code,
            "region_code": town.code,
            "units": units,
            "occurred_at": f"{placed.isoformat()}T09:30:00Z",
            "due_date": _day_ahead(rng, *((-3, 0) if number % 40 == 0 else (3, 7 * network.HORIZON_WEEKS))),
            "priority": int(rng.choice([0, 0, 0, 1])),
            "shipped_units": None,
            "shipped_at": None,
            "cancelled": number % 50 == 7,
        }
        if number % 12 == 0 and units > 1:
            signal |= {"shipped_units": units // 2, "shipped_at": f"{yesterday.isoformat()}T16:00:00Z"}
        made.append(signal)
    return made


def leads(market: Market, rng: np.random.Generator) -> list[_Signal]:
    """Draw summer festivals that may buy: what is likely enough is planned with its expected units."""
    usual = _pairs_that_sell(market, ordered_only=False)
    return [
        {
            "source": "sales",
            "external_id": f"FEST-{number:03d}",
            "kind": "lead",
            "product_code": market.scale.drinks[product].code,
            "region_code": market.scale.towns[region].code,
            "units": int(rng.integers(40, 400)),
            "occurred_at": f"{(network.AS_OF - timedelta(days=3)).isoformat()}T15:00:00Z",
            "due_date": _day_ahead(rng, 14, 7 * network.HORIZON_WEEKS),
            "probability": float(rng.choice([0.2, 0.4, 0.6, 0.8, 0.9])),
        }
        for number, (product, region) in enumerate(
            (usual[int(i)] for i in rng.choice(len(usual), min(24, len(usual)), replace=False)), start=1
        )
    ]


def promotion(market: Market) -> list[_Signal]:
    """Say what marketing knows: the May promotion of wheat beer in the south."""
    first, end = (network.AS_OF + timedelta(weeks=week) for week in network.PROMOTION_WEEKS_AHEAD)
    return [
        {
            "source": "marketing",
            "external_id": f"MAY-{town.code}",
            "kind": "adjustment",
            "product_code": network.PROMOTED,
            "region_code": town.code,
            "occurred_at": f"{(network.AS_OF - timedelta(days=20)).isoformat()}T10:00:00Z",
            "from_date": first.isoformat(),
            "until_date": end.isoformat(),
            "multiplier": _PROMOTION_MULTIPLIER,
            "reason": "May promotion of wheat beer",
        }
        for town in market.scale.towns
        if town.code in network.PROMOTED_REGIONS
    ]
