"""How is a forecast made from the one before it and what has come since?"""

import hashlib
from importlib.metadata import version

import msgspec

from pullplan.engine.calendar import first_day_of_bucket
from pullplan.engine.forecast import refresh_forecast
from pullplan.engine.model import (
    Experience,
    Forecast,
    ForecastFacts,
    ForecastProfile,
    Grounds,
    PanelKnowledge,
    PlanningFacts,
    TotalForecast,
)
from pullplan.engine.netting import forecast_steps
from pullplan.storage import facts, forecast_refreshes
from pullplan.storage.database import Connection
from pullplan.storage.forecast_refreshes import BaseHead


class MadeForecast(msgspec.Struct, frozen=True):
    """A forecast, what each of its series rests on, and how those before it fared."""

    forecast: Forecast
    grounds: tuple[Grounds, ...]
    """Shapes: (n_series,)"""
    experience: Experience
    totals: tuple[TotalForecast, ...] = ()
    """None where there is a base: its own move with their series."""
    knowledge: PanelKnowledge | None = None
    """What all series told together."""
    base: BaseHead | None = None
    """The forecast that has all other series; None: there are no others."""


async def find_refreshed(
    connection: Connection, moment: facts.Moment, network: PlanningFacts, profile: ForecastProfile
) -> tuple[ForecastFacts, MadeForecast] | None:
    """Make the series anew that have news since the latest forecast that answered the same question.

    None where there is none, or where the news change what all series tell together. To be called inside
    `opened_snapshot`.
    """
    horizon, n_steps = network.horizon, forecast_steps(network)
    first = first_day_of_bucket(horizon.as_of_date, horizon.bucket)
    base = await forecast_refreshes.find_base(
        *(connection, horizon, first, moment.as_of),
        n_steps=n_steps,
        profile=profile,
        code_version=version("pullplan"),
        rules_hash=rules_hash(network),
    )
    if base is None:
        return None
    async with forecast_refreshes.few_rows_read(connection):
        pairs = await forecast_refreshes.list_pairs_with_news(
            connection, base, moment.as_of, first, moment.time_zone
        )
        known = await facts.read_forecast_facts(connection, moment, network, n_steps=n_steps, pairs=pairs)
        known = msgspec.structs.replace(known, profile=profile)
        read = await forecast_refreshes.read_base(connection, base, horizon, first, pairs, n_steps=n_steps)
    made = refresh_forecast(known, read)
    return None if made is None else (known, MadeForecast(*made, base.experience, base=base))


def rules_hash(network: PlanningFacts) -> str:
    """Name what decides, besides signals, which pairs have a forecast and what their history is."""
    rules = (
        [product.product_code for product in network.products],
        [region.region_code for region in network.regions],
        [(p.product_code, p.region_code, p.history_basis, p.counts_forecast) for p in network.policies],
    )
    return hashlib.sha256(msgspec.json.encode(rules)).hexdigest()
