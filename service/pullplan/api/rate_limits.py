"""How many requests may a key send, and how many are left? And how many keys may an address guess?"""

import math
import time
from uuid import UUID

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from pullplan.api.conditional import RawHeaders
from pullplan.api.errors import RateExceededError

WINDOW_SECONDS = 60
REFUSED_PER_MINUTE = 300
"""Keys and tokens from one address, each of which may cost a query, or the checking of a signature."""


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
        left, seconds = await self._left(item, key)
        if not allowed:
            raise RateExceededError(limit, seconds)
        return fields("key", limit, left, seconds)

    async def check_guesses(self, address: str) -> None:
        """Refuse to look at another key from an address of which too many were refused.

        Raises: RateExceededError.
        """
        if not await self._counter.test(_REFUSED, address):
            _, seconds = await self._left(_REFUSED, address)
            raise RateExceededError(REFUSED_PER_MINUTE, seconds, "refused")

    async def count_guess(self, address: str) -> None:
        """Count a key that was refused."""
        await self._counter.hit(_REFUSED, address)

    async def _left(self, item: RateLimitItemPerMinute, key: str) -> tuple[int, int]:
        """Tell how many are left, and in how many seconds there are more."""
        reset_at, left = await self._counter.get_window_stats(item, key)
        return left, min(WINDOW_SECONDS, max(1, math.ceil(reset_at - time.time())))


_REFUSED = RateLimitItemPerMinute(REFUSED_PER_MINUTE, namespace="refused")


def fields(policy: str, limit: int, left: int, seconds: int) -> RawHeaders:
    """Write the limit, and what is left of it, as header fields."""
    return [
        (b"ratelimit-policy", f'"{policy}";q={limit};w={WINDOW_SECONDS}'.encode()),
        (b"ratelimit", f'"{policy}";r={left};t={seconds}'.encode()),
    ]
