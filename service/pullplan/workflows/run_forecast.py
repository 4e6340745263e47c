"""Which steps make a forecast run: read, forecast, store."""

from importlib.metadata import version
from itertools import pairwise
from uuid import UUID

import msgspec

from pullplan.engine.calendar import bucket_dates
from pullplan.engine.forecast import forecast_with_grounds
from pullplan.engine.model import Forecast, ForecastFacts, ForecastRequest, Grounds, PlanParameters, Progress
from pullplan.engine.netting import forecast_steps
from pullplan.engine.plan import snapshot_hash
from pullplan.storage import facts, forecasts
from pullplan.storage.database import Connection
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.finish_run import storing_results


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
        known = await facts.read_forecast_facts(connection, moment, network, n_steps=forecast_steps(network))
    made = compute_forecast(known, desk.progress)
    desk.progress("storing", 0.0)
    async with storing_results(desk, run, f"/v1/forecasts/{run.run_id}") as storing:
        wall_seconds = desk.clock() - began
        await store_forecast(storing, run.run_id, moment, known, made, wall_seconds=wall_seconds)


class MadeForecast(msgspec.Struct, frozen=True):
    """A forecast, and what each of its series rests on."""

    forecast: Forecast
    grounds: tuple[Grounds, ...]
    """Shapes: (n_series,)"""


def compute_forecast(known: ForecastFacts, progress: Progress) -> MadeForecast:
    """Forecast, telling which stage it is at in a planner's words."""
    progress("forecasting", 0.0)
    return MadeForecast(
        *forecast_with_grounds(known, lambda stage, done: progress(f"forecasting: {stage}", done))
    )


async def store_forecast(
    connection: Connection,
    run_id: UUID,
    moment: facts.Moment,
    known: ForecastFacts,
    made: MadeForecast,
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
    dates = [first for first, _ in pairwise(bucket_dates(horizon, made.forecast.n_steps))]
    await forecasts.insert(connection, record, made.forecast, made.grounds, dates)
