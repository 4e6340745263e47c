"""What do stock and supply leave open of one product × region, line by line? The plain rule that netting many at once must keep."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from pullplan.engine.model import TIERS, Tier

TIER_ORDER = {tier: order for order, tier in enumerate(TIERS)}


@dataclass(frozen=True)
class DemandLine:
    """Units wanted in one bucket, all of one tier and rank; `external_id` settles who is served first."""

    tier: Tier
    units: float
    rank: int = 0
    external_id: str = ""


def peg(
    demand: Sequence[Sequence[DemandLine]],
    target_units: Sequence[float],
    receipts_units: Sequence[float],
    on_hand_units: float,
    shelf_buckets: int | None = None,
) -> list[dict[tuple[Tier, int], float]]:
    """Give stock and supply out by due date, tier, priority and external id; what is left open is need.

    need_b = max(0, target_b + gross_b − projected_(b-1) − receipts_b), cut into tier × rank. Safety stock that is
    still to be made serves no later demand, except what exceeds a falling target: if it is not made, it cannot.
    Stock below zero is filled up in bucket 0 as buffer: no open order stands behind it.

    The oldest goes first, and serves what is due at most `shelf_buckets` after it arrived; what is on hand is taken to be
    fresh, as its age isn't known.

    Shapes: all (n_buckets,), demand with lines inside → (n_buckets,)
    Source: the planning model, section 4.
    """
    there, planned = on_hand_units, 0.0
    arrived = list(accumulate(receipts_units, initial=on_hand_units))[1:]
    needs: list[dict[tuple[Tier, int], float]] = []
    for b, (lines, target, receipts) in enumerate(zip(demand, target_units, receipts_units, strict=True)):
        there += receipts
        if shelf_buckets is not None and b > shelf_buckets:
            # What came since is fresh; of the rest, what is still there has grown too old.
            fresh = arrived[b] - arrived[b - shelf_buckets - 1]
            there = min(there, fresh)
        spare = max(0.0, planned + min(0.0, there) - target)
        short: dict[tuple[Tier, int], float] = defaultdict(float)
        for line in sorted(lines, key=lambda n: (TIER_ORDER[n.tier], n.rank, n.external_id, n.units)):
            from_stock = min(line.units, max(0.0, there))
            from_spare = min(line.units - from_stock, spare)
            there -= from_stock
            spare -= from_spare
            planned -= from_spare
            short[line.tier, line.rank] += line.units - from_stock - from_spare
        refill = max(0.0, target - planned - there)
        short["buffer", 0] += refill
        planned += refill
        needs.append(short)
    return needs
