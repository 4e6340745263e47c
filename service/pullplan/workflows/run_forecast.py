"""Which steps make a forecast run: read, forecast, store."""

from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from time import perf_counter
from typing import Any
from uuid import UUID

import msgspec

from pullplan.engine.assignment import Spread, here
from pullplan.engine.calendar import bucket_dates
from pullplan.engine.forecast import forecast_demand
from pullplan.engine.model import Forecast, ForecastFacts, ForecastRequest, PlanParameters, Progress
from pullplan.engine.netting import forecast_steps
from pullplan.engine.plan import snapshot_hash
from pullplan.storage import database, facts, forecasts
from pullplan.storage.database import Connection
from pullplan.workflows.finish_run import storing_results


async def run_forecast(
    database_url: str,
    run_id: UUID,
    attempt: int,
    parameters: dict[str, Any],
    *,
    time_zone: str,
    progress: Progress,
    spread: Spread = here,  # noqa: ARG001 - every workflow is lent workers; this one needs none
    clock: Callable[[], float] = perf_counter,
) -> None:
    """Make and store the forecast that `parameters` (a ForecastRequest) ask for; its id is the run's.

    Raises: RunLostError, DatabaseAwayError
    """
    began = clock()
    request = msgspec.convert(parameters, ForecastRequest)
    progress("reading", 0.0)
    connection = await database.connect(database_url)
    try:
        async with facts.opened_snapshot(connection, request.as_of, time_zone) as moment:
            horizon = moment.horizon(request.bucket, request.horizon_buckets)
            network = await facts.read_network_facts(connection, horizon, parameters=PlanParameters())
            known = await facts.read_forecast_facts(
                connection, moment, network, n_steps=forecast_steps(network)
            )
    finally:
        await connection.close()
    forecast = compute_forecast(known, progress)
    progress("storing", 0.0)
    async with storing_results(database_url, run_id, attempt, f"/v1/forecasts/{run_id}") as storing:
        await store_forecast(storing, run_id, moment, known, forecast, wall_seconds=clock() - began)


def compute_forecast(known: ForecastFacts, progress: Progress) -> Forecast:
    """Forecast, telling which stage it is at in a planner's words."""
    progress("forecasting", 0.0)
    return forecast_demand(known, lambda stage, done: progress(f"forecasting: {stage}", done))


async def store_forecast(
    connection: Connection,
    run_id: UUID,
    moment: facts.Moment,
    known: ForecastFacts,
    forecast: Forecast,
    *,
    wall_seconds: float,
) -> None:
    """Store a forecast under its run's id, inside the caller's transaction."""
    horizon = known.horizon
    request = ForecastRequest(
        as_of=moment.as_of, bucket=horizon.bucket, horizon_buckets=horizon.horizon_buckets
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
    )
    dates = [first for first, _ in pairwise(bucket_dates(horizon, forecast.n_steps))]
    await forecasts.insert(connection, record, forecast, dates)
