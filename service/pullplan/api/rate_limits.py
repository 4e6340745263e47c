"""How many requests may a key send, and how many are left?"""

import math
import time
from uuid import UUID

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from pullplan.api.conditional import RawHeaders
from pullplan.api.errors import RateExceededError

WINDOW_SECONDS = 60
_POLICY = "key"


class RateLimiter:
    """Counts each key's requests over the last minute, in this process."""

    def __init__(self, requests_per_minute: int) -> None:
        self._default = requests_per_minute
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def count(self, key_id: UUID, requests_per_minute: int | None) -> RawHeaders:
        """Count a request; give the fields that its answer states the limit with, none where there is no limit.

        Raises: RateExceededError, and then the request is not counted.
        Source: draft-ietf-httpapi-ratelimit-headers-10.
        """
        limit = self._default if requests_per_minute is None else requests_per_minute
        if limit == 0:
            return []
        item, key = RateLimitItemPerMinute(limit), key_id.hex
        allowed = await self._counter.hit(item, key)
        reset_at, left = await self._counter.get_window_stats(item, key)
        seconds = min(WINDOW_SECONDS, max(1, math.ceil(reset_at - time.time())))
        if not allowed:
            raise RateExceededError(limit, seconds)
        return fields(limit, left, seconds)


def fields(limit: int, left: int, seconds: int) -> RawHeaders:
    """Write the limit, and what is left of it, as header fields."""
    return [
        (b"ratelimit-policy", f'"{_POLICY}";q={limit};w={WINDOW_SECONDS}'.encode()),
        (b"ratelimit", f'"{_POLICY}";r={left};t={seconds}'.encode()),
    ]
