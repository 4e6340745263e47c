"""What does a forecast say?"""

from datetime import date

from pullplan.engine.model.words import Bucket, DemandClass, Fact


class Accuracy(Fact, frozen=True, kw_only=True):
    """Measures of a rolling-origin backtest over the plan's horizon; None where they have no denominator."""

    n_origins: int = 0
    wape_share: float | None = None
    naive_wape_share: float | None = None
    """WAPE of seasonal naive (of the plain naive below one season) on the same origins."""
    mase: float | None = None
    rmsse: float | None = None
    bias_share: float | None = None
    """Sum of forecasts ÷ sum of actuals − 1."""
    pinball_units: float | None = None
    coverage_share: float | None = None
    """Share of actuals inside p10–p90."""


class SeriesForecast(Fact, frozen=True, kw_only=True):
    """One product × region; sequences over steps, step 0 being the whole of bucket 0."""

    product_code: str
    region_code: str
    demand_class: DemandClass
    model: str
    fallback_reason: str | None = None
    history_buckets: int
    mean_units: tuple[float, ...]
    p10_units: tuple[float, ...]
    p50_units: tuple[float, ...]
    p90_units: tuple[float, ...]
    adjustment_units: tuple[float, ...]
    """What adjustments changed of mean_units."""
    error_paths_units: tuple[tuple[float, ...], ...] = ()
    """Actual − forecast along backtest origins, (n_paths, n_steps): its own and those of like series, scaled to its
    errors. Demand summed over any interval is the sum of means plus the sum along a path, so its quantiles come
    from here."""
    accuracy: Accuracy = Accuracy()


class Forecast(Fact, frozen=True, kw_only=True):
    first_bucket_date: date
    bucket: Bucket
    n_steps: int
    series: tuple[SeriesForecast, ...]
    measures: Accuracy
    """Over the whole panel."""
