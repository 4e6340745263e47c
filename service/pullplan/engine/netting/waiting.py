"""Which orders and leads wait for released work that comes after their day, rather than being made twice?"""

import numpy as np

from pullplan.engine.netting.flows import Coverage, Flow, Units


def bring_forward(
    flow: Flow,
    coverage: Coverage,
    firm_units: Units,
    work_units: Units,
    late_buckets: int | None,
) -> Units | None:
    """Give released work that nobody will need when it comes to orders and leads that fell due before; None where none does.

    `firm_units` are the orders and leads of `flow`'s demand, which are served before anything else of their bucket;
    `work_units` is what of its receipts is released work. They wait for at most `late_buckets`; None: for ever.
    Work is spare as far as every later bucket keeps its target and makes nothing anew.

    Shapes: (n_buckets, n_pairs) each, to receipts (n_buckets, n_pairs)
    Source: the planning model, section 2: each unit counted once, planning again at once gives no new need.
    """
    n_buckets = len(firm_units)
    open_units = np.maximum(0.0, firm_units - coverage.covered_units)
    spare = spare_units(flow, coverage)
    waits = (open_units.any(axis=0) & (work_units > 0).any(axis=0)).nonzero()[0]
    if waits.size == 0:
        return None
    open_units, spare, work = open_units[:, waits], spare[:, waits], work_units[:, waits].copy()
    moved = np.zeros_like(work)
    for due in range(n_buckets):
        last = n_buckets - 1 if late_buckets is None else min(due + late_buckets, n_buckets - 1)
        for comes in range(due + 1, last + 1):
            given = np.minimum(np.minimum(open_units[due], work[comes]), spare[comes:].min(axis=0))
            open_units[due] -= given
            work[comes] -= given
            spare[comes:] -= given
            moved[due] += given
            moved[comes] -= given
    if not moved.any():
        return None
    receipts = flow.receipts_units.copy()
    receipts[:, waits] += moved
    return receipts


def spare_units(flow: Flow, coverage: Coverage) -> Units:
    """Tell what each bucket ends with above its target, where it makes nothing anew. Shapes: (n_buckets, n_pairs)."""
    covered, refill = coverage.covered_units, coverage.refill_units
    ends = flow.on_hand_units + np.cumsum(flow.receipts_units - covered + refill, axis=0)
    makes = (refill > 0) | (covered < flow.demand_units)
    return np.where(makes, 0.0, np.maximum(0.0, ends - flow.target_units))
