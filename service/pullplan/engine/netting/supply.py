"""Which units are already on their way to a region, each counted once, and when do they count?"""

from collections.abc import Iterable
from datetime import date, timedelta

from pullplan.engine.calendar import bucket_of
from pullplan.engine.demand import Pair
from pullplan.engine.model import OpenSupply, PlanningFacts, ReleasedWork
from pullplan.engine.released import kept_work


def arriving_supply(facts: PlanningFacts) -> list[tuple[Pair, date, float]]:
    """List what is already coming, each work order once: where the caller echoes it, the caller's line counts.

    An open-supply line echoes a work order by its work_order_id or by an external id that an export gave out.
    """
    named = {s.work_order_id for s in facts.open_supply} | {s.external_id for s in facts.open_supply}
    supply: Iterable[OpenSupply | ReleasedWork] = (
        *facts.open_supply,
        *(w for w in kept_work(facts) if named.isdisjoint({w.work_order_id, *w.export_ids})),
    )
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
