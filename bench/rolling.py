"""How good is a forecast that was rolled forward week after week, against one for which all models were chosen anew?

As long as a forecast is ever rolled: each week from the forecast of the week before, as the service does, with no other knowledge
than a full forecast of that week has. Both are scored on the same demand, which came later.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from bench.demands import LAST_YEAR_WEEKS, Origin, Row, avocado, iowa, rolling_origins
from bench.figure import figure
from bench.scores import Said, score

from pullplan.engine.forecast import ROLLED_BUCKETS, forecast_with_grounds, roll_forward
from pullplan.engine.model import Forecast, ForecastBase, ForecastFacts, ForecastsInForce

Figures = list[dict[str, Any]]

ENDS_WEEKS_BACK = range(8, LAST_YEAR_WEEKS, 16)
"""From where is scored, over the last year."""
WORSE_LIMIT = 0.05


def rolled_against_full() -> Figures:
    """Compare them on both weekly sets."""
    return [*_compared("iowa", iowa()), *_compared("avocado", avocado())]


def _compared(name: str, rows: list[Row]) -> Figures:
    rolled: list[Said] = []
    full: list[Said] = []
    for end in ENDS_WEEKS_BACK:
        weeks = list(
            rolling_origins(
                rows, first_weeks_back=end + ROLLED_BUCKETS["week"], last_weeks_back=end, stride_weeks=1
            )
        )
        base = _full(weeks[0])
        for week in weeks[1:]:
            base = _rolled(week, base)
        rolled += _said(base.forecast, weeks[-1])
        full += _said(_full(weeks[-1]).forecast, weeks[-1])
    theirs, ours = score(full), score(rolled)
    told = (
        f"{name}, {len(ENDS_WEEKS_BACK)} origins, quick, rolled {ROLLED_BUCKETS['week']} weeks against full"
    )
    return [
        *(
            figure(
                f"{told}: {what}", of_rolled, unit, reference=of_full, must=f"<= {1 + WORSE_LIMIT:.2f} × reference",
                reached=of_rolled <= (1 + WORSE_LIMIT) * of_full,
            )
            for what, unit, of_rolled, of_full in (
                ("WAPE of p50", "share", ours.wape_of_p50, theirs.wape_of_p50),
                ("mean pinball loss", "units", ours.pinball_units, theirs.pinball_units),
            )
        ),
        *(
            figure(f"{told}: {what}", of_rolled, "share", reference=of_full, must="-", reached=None)
            for what, of_rolled, of_full in (
                ("bias of mean_units", ours.bias_share, theirs.bias_share),
                ("coverage of p10–p90", ours.coverage_share, theirs.coverage_share),
            )
        ),
    ]  # fmt: skip


def _full(week: Origin) -> ForecastBase:
    forecast, grounds, _, knowledge = forecast_with_grounds(_quick(week))
    return ForecastBase(forecast=forecast, grounds=grounds, knowledge=knowledge)


def _rolled(week: Origin, base: ForecastBase) -> ForecastBase:
    rolled = roll_forward(_quick(week), base, ForecastsInForce())
    assert rolled is not None
    return ForecastBase(forecast=rolled.forecast, grounds=rolled.grounds, knowledge=rolled.knowledge)


def _quick(week: Origin) -> ForecastFacts:
    return msgspec.structs.replace(week.known, profile="quick")


def _said(forecast: Forecast, week: Origin) -> Sequence[Said]:
    assert week.pairs == tuple((s.product_code, s.region_code) for s in forecast.series)
    return [
        Said(
            s.demand_class, actual, np.array(s.mean_units), np.array([s.p10_units, s.p50_units, s.p90_units])
        )
        for s, actual in zip(forecast.series, week.actual, strict=True)
    ]
