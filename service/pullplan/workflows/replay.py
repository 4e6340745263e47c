"""Which steps replay history: read what was known at each bucket, forecast now and then, plan, and live through it?"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from pullplan.engine.calendar import DAYS_PER_BUCKET, first_day_of_bucket
from pullplan.engine.demand import Pair, bucket_history
from pullplan.engine.errors import PullplanError
from pullplan.engine.forecast import forecast_demand
from pullplan.engine.model import Bucket, Forecast, ForecastFacts, Horizon, PlanningFacts, PlanParameters
from pullplan.engine.netting import forecast_steps, wants_forecast
from pullplan.engine.replay import Replay, ReplayPolicy, later_steps
from pullplan.storage import facts
from pullplan.storage.database import Connection

BUCKET: Bucket = "week"


class NothingToReplayError(PullplanError):
    """There is no demand between the days that were to be replayed."""

    code = "nothing-to-replay"


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which buckets are replayed, how each is planned, and under which policies."""

    from_date: date
    until_date: date
    """The first day that is not replayed any more."""
    policies: tuple[ReplayPolicy, ...]
    parameters: PlanParameters = PlanParameters()
    horizon_buckets: int = 8
    """Of each plan."""
    refit_every_buckets: int = 4
    """Forecasts in between are the later steps of the last one."""
    warm_up_buckets: int = 8
    """Lived through before `from_date`, so that stock is no longer what it happened to be at the start."""

    @property
    def first_reported_date(self) -> date:
        """The first day after the warm-up."""
        return first_day_of_bucket(self.from_date, BUCKET)

    def bucket_dates(self) -> list[date]:
        """List the first days of all buckets, the warm-up's too."""
        step = timedelta(days=DAYS_PER_BUCKET[BUCKET])
        first = self.first_reported_date - self.warm_up_buckets * step
        n_buckets = -(-(self.until_date - first).days // step.days)
        return [first + b * step for b in range(n_buckets)]


class _Reader:
    """Reads what was known at a bucket's first instant; the network is as it is today."""

    def __init__(self, connection: Connection, time_zone: str, request: ReplayRequest) -> None:
        self._connection, self._time_zone, self._request = connection, time_zone, request

    def instant(self, day: date) -> datetime:
        return datetime.combine(day, time(), ZoneInfo(self._time_zone))

    async def known(self, day: date) -> PlanningFacts:
        request = self._request
        async with facts.opened_snapshot(self._connection, self.instant(day), self._time_zone) as moment:
            network = await facts.read_network_facts(
                self._connection,
                moment.horizon(BUCKET, request.horizon_buckets),
                parameters=request.parameters,
            )
            # Buffers of any policy say how far back usage is read.
            given = tuple(p.policy for p in request.policies if p.policy is not None)
            reading = msgspec.structs.replace(network, policies=(*network.policies, *given))
            known = await facts.read_planning_facts(self._connection, moment, reading)
            return msgspec.structs.replace(known, policies=network.policies)

    async def forecast_facts(self, known: PlanningFacts, n_steps: int) -> ForecastFacts:
        instant = self.instant(known.horizon.as_of_date)
        async with facts.opened_snapshot(self._connection, instant, self._time_zone) as moment:
            read = await facts.read_forecast_facts(self._connection, moment, known, n_steps=n_steps)
        return msgspec.structs.replace(read, profile="quick")


async def replay(
    connection: Connection,
    request: ReplayRequest,
    time_zone: str,
    after_bucket: Callable[[Sequence[Replay], int, int], None],
) -> None:
    """Live through history bucket by bucket, every policy beside the others, each with stock of its own.

    `after_bucket` is told the replays as they stand, how many buckets are done, and of how many.

    What is demanded is what history says by today, as forecasts count it: by consumption or orders, returns netted.

    Raises: NothingToReplayError
    """
    reader, dates = _Reader(connection, time_zone, request), request.bucket_dates()
    demand = await _read_demand(reader, dates)
    replays: list[Replay] = []
    forecast: Forecast | None = None
    refit_after = timedelta(days=request.refit_every_buckets * DAYS_PER_BUCKET[BUCKET])
    for b, day in enumerate(dates):
        known = await reader.known(day)
        if b == 0:
            replays = [Replay(policy, known) for policy in request.policies]
        looking = [r.under_policy(known) for r in replays if wants_forecast(r.under_policy(known))]
        if looking and (forecast is None or day - forecast.first_bucket_date >= refit_after):
            n_steps = max(map(forecast_steps, looking)) + request.refit_every_buckets - 1
            forecast = forecast_demand(await reader.forecast_facts(known, n_steps))
        now = later_steps(forecast, day) if looking and forecast is not None else None
        planned = [one.plan(known, now) for one in replays]
        for one, plan in zip(replays, planned, strict=True):
            one.live(plan, demand.get(day, {}))
        after_bucket(replays, b + 1, len(dates))


async def _read_demand(reader: _Reader, dates: Sequence[date]) -> Mapping[date, Mapping[Pair, float]]:
    """Gather what was demanded in each bucket of what is made and of where it goes today.

    Raises: NothingToReplayError
    """
    end = dates[-1] + timedelta(days=DAYS_PER_BUCKET[BUCKET])
    known = await reader.known(end)
    horizon = Horizon(as_of_date=end, bucket=BUCKET, horizon_buckets=1)
    history = bucket_history(
        await reader.forecast_facts(msgspec.structs.replace(known, horizon=horizon), n_steps=1)
    )
    products = {product.product_code for product in known.products}
    regions = {region.region_code for region in known.regions}
    demand: dict[date, dict[Pair, float]] = {}
    for pair, units in zip(history.pairs, history.units, strict=True):
        if pair[0] not in products or pair[1] not in regions:
            continue
        for b in np.flatnonzero(np.nan_to_num(units) > 0).tolist():
            demand.setdefault(history.date_of(b), {})[pair] = float(units[b])
    if not any(day in demand for day in dates):
        raise NothingToReplayError(f"no demand is known between {dates[0]} and {end}")
    return demand
