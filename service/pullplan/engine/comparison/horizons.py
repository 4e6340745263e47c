"""Over which days can two plans be compared?"""

from dataclasses import dataclass
from datetime import date, timedelta

from pullplan.engine.model import Bucket


@dataclass(frozen=True)
class PlannedBuckets:
    """The buckets that a plan is of, or that two plans share."""

    bucket: Bucket
    first_date: date
    n_buckets: int

    @property
    def days_per_bucket(self) -> int:
        """Count a bucket's days."""
        return 7 if self.bucket == "week" else 1

    @property
    def dates(self) -> list[date]:
        """List the first day of each."""
        return [self.first_date + timedelta(days=b * self.days_per_bucket) for b in range(self.n_buckets)]

    @property
    def last_date(self) -> date:
        """Name the first day of the last bucket."""
        return self.first_date + timedelta(days=self.days_per_bucket * (self.n_buckets - 1))


def common_buckets(one: PlannedBuckets, other: PlannedBuckets) -> PlannedBuckets | None:
    """Find the buckets that two plans share; None where theirs differ in length, or none is in both."""
    if one.bucket != other.bucket:
        return None
    first = max(one.first_date, other.first_date)
    days = (min(one.last_date, other.last_date) - first).days
    return PlannedBuckets(one.bucket, first, days // one.days_per_bucket + 1) if days >= 0 else None
