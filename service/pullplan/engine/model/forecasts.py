"""What does a forecast say?"""

from datetime import date

from pullplan.engine.model.words import (
    Basis,
    Bucket,
    CoherenceMethod,
    DemandClass,
    Fact,
    Mark,
    RefreshReason,
    TotalledBy,
)


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


class Candidate(Fact, frozen=True, kw_only=True):
    """A model that competed for a series."""

    model: str
    score: float | None = None
    """Its mean squared error along the backtest's origins ÷ the mean of all candidates', mixed from this series and all
    of its kind; less is better. None where it was not judged."""
    bias_share: float | None = None
    """Sum of its forecasts ÷ sum of actuals − 1; None where too little was demanded to tell."""
    is_biased: bool = False
    """Beyond the limit: passed over as long as another is not."""
    failure: str | None = None
    """Why it said nothing of this series."""


class PastForecast(Fact, frozen=True, kw_only=True):
    """What would have been forecast from one origin in the past, with nothing known of what came after it.

    Quantiles are empty where no error had been seen by then.
    """

    first_bucket_date: date
    mean_units: tuple[float, ...]
    p10_units: tuple[float, ...] = ()
    p50_units: tuple[float, ...] = ()
    p90_units: tuple[float, ...] = ()


class ForecastsInForce(Fact, frozen=True, kw_only=True):
    """What had been forecast of past buckets by the latest forecast from before their end, as columns of equal length."""

    product_codes: tuple[str, ...] = ()
    region_codes: tuple[str, ...] = ()
    bucket_dates: tuple[date, ...] = ()
    mean_units: tuple[float, ...] = ()
    p10_units: tuple[float, ...] = ()
    p50_units: tuple[float, ...] = ()
    p90_units: tuple[float, ...] = ()


class Experience(Fact, frozen=True, kw_only=True):
    """How the forecasts in force fared in the latest buckets; None where a measure has no denominator."""

    n_buckets: int = 0
    """Buckets that were judged: with a forecast in force, and history that tells the usual demand."""
    wape_share: float | None = None
    value_added_share: float | None = None
    """WAPE of seasonal naive in the same buckets − WAPE: below zero, forecasting was in vain."""
    bias_share: float | None = None
    """Sum of forecasts ÷ sum of actuals − 1."""
    coverage_share: float | None = None
    """Share of actuals inside p10–p90."""
    tracking_signal: float | None = None
    """Sum of actual − forecast ÷ their mean absolute value, by series."""
    has_drifted: bool = False
    """The tracking signal lies beyond 4: the forecasts have lost the series."""
    n_drifted_series: int = 0
    """Of all series together: how many have drifted."""


class Grounds(Fact, frozen=True, kw_only=True):
    """What the forecast of one series rests on: for people to read, never planned with."""

    history_first_date: date | None = None
    """None: nothing was ever demanded."""
    history_units: tuple[float | None, ...] = ()
    """By bucket from the first demand to the last complete bucket; None where the source was silent as a whole."""
    history_used_units: tuple[float | None, ...] = ()
    """The same as models were shown it."""
    history_marks: tuple[Mark | None, ...] = ()
    """By bucket why the two differ."""
    candidates: tuple[Candidate, ...] = ()
    """The one that was chosen first, then the next best."""
    backtest: tuple[PastForecast, ...] = ()
    """Some origins that do not overlap, the latest last."""
    experience: Experience = Experience()
    refresh_reason: RefreshReason | None = None
    """Why a refresh has made it again: `news` of it, a `bucket` that has ended, its `drift`; None: it was made with all
    others."""


class Heard(Fact, frozen=True, kw_only=True):
    """When the sources of demand spoke, as all series together tell."""

    first_dates: dict[Basis, date]
    """By history basis the first complete bucket."""
    silent_dates: dict[Basis, tuple[date, ...]]
    """By history basis the buckets in which nobody was heard: no history."""


class ProductKnowledge(Fact, frozen=True, kw_only=True):
    """What all series of a product tell of each."""

    product_code: str
    season_factors: tuple[float, ...] = ()
    """By bucket from the forecast's first on, one season; empty: flat."""
    is_whole: bool = False
    """Counted in pieces."""


class PanelKnowledge(Fact, frozen=True, kw_only=True):
    """What a forecast had to look at all series for: with it, a few can be forecast again alone."""

    heard: Heard
    learned_date: date | None = None
    """The first bucket of the forecast that told all this."""
    origin_dates: tuple[date, ...]
    """From where the past was forecast again, oldest first."""
    bias_ratio: float
    """Means ÷ what the chosen models had said, over all series."""
    widths: dict[DemandClass, tuple[float, float]]
    """By class the factors by which p10 and p90 move away from p50."""
    usual_scores: dict[str, float]
    """By candidate of a kind of demand (`regular/SES`) its score in the mean over the kind's series."""
    region_sizes: dict[str, float]
    """What a region takes of its products ÷ what regions usually take of them."""
    products: tuple[ProductKnowledge, ...]


class TotalForecast(Fact, frozen=True, kw_only=True):
    """A product over its regions, a region over its products, or everything; sequences over steps."""

    totalled_by: TotalledBy
    code: str
    """Of the product or the region; empty for everything."""
    n_series: int
    method: CoherenceMethod
    """How the regions' means were made to agree with the product's; regions and everything add up."""
    method_scores: dict[CoherenceMethod, float]
    """Squared error of each method along the backtest's origins ÷ that of adding up; empty where not compared."""
    method_failures: dict[CoherenceMethod, str]
    """Why a method that was tried was not compared."""
    model_failures: dict[str, str]
    """Why a model said nothing of the product as a whole; empty for regions and everything, which are not forecast apart."""
    mean_units: tuple[float, ...]
    """The sum of the series' means."""
    p10_units: tuple[float, ...]
    p50_units: tuple[float, ...]
    p90_units: tuple[float, ...]
    accuracy: Accuracy = Accuracy()


class Forecast(Fact, frozen=True, kw_only=True):
    first_bucket_date: date
    bucket: Bucket
    n_steps: int
    series: tuple[SeriesForecast, ...]
    measures: Accuracy
    """Over the whole panel."""


class ForecastBase(Fact, frozen=True, kw_only=True):
    """As much of a forecast as a refresh of some of its series looks at."""

    forecast: Forecast
    """Series that are to be made again, and all of the products of which a pair is new."""
    grounds: tuple[Grounds, ...]
    """Shapes: (n_series,)"""
    knowledge: PanelKnowledge
