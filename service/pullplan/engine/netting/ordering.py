"""How do open units of demand become need lines, in order and numbered?"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pullplan.engine.demand import Pair
from pullplan.engine.model import TIERS, Need, PlanningFacts, Tier
from pullplan.engine.netting.flows import DUST_UNITS, Places, Units


class Columns(NamedTuple):
    """Lines of units side by side. Shapes: all (n_lines,)."""

    place: Places
    """Of the pair, among those that they are lines of."""
    bucket: Places
    tier: Places
    """By position in TIERS."""
    rank: Places
    units: Units

    def at(self, rows: Places) -> "Columns":
        """Take some of the lines, in this order. Shapes: (n,) to (n,)."""
        return Columns(
            self.place[rows], self.bucket[rows], self.tier[rows], self.rank[rows], self.units[rows]
        )

    def and_also(self, others: "Columns") -> "Columns":
        """Put other lines behind these. Shapes: (n,), (m,) to (n + m,)."""
        return Columns(
            np.concatenate((self.place, others.place)),
            np.concatenate((self.bucket, others.bucket)),
            np.concatenate((self.tier, others.tier)),
            np.concatenate((self.rank, others.rank)),
            np.concatenate((self.units, others.units)),
        )


@dataclass
class Lines:
    """Units wanted of pairs, line by line in any order: columns of equal length, each pair named by its place."""

    places: list[int] = field(default_factory=list)
    buckets: list[int] = field(default_factory=list)
    """−1: past due."""
    tiers: list[int] = field(default_factory=list)
    """By position in TIERS."""
    ranks: list[int] = field(default_factory=list)
    units: list[float] = field(default_factory=list)

    def add(self, place: int, bucket: int, tier: int, rank: int, units: float) -> None:
        """Write one line down."""
        self.places.append(place)
        self.buckets.append(bucket)
        self.tiers.append(tier)
        self.ranks.append(rank)
        self.units.append(units)

    def extend(self, lines: Columns) -> None:
        """Write many lines down."""
        self.places.extend(lines.place.tolist())
        self.buckets.extend(lines.bucket.tolist())
        self.tiers.extend(lines.tier.tolist())
        self.ranks.extend(lines.rank.tolist())
        self.units.extend(lines.units.tolist())

    def columns(self) -> Columns:
        """Give the lines by place, bucket, tier, rank and units: whatever the order of the facts."""
        columns = Columns(
            np.array(self.places, dtype=np.intp),
            np.array(self.buckets, dtype=np.intp),
            np.array(self.tiers, dtype=np.intp),
            np.array(self.ranks, dtype=np.intp),
            np.array(self.units, dtype=np.float64),
        )
        return columns.at(
            np.lexsort((columns.units, columns.rank, columns.tier, columns.bucket, columns.place))
        )


def number_needs(lines: Lines, pairs: Sequence[Pair], facts: PlanningFacts) -> tuple[Need, ...]:
    """Add up lines that differ in nothing but units, drop dust, and number what is left.

    Needs stand in the order product, region, bucket, tier, rank.
    """
    known = lines.columns()
    if len(known.units) == 0:
        return ()
    products, product = _numbered([product_code for product_code, _ in pairs])
    regions, region = _numbered([region_code for _, region_code in pairs])
    unordered = (product[known.place], region[known.place], known.bucket, known.tier, known.rank)
    # Equal lines by size, so that their sum does not depend on the order of the facts.
    order = np.lexsort((known.units, *unordered[::-1]))
    columns = [column[order] for column in unordered]
    changes = np.any([np.diff(column, prepend=column[0] - 1) != 0 for column in columns], axis=0)
    first = np.flatnonzero(changes)
    summed = np.add.reduceat(known.units[order], first)
    kept = summed > DUST_UNITS
    rows = zip(*(column[first[kept]].tolist() for column in columns), summed[kept].tolist(), strict=True)
    latest = _latest_buckets(facts)
    return tuple(
        Need(
            need_id=number,
            product_code=products[p],
            region_code=regions[r],
            bucket=bucket,
            tier=TIERS[tier],
            rank=rank,
            units=n,
            latest_bucket=latest[tier][bucket],
        )
        for number, (p, r, bucket, tier, rank, n) in enumerate(rows, start=1)
    )


def _numbered(codes: Sequence[str]) -> tuple[list[str], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    known = sorted(set(codes))
    at = {code: i for i, code in enumerate(known)}
    return known, np.fromiter((at[code] for code in codes), np.int64, len(codes))


def _latest_buckets(facts: PlanningFacts) -> list[list[int]]:
    n_buckets = facts.horizon.horizon_buckets

    def of_tier(tier: Tier) -> list[int]:
        return [facts.parameters.latest_bucket(tier, bucket, n_buckets) for bucket in range(n_buckets)]

    return [of_tier(tier) for tier in TIERS]
