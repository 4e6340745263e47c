"""What do people's adjustments change of a forecast?"""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

import numpy as np

from pullplan.engine.demand import Units
from pullplan.engine.model import Adjustment

# A mean below this has no shape that could be scaled.
_LEAST_UNITS = 1e-9


def adjusted_mean(mean: Units, dates: Sequence[date], adjustments: Sequence[Adjustment]) -> Units:
    """Multiply the days that multipliers cover, then add units by the share of their range that a bucket covers.

    Shapes: mean (n_steps,), dates (n_steps + 1,), result (n_steps,) never negative
    """
    if not adjustments:
        return mean
    multipliers = [a for a in adjustments if a.multiplier is not None]
    adjusted = mean.copy()
    for step, (first, end) in enumerate(pairwise(dates)):
        days = [first + timedelta(days=d) for d in range((end - first).days)]
        day_factors = [
            float(np.prod([a.multiplier for a in multipliers if a.from_date <= day < a.until_date]))
            for day in days
        ]
        adjusted[step] *= float(np.mean(day_factors))
        for addition in adjustments:
            length = (addition.until_date - addition.from_date).days
            if addition.units is not None and length > 0:
                covered = (min(end, addition.until_date) - max(first, addition.from_date)).days
                adjusted[step] += addition.units * max(0, covered) / length
    return np.maximum(0.0, adjusted)


def scaled_alike(values: Units, mean: Units, adjusted: Units) -> Units:
    """Scale quantiles or error paths as the mean was; where there was no mean, quantiles shift with it.

    Shapes: values (n, n_steps), mean and adjusted (n_steps,)
    """
    factors = np.divide(adjusted, mean, out=np.ones_like(mean), where=mean > _LEAST_UNITS)
    return values * factors
