"""What does one plan have otherwise than another, line by line, why, and at what saving?"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Stream

from pullplan.api import lists, rows
from pullplan.api.access import require
from pullplan.api.dependencies import PoolOf
from pullplan.api.errors import PlansNotComparableError
from pullplan.api.fields import CodeFilter
from pullplan.api.rows import TierFilter
from pullplan.engine.comparison import Causes, PlannedBuckets, common_buckets, compare
from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import Difference, Tier
from pullplan.storage import database, differences, plans

type _Place = tuple[str, str, date, Tier, int, int]
"""A need's key, and the part of its differences."""


async def _get_comparable(
    connection: database.Connection, plan_ids: tuple[UUID, UUID]
) -> tuple[asyncpg.Record, asyncpg.Record, PlannedBuckets]:
    """Get two plans and the buckets that both are of.

    Raises: ResourceUnknownError, PlansNotComparableError.
    """
    found = []
    for plan_id in plan_ids:
        plan = await plans.find(connection, plan_id)
        if plan is None:
            raise ResourceUnknownError("plan", plan_id)
        found.append(plan)
    before, after = found
    buckets = common_buckets(differences.buckets_of(before), differences.buckets_of(after))
    if buckets is None:
        said = (
            f"{plan['plan_id']} is of {plan['horizon_buckets']} {plan['bucket']}s from {plan['first_bucket_date']} on"
            for plan in found
        )
        raise PlansNotComparableError(f"the plans have no bucket in common: {'; '.join(said)}")
    return before, after, buckets


async def _differences(
    connection: database.Connection,
    plan_ids: tuple[UUID, UUID],
    after: _Place | None,
    filters: dict[str, str | None],
) -> AsyncGenerator[Difference]:
    """Compare the plans need by need, from behind a difference; inside a transaction."""
    first, second, buckets = await _get_comparable(connection, plan_ids)
    causes = Causes(
        await differences.read_side(connection, first), await differences.read_side(connection, second)
    )
    # Begin with the cursor's own need: some of its differences may be still to come.
    need = None if after is None else (*after[:4], after[4] - 1)
    needs = differences.stream_needs(connection, plan_ids, buckets, after=need, **filters)
    async with aclosing(needs):
        async for key, was, now in needs:
            for one in compare(key, was, now, causes):
                if after is None or _place(one) > after:
                    yield one


def _place(one: Difference) -> _Place:
    return one.product_code, one.region_code, one.need_bucket_date, one.tier, one.rank, one.part


async def _rows(
    pool: database.Pool, plan_ids: tuple[UUID, UUID], filters: dict[str, str | None]
) -> AsyncGenerator[dict[str, Any]]:
    """Compare by a connection of its own: a request's ends before the first byte leaves."""
    async with database.lent(pool) as connection, connection.transaction(readonly=True):
        async for one in _differences(connection, plan_ids, None, filters):
            yield msgspec.structs.asdict(one)


@get(
    "/v1/plans/{plan_id:uuid}/diff/{other_plan_id:uuid}",
    guards=[require("read")],
    operation_id="comparePlans",
    tags=["plans"],
    opt={"rows": Difference, "problems": (409,)},
)
async def compare_plans(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    plan_id: FromPath[UUID],
    other_plan_id: FromPath[UUID],
    product_code: CodeFilter = None,
    region_code: CodeFilter = None,
    tier: TierFilter = None,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
) -> Response[lists.Page[Difference]] | Stream:
    """Read what the second plan makes elsewhere than the first, which changed fact explains it, and what it saves; as CSV, NDJSON or XLSX the whole of it.

    Any two plans can be compared whose buckets are of one length and whose horizons share one: over what is due in the
    buckets that they share.
    """
    plan_ids = (plan_id, other_plan_id)
    filters = {"product_code": product_code, "region_code": region_code, "tier": tier}
    form = rows.accepted_form(request)
    if form is not None:
        async with database.lent(pool) as connection:
            await _get_comparable(connection, plan_ids)
        return rows.streamed(_rows(pool, plan_ids, filters), Difference, form)
    after = lists.decode_cursor(cursor, tuple[str, str, date, Tier, int, int])
    found: list[Difference] = []
    async with (
        database.lent(pool) as connection,
        connection.transaction(readonly=True),
        aclosing(_differences(connection, plan_ids, after, filters)) as compared,
    ):
        async for one in compared:
            found.append(one)
            if len(found) > limit:
                break
    return Response(lists.page(found, limit, key=_place))


ROUTES = [compare_plans]
