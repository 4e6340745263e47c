"""Which steps show what policies would change: read the facts once, forecast where either side needs it, net by both, store."""

from importlib.metadata import version

import msgspec

from pullplan.engine.calendar import first_day_of_bucket
from pullplan.engine.model import PlanParameters, PolicyPreviewRequest
from pullplan.engine.netting import compare_policies, forecast_steps, wants_forecast
from pullplan.storage import facts, policy_previews
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.finish_run import storing_results
from pullplan.workflows.run_forecast import compute_forecast, read_for_forecast
from pullplan.workflows.run_plan import read_named_forecast


async def run_policy_preview(desk: Desk, run: Claimed) -> None:
    """Net the same facts by the policies in force and by others, and store what differs; its id is the run's.

    Raises: ForecastUnsuitableError, RunLostError, DatabaseAwayError
    """
    began = desk.clock()
    request = msgspec.convert(run.parameters, PolicyPreviewRequest)
    desk.progress("reading", 0.0)
    async with (
        desk.line.lent() as connection,
        facts.opened_snapshot(connection, request.as_of, desk.time_zone) as moment,
    ):
        horizon = moment.horizon(request.bucket, request.horizon_buckets)
        stored = await facts.read_network_facts(connection, horizon, parameters=PlanParameters())
        laid_over = facts.lay_over(stored.policies, request.policy_overrides)
        other = msgspec.structs.replace(stored, policies=laid_over)
        # Usage and forecast reach as far as the policies of either side ask.
        both = msgspec.structs.replace(stored, policies=(*stored.policies, *laid_over))
        known = await facts.read_planning_facts(connection, moment, both)
        forecast = forecasting = None
        if request.forecast_id is not None:
            forecast = await read_named_forecast(connection, request.forecast_id, horizon)
        elif wants_forecast(stored) or wants_forecast(other):
            farthest = max(stored, other, key=forecast_steps)
            forecasting = await read_for_forecast(connection, moment, farthest)
    if forecasting is not None:
        forecast = compute_forecast(forecasting, desk.progress, desk.spread).forecast
    desk.progress("netting", 0.0)
    before, after = (
        msgspec.structs.replace(known, policies=side.policies, forecast=forecast) for side in (stored, other)
    )
    effects = compare_policies(before, after)
    record = policy_previews.PreviewRecord(
        preview_id=run.run_id,
        parameters=msgspec.to_builtins(msgspec.structs.replace(request, as_of=moment.as_of)),
        as_of=moment.as_of,
        first_bucket_date=first_day_of_bucket(horizon.as_of_date, horizon.bucket),
        n_effects=len(effects),
        needed_units_before=sum(effect.needed_units_before for effect in effects),
        needed_units_after=sum(effect.needed_units_after for effect in effects),
        wall_seconds=desk.clock() - began,
        code_version=version("pullplan"),
    )
    desk.progress("storing", 0.0)
    async with storing_results(desk, run, f"/v1/policies/previews/{run.run_id}") as storing:
        await policy_previews.insert(storing, record, effects)
