"""Which units are already on their way to a region, each counted once, and when do they count?"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from pullplan.engine.calendar import bucket_of
from pullplan.engine.demand import Pair
from pullplan.engine.model import OpenSupply, PlanningFacts, ReleasedWork
from pullplan.engine.released import kept_work


def arriving_supply(facts: PlanningFacts) -> list[tuple[Pair, date, float]]:
    """List what is already coming, each work order once: where the caller echoes it, the caller's line counts.

    An open-supply line echoes a work order by its work_order_id or by an external id that an export gave out.
    """
    return _dated((*facts.open_supply, *_unnamed_work(facts)))


def arriving_work(facts: PlanningFacts) -> list[tuple[Pair, date, float]]:
    """List of what is already coming what was made for this deployment's own demand: released work, or its echo."""
    given_out = {external_id for work in facts.released_work for external_id in work.export_ids}
    echoes = [s for s in facts.open_supply if s.work_order_id is not None or s.external_id in given_out]
    return _dated((*echoes, *_unnamed_work(facts)))


def _unnamed_work(facts: PlanningFacts) -> Iterator[ReleasedWork]:
    """List kept work that no open-supply line stands for."""
    named = {s.work_order_id for s in facts.open_supply} | {s.external_id for s in facts.open_supply}
    return (w for w in kept_work(facts) if named.isdisjoint({w.work_order_id, *w.export_ids}))


def _dated(supply: Iterable[OpenSupply | ReleasedWork]) -> list[tuple[Pair, date, float]]:
    return sorted(
        (
            (s.product_code, s.region_code),
            s.due_date if isinstance(s, OpenSupply) else s.arrival_date,
            s.units,
        )
        for s in supply
    )


def receipt_bucket(due: date, facts: PlanningFacts) -> int | None:
    """Number the bucket in which supply counts: overdue in bucket 0 for a while, then as nothing."""
    horizon = facts.horizon
    if due < horizon.as_of_date:
        still_believed = horizon.as_of_date - due <= timedelta(days=facts.parameters.overdue_days)
        return 0 if still_believed else None
    return bucket_of(due, horizon)
