"""How does a forecast roll forward over the buckets that have ended since, without choosing all models anew?"""

import math
from dataclasses import dataclass

import msgspec
import numpy as np

from pullplan.engine.calendar import DAYS_PER_BUCKET, first_day_of_bucket
from pullplan.engine.demand import bucket_history
from pullplan.engine.forecast.experience import judge_forecasts_in_force
from pullplan.engine.forecast.marks import mark_history
from pullplan.engine.forecast.panel import recent_history
from pullplan.engine.forecast.refresh import Refresh, histories
from pullplan.engine.forecast.tournament import Progress
from pullplan.engine.model import (
    Bucket,
    Experience,
    Forecast,
    ForecastBase,
    ForecastFacts,
    ForecastsInForce,
    Grounds,
    Heard,
    PanelKnowledge,
)
from pullplan.engine.sharding import Spread, here

# A forecast is rolled forward for so long; then all that its series tell together is learned anew, and all compete.
ROLLED_BUCKETS: dict[Bucket, int] = {"week": 4, "day": 7}

# Of a panel so many drifted series compete again while the others roll on, the farthest drifted first: each costs as much as in
# a forecast of all.
REFITTED_SHARE = 0.05


@dataclass(frozen=True)
class Rolled:
    """A forecast that was rolled forward. Shapes: grounds (n_series,)."""

    forecast: Forecast
    grounds: tuple[Grounds, ...]
    experience: Experience
    knowledge: PanelKnowledge


def roll_forward(
    facts: ForecastFacts,
    base: ForecastBase,
    in_force: ForecastsInForce,
    progress: Progress | None = None,
    spread: Spread = here,
) -> Rolled | None:
    """Forecast all pairs from a base of earlier buckets: models stay, and what has come since moves their states.

    Of the series that have drifted, judged by the forecasts `in_force`, a bounded number compete again. None where a pair of
    the base is no longer forecast.
    """
    history = recent_history(bucket_history(facts))
    before = {(s.product_code, s.region_code) for s in base.forecast.series}
    if not before <= {*history.pairs}:
        return None
    marked = mark_history(history, facts)
    judged, experience = judge_forecasts_in_force(
        history.pairs, histories(history, marked), history.bucket, in_force
    )
    signals = {
        pair: abs(told.experience.tracking_signal or 0.0)
        for pair, told in zip(history.pairs, judged, strict=True)
        if told.experience.has_drifted
    }
    farthest = sorted(signals, key=lambda pair: (-signals[pair], pair))
    first = first_day_of_bucket(facts.horizon.as_of_date, history.bucket)
    n_ended = (first - base.forecast.first_bucket_date).days // DAYS_PER_BUCKET[history.bucket]
    base = msgspec.structs.replace(base, knowledge=_turned(base.knowledge, n_ended, history.heard))
    refresh = Refresh(
        facts,
        base,
        history,
        marked,
        {*farthest[: math.ceil(REFITTED_SHARE * len(history.pairs))]},
        n_ended=n_ended,
        progress=progress or (lambda _stage, _share: None),
        spread=spread,
    )
    grounds = (
        msgspec.structs.replace(told, experience=of_series.experience)
        for told, of_series in zip(refresh.grounds("bucket"), judged, strict=True)
    )
    return Rolled(refresh.forecast(), tuple(grounds), experience, base.knowledge)


def _turned(knowledge: PanelKnowledge, n_ended: int, heard: Heard) -> PanelKnowledge:
    """Let seasons begin so many buckets later."""
    products = (
        msgspec.structs.replace(p, season_factors=tuple(np.roll(p.season_factors, -n_ended).tolist()))
        for p in knowledge.products
    )
    return msgspec.structs.replace(knowledge, heard=heard, products=tuple(products))
