"""Which steps make a forecast run: read, forecast, store."""

from datetime import timedelta
from importlib.metadata import version
from itertools import pairwise
from uuid import UUID

import msgspec

from pullplan.engine.calendar import DAYS_PER_BUCKET, bucket_dates, first_day_of_bucket
from pullplan.engine.forecast import (
    DRAFTED,
    JUDGED_BUCKETS,
    forecast_with_grounds,
    judge_forecasts_in_force,
    roll_forward,
)
from pullplan.engine.model import (
    ForecastBase,
    ForecastFacts,
    ForecastProfile,
    ForecastRequest,
    ForecastsInForce,
    PlanningFacts,
    PlanParameters,
    Progress,
)
from pullplan.engine.netting import forecast_steps
from pullplan.engine.plan import snapshot_hash
from pullplan.engine.sharding import Spread
from pullplan.storage import facts, forecast_refreshes, forecast_totals, forecasts
from pullplan.storage.database import Connection
from pullplan.storage.forecast_refreshes import BaseHead
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.finish_run import storing_results
from pullplan.workflows.free_memory import give_back
from pullplan.workflows.refresh_forecast import MadeForecast, find_base, find_refreshed, rules_hash


async def run_forecast(desk: Desk, run: Claimed) -> None:
    """Make and store the forecast that the parameters (a ForecastRequest) ask for; its id is the run's.

    Raises: RunLostError, DatabaseAwayError
    """
    began = desk.clock()
    request = msgspec.convert(run.parameters, ForecastRequest)
    desk.progress("reading", 0.0)
    async with (
        desk.line.lent() as connection,
        facts.opened_snapshot(connection, request.as_of, desk.time_zone) as moment,
    ):
        horizon = moment.horizon(request.bucket, request.horizon_buckets)
        network = await facts.read_network_facts(connection, horizon, parameters=PlanParameters())
        base = await find_base(connection, moment, network, request.profile) if request.refresh else None
        refreshed = reading = None
        if base is not None and base.first_bucket_date == first_day_of_bucket(
            horizon.as_of_date, horizon.bucket
        ):
            refreshed = await find_refreshed(connection, moment, network, request.profile, base)
            base = None
        if refreshed is None:
            reading = await read_for_forecast(connection, moment, network, request.profile, rolled_from=base)
    if reading is not None:
        refreshed = reading.known, compute_forecast(reading, desk.progress, desk.spread)
    assert refreshed is not None  # noqa: S101 - one of both was made
    known, made = refreshed
    desk.progress("storing", 0.0)
    async with storing_results(desk, run, f"/v1/forecasts/{run.run_id}") as storing:
        wall_seconds = desk.clock() - began
        await store_forecast(
            *(storing, run.run_id, moment, network, made),
            known=known,
            wall_seconds=wall_seconds,
            refresh=request.refresh,
        )


class ForecastReading(msgspec.Struct, frozen=True):
    """What a forecast is made from, and what had been forecast before."""

    known: ForecastFacts
    in_force: ForecastsInForce
    """No part of the facts: forecasts are judged by it, not made from it."""
    rolled_from: tuple[UUID, ForecastBase] | None = None
    """A forecast of earlier buckets to roll forward, and its id."""


async def read_for_forecast(
    connection: Connection,
    moment: facts.Moment,
    network: PlanningFacts,
    profile: ForecastProfile = "thorough",
    *,
    rolled_from: BaseHead | None = None,
) -> ForecastReading:
    """Read the facts, the forecasts in force in the latest complete buckets, and one to roll forward, from one snapshot."""
    n_steps = forecast_steps(network)
    known = await facts.read_forecast_facts(connection, moment, network, n_steps=n_steps)
    known = msgspec.structs.replace(known, profile=profile)
    bucket = network.horizon.bucket
    days, end = DAYS_PER_BUCKET[bucket], first_day_of_bucket(moment.as_of_date, bucket)
    first = end - timedelta(days=JUDGED_BUCKETS[bucket] * days)
    in_force = await forecasts.list_in_force(connection, bucket, first, end, moment.as_of, bucket_days=days)
    if rolled_from is None:
        return ForecastReading(known, in_force)
    async with forecast_refreshes.few_rows_read(connection):
        base = await forecast_refreshes.read_base(
            connection, rolled_from, network.horizon, None, n_steps=n_steps
        )
    return ForecastReading(known, in_force, (rolled_from.forecast_id, base))


def compute_forecast(reading: ForecastReading, progress: Progress, spread: Spread) -> MadeForecast:
    """Forecast, telling which stage it is at in a planner's words, and judge the forecasts before it."""
    progress("forecasting", 0.0)

    def hear(stage: str, done: float) -> None:
        if stage == DRAFTED:
            give_back()
        progress(f"forecasting: {stage}", done)

    if reading.rolled_from is not None:
        forecast_id, base = reading.rolled_from
        rolled = roll_forward(reading.known, base, reading.in_force, hear, spread)
        if rolled is not None:
            return MadeForecast(
                *(rolled.forecast, rolled.grounds, rolled.experience),
                knowledge=rolled.knowledge,
                rolled_from=forecast_id,
            )
    forecast, grounds, totals, knowledge = forecast_with_grounds(reading.known, hear, spread)
    pairs = [(s.product_code, s.region_code) for s in forecast.series]
    judged, experience = judge_forecasts_in_force(pairs, grounds, forecast.bucket, reading.in_force)
    return MadeForecast(forecast, judged, experience, totals, knowledge)


async def store_forecast(
    connection: Connection,
    run_id: UUID,
    moment: facts.Moment,
    network: PlanningFacts,
    made: MadeForecast,
    *,
    known: ForecastFacts,
    wall_seconds: float,
    refresh: bool = False,
) -> None:
    """Store a forecast under its run's id, inside the caller's transaction."""
    horizon = known.horizon
    request = ForecastRequest(
        as_of=moment.as_of,
        bucket=horizon.bucket,
        horizon_buckets=horizon.horizon_buckets,
        profile=known.profile,
        refresh=refresh,
    )
    record = forecasts.ForecastRecord(
        forecast_id=run_id,
        run_id=run_id,
        as_of=moment.as_of,
        horizon_buckets=horizon.horizon_buckets,
        parameters=msgspec.to_builtins(request),
        snapshot_at=moment.snapshot_at,
        snapshot_hash=snapshot_hash(known),
        wall_seconds=wall_seconds,
        code_version=version("pullplan"),
        experience=made.experience,
        base_forecast_id=None if made.base is None else made.base.forecast_id,
        rolled_from_forecast_id=made.rolled_from,
        seen=moment.seen,
        rules_hash=rules_hash(network),
        knowledge=made.knowledge,
    )
    dates = [first for first, _ in pairwise(bucket_dates(horizon, made.forecast.n_steps))]
    await forecasts.insert(connection, record, made.forecast, made.grounds, dates)
    if made.base is not None:
        await forecast_totals.insert_moved(connection, run_id, made.base.forecast_id)
    elif made.rolled_from is not None:
        await forecast_totals.insert_rolled(connection, run_id, made.rolled_from)
    else:
        await forecast_totals.insert(connection, run_id, made.totals, dates)
