"""Where does every demanded unit of a plan's horizon come from?"""

from collections.abc import Sequence

from pullplan.engine.model.derivations import PullTerms
from pullplan.engine.model.words import Fact, ShortfallReason, Tier


class ShortUnits(Fact, frozen=True, kw_only=True):
    """Units that nobody makes, for one reason."""

    reason: ShortfallReason
    units: float


class Ledger(Fact, frozen=True, kw_only=True):
    """Demand by product × region × bucket × tier and what serves it, as columns of equal length, in this order.

    Of every line: demanded = from stock + from supply + from buffer + from node stock + from region stock + assigned + short.
    What a region sends to others it demands nothing of: it stands beside.
    """

    product_codes: Sequence[str]
    region_codes: Sequence[str]
    buckets: Sequence[int]
    """Past due demand stands in bucket 0."""
    tiers: Sequence[Tier]
    """Those of demand; what is pinned stands under the tier that it was pinned of."""
    demanded_units: Sequence[float]
    """Open orders, qualifying leads, the forecast that they leave; of tier `buffer` what stock and supply leave open of a target."""
    from_stock_units: Sequence[float]
    """Of what is on hand at as_of."""
    from_supply_units: Sequence[float]
    """Of open supply and released work that arrives by then, or that is waited for."""
    from_buffer_units: Sequence[float]
    """Of what this plan makes for tier `buffer` before, and need not be held any longer: assigned, or short, there."""
    from_node_stock_units: Sequence[float]
    """Of what lies finished at nodes, and is sent."""
    from_region_stock_units: Sequence[float]
    """Of what other regions have on hand and need for nothing themselves, and send."""
    sent_to_regions_units: Sequence[float]
    """Of what this region has on hand, to others: in the bucket in which it leaves, under the tier that it serves there."""
    assigned_units: Sequence[float]
    """Made anew."""
    shortfalls: Sequence[tuple[ShortUnits, ...]]


class Books(Fact, frozen=True, kw_only=True):
    """A plan's ledger, and what its demand was netted against."""

    ledger: Ledger
    terms: PullTerms
