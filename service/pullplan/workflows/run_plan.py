"""Which steps make a plan run: read, forecast where a policy needs it, plan, store."""

from collections.abc import Callable
from importlib.metadata import version
from uuid import UUID

import msgspec

from pullplan.engine.calendar import bucket_dates, first_day_of_bucket
from pullplan.engine.demand import PolicyBook, has_policy
from pullplan.engine.errors import PullplanError
from pullplan.engine.model import (
    Books,
    BufferChange,
    BufferDerivation,
    BufferSizing,
    Forecast,
    Horizon,
    Plan,
    PlanningFacts,
    PlanParameters,
    PlanRequest,
)
from pullplan.engine.netting import keep_books, spare_stock, tell_buffers, wants_forecast
from pullplan.engine.plan import in_canonical_order, make_plan
from pullplan.engine.replanning import Churn, Warm, touched_needs, touched_products
from pullplan.engine.stores import with_pooled_regions, with_stores
from pullplan.storage import books, buffer_proposals, buffers, facts, forecasts, plans, replans, verifications
from pullplan.storage.database import Connection
from pullplan.storage.plan_reading import WholePlan
from pullplan.storage.queue import Claimed
from pullplan.workflows.desk import Desk
from pullplan.workflows.finish_run import storing_results
from pullplan.workflows.known_plans import KnownPlan, KnownPlans
from pullplan.workflows.propose_buffers import propose_buffers
from pullplan.workflows.refresh_forecast import MadeForecast
from pullplan.workflows.run_forecast import (
    ForecastReading,
    compute_forecast,
    read_for_forecast,
    store_forecast,
)
from pullplan.workflows.verify_plan import read_to_check, store_verification


class ForecastUnsuitableError(PullplanError):
    """The named forecast does not fit the plan that was asked for."""

    code = "forecast-unsuitable"


class ParentUnsuitableError(PullplanError):
    """The plan that was to be re-planned is gone, or does not fit the horizon that was asked for."""

    code = "parent-unsuitable"


class PlanInvalidError(PullplanError):
    """The plan that was made did not pass the verification that was asked for with it."""

    code = "plan-invalid"


class _Read(msgspec.Struct, frozen=True):
    moment: facts.Moment
    planning: PlanningFacts
    """With the named forecast, where one was named."""
    forecasting: ForecastReading | None
    """What a fresh forecast is to be made from, where one is needed."""
    forecast_id: UUID | None
    """The stored forecast that it was planned with."""
    parent: KnownPlan | None
    parent_books: books.Parts | None
    churn: Churn


class _Made(msgspec.Struct, frozen=True):
    planning: PlanningFacts
    plan: Plan
    buffers: list[BufferDerivation]
    buffer_changes: list[BufferChange]
    kept_books: Books
    touched_needs: set[int]
    """Of which a re-plan says anything else than its parent."""
    renewed_books: books.Renewed | None
    """Which parts of the parent's books these stand for; None: for all of a plan's own."""
    warm: Warm | None
    """What a re-plan has left for the next one."""
    fresh_forecast: MadeForecast | None
    forecasting_seconds: float


async def run_plan(desk: Desk, run: Claimed) -> None:
    """Make and store the plan that the parameters (a PlanRequest) ask for; its id is the run's.

    Without a named forecast a fresh one is made where a policy needs it, and stored with the plan under the same id.
    So is a verification, where one is asked for: of what can be read back, before the run has succeeded.

    Raises: ForecastUnsuitableError, ParentUnsuitableError, AssignmentFailedError, PlanInvalidError, RunLostError,
        DatabaseAwayError
    """
    began = desk.clock()
    request = msgspec.convert(run.parameters, PlanRequest)
    desk.progress("reading", 0.0)
    async with desk.line.lent() as connection:
        read = await _read(connection, request, desk.time_zone, desk.plans)
    made = _compute(read, request, desk)
    desk.progress("storing", 0.0)
    record = plans.PlanRecord(
        plan_id=run.run_id,
        run_id=run.run_id,
        forecast_id=read.forecast_id if made.fresh_forecast is None else run.run_id,
        as_of=read.moment.as_of,
        parameters=msgspec.to_builtins(msgspec.structs.replace(request, as_of=read.moment.as_of)),
        snapshot_at=read.moment.snapshot_at,
        wall_seconds=desk.clock() - began,
        code_version=version("pullplan"),
        parent_plan_id=request.parent_plan_id,
    )
    async with storing_results(desk, run, f"/v1/plans/{run.run_id}") as storing:
        await _store(storing, record, read, made)
        if made.buffers and not request.policy_overrides:  # what if is no proposal
            await propose_buffers(storing, run.run_id, record.as_of, made.buffer_changes)
        if request.verify:
            await _verify(storing, run.run_id, desk)
    dates = bucket_dates(made.planning.horizon)[:-1]
    whole = WholePlan(plan_id=run.run_id, facts=made.planning, plan=made.plan, bucket_dates=dates)
    desk.plans.keep(whole, made.warm)


