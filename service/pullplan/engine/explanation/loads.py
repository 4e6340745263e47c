"""How full is every resource in every bucket?"""

import numpy as np
import numpy.typing as npt

from pullplan.engine.lots import LotPlan
from pullplan.engine.model import ResourceLoad
from pullplan.engine.options import Options, Solution

FloatArray = npt.NDArray[np.float64]


def resource_loads(
    options: Options, solution: Solution, lots: LotPlan | None = None
) -> tuple[ResourceLoad, ...]:
    """List capacity and use, released work included, by node, resource and bucket.

    A stored resource's capacity in a bucket is what is there: on hand and arrived, less what was used before.
    """
    capacity, used = loads_by_bucket(options, solution, lots)
    return tuple(
        ResourceLoad(
            node_code=node_code,
            resource_code=resource_code,
            bucket=bucket,
            kind="stored" if options.capacities.is_stored[row] else "renewed",
            capacity=float(capacity[row, bucket]),
            used=float(used[row, bucket]),
        )
        for row, (node_code, resource_code, _) in enumerate(options.capacities.keys)
        if resource_code is not None
        for bucket in range(options.horizon.horizon_buckets)
    )


def loads_by_bucket(
    options: Options, solution: Solution, lots: LotPlan | None = None
) -> tuple[FloatArray, FloatArray]:
    """Lay out capacity and use.

    Shapes: twice (n_resources, n_buckets)
    """
    capacities = options.capacities
    used = (
        options.use_by_bucket(solution.capability, solution.start_bucket, solution.units)
        + capacities.released_use
        + capacities.others_use
    )
    if lots is not None:
        used += lots.extra_use
    used_before = np.cumsum(used, axis=1) - used
    there = np.cumsum(capacities.calendar, axis=1) - used_before
    return np.where(capacities.is_stored[:, None], there, capacities.calendar), used
