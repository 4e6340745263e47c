"""How does a need come about, and how did each product × region pull?"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

from pullplan.engine.model.buffers import BufferDerivation
from pullplan.engine.model.network import PullPolicy
from pullplan.engine.model.words import Basis, Fact


class PullTerms(Fact, frozen=True, kw_only=True):
    """What each product × region's demand was netted against, as columns: of every one of which anything is demanded or held."""

    product_codes: Sequence[str]
    region_codes: Sequence[str]
    """By product, then region."""
    policy_numbers: Sequence[int]
    """Its policy's position in the facts; −1: the default."""
    history_bases: Sequence[Basis]
    lead_days: Sequence[int | None]
    """Of the reference node; None where the pair's policy asks for none, or nobody could make it."""
    on_hand_units: Sequence[float]
    receipts_units: Sequence[float]
    """Bucket by bucket of one after the other: (n_pairs × n_buckets,)."""
    target_units: Sequence[float]
    """The same, of safety stock."""


class SignalCounted(Fact, frozen=True, kw_only=True):
    """An order or lead, and what of it is demanded."""

    kind: Literal["order", "lead"]
    external_id: str
    units: float
    shipped_units: float
    """Of orders."""
    probability: float | None
    """Of leads."""
    priority: int
    due_date: date
    bucket_date: date | None
    """Where it counts: past due in the first bucket; null: nowhere."""
    demanded_units: float
    rule: str


class SupplyCounted(Fact, frozen=True, kw_only=True):
    """Open supply or released work, and when it counts."""

    external_id: str | None
    work_order_id: str | None
    units: float
    due_date: date
    bucket_date: date | None
    """Null: it counts in no bucket of the horizon."""
    rule: str


class StockCounted(Fact, frozen=True, kw_only=True):
    """What is on hand: count − issues + receipts."""

    counted_at: datetime | None
    """Null: never counted; then nothing is on hand."""
    count_units: float
    """Without reserved and blocked units."""
    history_basis: Basis
    """Whose issues count."""
    consumed_units_since: float
    shipped_units_since: float
    received_units_since: float
    on_hand_units: float


class BucketNetted(Fact, frozen=True, kw_only=True):
    """One bucket: what is demanded, what there is, and what is left to be made."""

    bucket_date: date
    forecast_mean_units: float
    """Of the whole bucket; none where the policy looks at no forecast."""
    to_come_share: float
    """Of the bucket's days, as_of's own day included."""
    order_units: float
    lead_units: float
    forecast_units: float
    """What orders and leads leave of mean × share, within the policy's window."""
    receipts_units: float
    """Of the supply that counts in it."""
    awaited_units: float
    """What orders and leads of this bucket wait for: released work that comes later, and that nobody will need then. Below
    zero: what of this bucket's receipts earlier ones wait for."""
    from_stock_units: float
    from_supply_units: float
    from_buffer_units: float
    target_units: float
    """Safety stock to hold at the bucket's end."""
    buffer_units: float
    """What is missing of it, or what a DDMRP buffer orders."""
    need_units: float
    """order + lead + forecast − from stock − from supply − from buffer + buffer."""


class Derivation(Fact, frozen=True, kw_only=True):
    """All that the needs of a product × region follow from."""

    policy: PullPolicy
    lead_days: int | None
    protection_days: int | None
    """Lead time and review period: what a target lasts for; null where there is no target."""
    signals: tuple[SignalCounted, ...]
    stock: StockCounted
    supply: tuple[SupplyCounted, ...]
    buckets: tuple[BucketNetted, ...]
    buffer: BufferDerivation | None
    """Of a DDMRP buffer."""
