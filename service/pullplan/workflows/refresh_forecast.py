"""How is a forecast made from the one before it and what has come since?"""

import hashlib
from datetime import timedelta
from importlib.metadata import version
from uuid import UUID

import msgspec

from pullplan.engine.calendar import DAYS_PER_BUCKET, first_day_of_bucket
from pullplan.engine.forecast import ROLLED_BUCKETS, refresh_forecast
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

MOST_REFITTED = 20
"""Drifted series without news for which candidates compete again in a refresh, which is to stay cheap."""


class MadeForecast(msgspec.Struct, frozen=True):
    """A forecast, what each of its series rests on, and how those before it fared."""

    forecast: Forecast
    grounds: tuple[Grounds, ...]
    """Shapes: (n_series,)"""
    experience: Experience
    totals: tuple[TotalForecast, ...] = ()
    """None where there is a base, or one it was rolled from: its own move with their series."""
    knowledge: PanelKnowledge | None = None
    """What all series told together."""
    base: BaseHead | None = None
    """The forecast that has all other series; None: there are no others."""
    rolled_from: UUID | None = None
    """The forecast of earlier buckets whose models go on."""


async def find_base(
    connection: Connection, moment: facts.Moment, network: PlanningFacts, profile: ForecastProfile
) -> BaseHead | None:
    """Find the latest forecast that answered the same question, now or a few buckets ago."""
    horizon = network.horizon
    first = first_day_of_bucket(horizon.as_of_date, horizon.bucket)
    days = DAYS_PER_BUCKET[horizon.bucket]
    return await forecast_refreshes.find_base(
        *(connection, horizon, first, moment.as_of),
        n_steps=forecast_steps(network),
        profile=profile,
        code_version=version("pullplan"),
        rules_hash=rules_hash(network),
        learned_from=first - timedelta(days=days * (ROLLED_BUCKETS[horizon.bucket] - 1)),
    )


async def find_refreshed(
    connection: Connection,
    moment: facts.Moment,
    network: PlanningFacts,
    profile: ForecastProfile,
    base: BaseHead,
) -> tuple[ForecastFacts, MadeForecast] | None:
    """Make the series anew that have news since a base of the same buckets, and some that had drifted by then.

    None where the news change what all series tell together. To be called inside `opened_snapshot`.
    """
    horizon, n_steps = network.horizon, forecast_steps(network)
    async with forecast_refreshes.few_rows_read(connection):
        news = await forecast_refreshes.list_pairs_with_news(
            connection, base, moment.as_of, base.first_bucket_date, moment.time_zone
        )
        drifted = await forecast_refreshes.list_drifted_pairs(connection, base, MOST_REFITTED)
        pairs = tuple(sorted({*news, *drifted}))
        known = await facts.read_forecast_facts(connection, moment, network, n_steps=n_steps, pairs=pairs)
        known = msgspec.structs.replace(known, profile=profile)
        read = await forecast_refreshes.read_base(connection, base, horizon, pairs, n_steps=n_steps)
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