async def _verify(connection: Connection, plan_id: UUID, desk: Desk) -> None:
    """Check a plan that is stored, but not yet seen by anybody.

    Raises: PlanInvalidError
    """
    began = desk.clock()
    desk.progress("checking", 0.0)
    await verifications.allow_long_checks(connection)
    outcome = (await read_to_check(connection, plan_id, desk.plans)).check()
    if not outcome.valid:
        raise PlanInvalidError(
            f"{outcome.n_findings} findings in what was stored, which is taken back: {outcome.findings[0].detail}"
        )
    await store_verification(connection, plan_id, plan_id, outcome, wall_seconds=desk.clock() - began)


def _compute(read: _Read, request: PlanRequest, desk: Desk) -> _Made:
    planning, forecast, seconds = read.planning, None, 0.0
    if read.forecasting is not None:
        began = desk.clock()
        forecast = compute_forecast(read.forecasting, desk.progress, desk.spread)
        seconds = desk.clock() - began
        planning = msgspec.structs.replace(planning, forecast=forecast.forecast)
    planning = with_pooled_regions(planning, spare_stock(planning))
    planning = in_canonical_order(planning)  # what is stored is what the snapshot hash names, byte for byte
    if read.parent is None:
        should_stop = _time_is_up(request.solve_seconds_max, desk.clock)
        plan, warm = make_plan(planning, desk.progress, should_stop, desk.spread), None
    else:
        plan, warm = read.parent.warm.replan(planning, read.churn, desk.progress)
    touched, renewed = _touched(read, planning, plan)
    some = None if renewed is None else renewed.products_among(one.product_code for one in planning.products)
    kept = keep_books(planning, plan, some)
    return _Made(planning, plan, *tell_buffers(planning), kept, touched, renewed, warm, forecast, seconds)


def _touched(read: _Read, planning: PlanningFacts, plan: Plan) -> tuple[set[int], books.Renewed | None]:
    """Tell of which needs a re-plan says anything else than its parent, and which parts of the parent's books may."""
    if read.parent is None:
        return set(), None
    was = read.parent.whole
    needs = touched_needs(planning, plan, was.facts, was.plan)
    products = touched_products(planning, plan, was.facts, was.plan, needs)
    if products is None or read.parent_books is None:
        return needs, None
    return needs, read.parent_books.renewed_by(products)


def _time_is_up(seconds: float | None, clock: Callable[[], float]) -> Callable[[], bool] | None:
    if seconds is None:
        return None
    end = clock() + seconds
    return lambda: clock() >= end


async def _store(connection: Connection, record: plans.PlanRecord, read: _Read, made: _Made) -> None:
    if read.forecasting is not None and made.fresh_forecast is not None:
        await store_forecast(
            *(connection, record.run_id, read.moment, made.planning, made.fresh_forecast),
            known=read.forecasting.known,
            wall_seconds=made.forecasting_seconds,
        )
    dates = bucket_dates(made.planning.horizon)[:-1]
    if read.parent is None:
        await plans.insert(connection, record, made.plan, made.planning, dates)
    else:
        await replans.insert(
            *(connection, record, made.plan, made.planning, dates),
            parent=read.parent.whole,
            touched_needs=made.touched_needs,
        )
    await buffers.insert(connection, record.plan_id, made.buffers)
    await books.insert(connection, record.plan_id, made.kept_books, dates, made.renewed_books)


