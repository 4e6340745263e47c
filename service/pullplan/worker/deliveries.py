"""How do messages reach webhooks? Claimed from the outbox, signed, sent to a checked address, tried again until they are dead.

At least once, in order of their subject. Source: Standard Webhooks (standardwebhooks.com), version 1.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import asyncpg
import httpx
import structlog
from standardwebhooks import Webhook

from pullplan.addresses import is_public
from pullplan.engine.errors import DatabaseAwayError
from pullplan.storage import database, webhooks
from pullplan.storage.database import Pool
from pullplan.storage.webhooks import Claimed

AT_ONCE = 8
ANSWER_SECONDS = 10.0
"""From the look-up of the address to the head of the answer."""
LEASE_SECONDS = 60.0
WAIT_SECONDS: Sequence[float] = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""After each attempt that failed, as the standard proposes: three days in all, then the message is dead."""
_POLL_SECONDS = 5.0
_PROBLEM_LENGTH_MAX = 300
_GONE = 410
_TROUBLE = (DatabaseAwayError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

log = structlog.get_logger()


class AddressRefusedError(Exception):
    """A webhook's host has an address that is nobody's on the public internet."""


class Courier:
    """Delivers what is due, several messages at once."""

    def __init__(self, pool: Pool, *, may_be_private: bool) -> None:
        self._pool = pool
        self._may_be_private = may_be_private
        self._woken = asyncio.Event()

    async def listen(self, url: str) -> None:
        """Be woken by each message; polling covers the times without a connection."""
        while True:
            try:
                await webhooks.listen(url, self._woken.set)
            except _TROUBLE as error:
                log.debug("not listening for deliveries", reason=str(error))
            await asyncio.sleep(_POLL_SECONDS)

    async def deliver(self) -> None:
        """Deliver one message after the other, whatever the database or a receiver does."""
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=ANSWER_SECONDS) as http:
            while True:
                try:
                    if not await self.deliver_next(http):
                        await self._rest()
                except _TROUBLE as error:
                    log.warning("deliveries wait for the database", reason=str(error))
                    await asyncio.sleep(_POLL_SECONDS)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def deliver_next(self, http: httpx.AsyncClient) -> bool:
        """Try the message that is due the longest; False: none is."""
        async with database.lent(self._pool) as connection:
            claimed = await webhooks.claim(connection, LEASE_SECONDS)
        if claimed is None:
            return False
        status, problem = await self._attempt(http, claimed)
        async with database.lent(self._pool) as connection:
            if problem is None:
                await webhooks.note_delivered(connection, claimed, status or 0)
            else:
                if status == _GONE:
                    await webhooks.disable(connection, claimed.webhook_id)
                tried = claimed.attempts - 1
                wait = WAIT_SECONDS[tried] if tried < len(WAIT_SECONDS) and status != _GONE else None
                await webhooks.note_failed(connection, claimed, problem, status=status, wait_seconds=wait)
        log.info(
            "webhook tried",
            webhook_id=str(claimed.webhook_id),
            delivery_id=claimed.delivery_id,
            attempt=claimed.attempts,
            status=status,
            problem=problem,
        )
        return True

    async def _attempt(self, http: httpx.AsyncClient, claimed: Claimed) -> tuple[int | None, str | None]:
        """Send a message once: the receiver's status, and what was wrong; nothing where it was taken."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status = await self._send(http, claimed)
        except TimeoutError:
            return None, f"no answer within {ANSWER_SECONDS:g} s"
        except (httpx.HTTPError, AddressRefusedError, OSError, ValueError) as error:
            return None, (str(error) or type(error).__name__)[:_PROBLEM_LENGTH_MAX]
        if httpx.codes.is_success(status):
            return status, None
        redirected = " (redirects are not followed)" if httpx.codes.is_redirect(status) else ""
        return status, f"the receiver answered {status}{redirected}"

    async def _send(self, http: httpx.AsyncClient, claimed: Claimed) -> int:
        """Send a message to the very address that was checked: a name may lead elsewhere a moment later."""
        url = httpx.URL(claimed.url)
        address = await self._address(url)
        request = http.build_request(
            "POST",
            url.copy_with(host=address),
            content=claimed.payload.encode(),
            headers={**signed_headers(claimed, datetime.now(UTC)), "Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.host},
        )
        answer = await http.send(request, stream=True)
        await answer.aclose()  # what else it says is not read
        return answer.status_code

    async def _address(self, url: httpx.URL) -> str:
        port = url.port or (443 if url.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        addresses = [str(place[4][0]) for place in found]
        if not self._may_be_private:
            refused = [address for address in addresses if not is_public(address)]
            if refused:
                raise AddressRefusedError(
                    f"{url.host} has the address {refused[0]}, which is not public; PULLPLAN_PRIVATE_WEBHOOKS allows it"
                )
            if url.scheme != "https":
                raise AddressRefusedError("only https is sent to; PULLPLAN_PRIVATE_WEBHOOKS allows http")
        return addresses[0]


def signed_headers(claimed: Claimed, now: datetime) -> Mapping[str, str]:
    """Sign a message, while a secret is being replaced by both."""
    keys = [claimed.secret, *([claimed.previous_secret] if claimed.previous_secret else [])]
    signatures = [Webhook(key).sign(claimed.message_id, now, claimed.payload) for key in keys]
    return {
        "Content-Type": "application/json",
        "User-Agent": "pullplan",
        "webhook-id": claimed.message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
