"""What will be demanded of each product × region, bucket by bucket, and how sure is that?"""

from pullplan.engine.forecast.experience import JUDGED_BUCKETS, judge_forecasts_in_force
from pullplan.engine.forecast.panel import DRAFTED, forecast_demand, forecast_with_grounds
from pullplan.engine.forecast.refresh import refresh_forecast
from pullplan.engine.forecast.rolling import ROLLED_BUCKETS, Rolled, roll_forward
from pullplan.engine.forecast.spread import interval_quantile

__all__ = [
    "DRAFTED",
    "JUDGED_BUCKETS",
    "ROLLED_BUCKETS",
    "Rolled",
    "forecast_demand",
    "forecast_with_grounds",
    "interval_quantile",
    "judge_forecasts_in_force",
    "refresh_forecast",
    "roll_forward",
]