async def _read(connection: Connection, request: PlanRequest, time_zone: str, known: KnownPlans) -> _Read:
    parameters = PlanParameters(**{name: getattr(request, name) for name in PlanParameters.__struct_fields__})
    async with facts.opened_snapshot(connection, request.as_of, time_zone) as moment:
        network = await facts.read_network_facts(
            connection,
            moment.horizon(request.bucket, request.horizon_buckets),
            parameters=parameters,
            policy_overrides=request.policy_overrides,
        )
        planning = await facts.read_planning_facts(connection, moment, network)
        if has_policy("ddmrp_buffer", network):
            accepted = await buffer_proposals.read_accepted(connection, moment.as_of)
            in_force = _without_overridden(accepted, network, request)
            planning = msgspec.structs.replace(planning, accepted_sizings=in_force)
        planning = with_stores(planning, await facts.read_node_stock(connection, moment))
        parent, parent_books, forecast_id = None, None, request.forecast_id
        if request.parent_plan_id is not None:
            parent, forecast_of_parent = await _read_parent(
                connection, request.parent_plan_id, network.horizon, known
            )
            parent_books = await books.Parts.of(connection, request.parent_plan_id)
            forecast_id = forecast_id or forecast_of_parent
        forecasting = None
        if forecast_id is not None:
            named = await read_named_forecast(connection, forecast_id, network.horizon)
            planning = msgspec.structs.replace(planning, forecast=named)
        elif wants_forecast(network):
            forecasting = await read_for_forecast(connection, moment, network)
        churn = Churn(request.churn_budget_units, request.least_saving_per_unit)
        return _Read(moment, planning, forecasting, forecast_id, parent, parent_books, churn)


def _without_overridden(
    accepted: tuple[BufferSizing, ...], network: PlanningFacts, request: PlanRequest
) -> tuple[BufferSizing, ...]:
    """Leave out what a policy of the request itself pulls: it is asked what that would size."""
    book, overrides = PolicyBook(network.policies), {id(policy) for policy in request.policy_overrides}
    return tuple(
        one for one in accepted if id(book.policy_of(one.product_code, one.region_code)) not in overrides
    )


async def _read_parent(
    connection: Connection, parent_plan_id: UUID, horizon: Horizon, known: KnownPlans
) -> tuple[KnownPlan, UUID | None]:
    """Find the plan that is to be re-planned, and its forecast where that is of the same buckets."""
    head = await plans.find(connection, parent_plan_id)
    parent = await known.find(connection, parent_plan_id)
    if head is None or parent is None:
        raise ParentUnsuitableError(f"there is no plan {parent_plan_id}")
    of_parent = parent.whole.facts.horizon
    bucket, dates, wanted = of_parent.bucket, bucket_dates(of_parent), bucket_dates(horizon)
    if bucket != horizon.bucket or dates[-1] <= wanted[0] or wanted[-1] <= dates[0]:
        raise ParentUnsuitableError(
            f"the plan {parent_plan_id} is of {dates[0]} to {dates[-1]} by {bucket}; "
            f"no {horizon.bucket} of it lies in {wanted[0]} to {wanted[-1]}"
        )
    is_same = dates[0] == wanted[0] and len(dates) == len(wanted)
    return parent, head["forecast_id"] if is_same else None


async def read_named_forecast(connection: Connection, forecast_id: UUID, horizon: Horizon) -> Forecast:
    """Find the forecast that was asked for.

    Raises: ForecastUnsuitableError where there is none, or it does not fit the horizon.
    """
    forecast = await forecasts.find_for_planning(connection, forecast_id)
    if forecast is None:
        raise ForecastUnsuitableError(f"there is no forecast {forecast_id}")
    first = first_day_of_bucket(horizon.as_of_date, horizon.bucket)
    wanted = f"the plan wants {horizon.horizon_buckets} buckets of one {horizon.bucket} from {first} on"
    given = f"the forecast {forecast_id} has {forecast.n_steps} of one {forecast.bucket} from {forecast.first_bucket_date} on"
    if (forecast.bucket, forecast.first_bucket_date) != (
        horizon.bucket,
        first,
    ) or forecast.n_steps < horizon.horizon_buckets:
        raise ForecastUnsuitableError(f"{wanted}, but {given}")
    return forecast
