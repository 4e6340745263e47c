"""Do messages arrive, signed, at least once, in their order, and nowhere that they must not?"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pullplan.storage import database, webhooks
from pullplan.worker import deliveries
from pullplan.worker.deliveries import WAIT_SECONDS, Courier, signed_headers

pytestmark = pytest.mark.anyio


@dataclass
class Receiver:
    """A server of the receiving company: what it got, and what it answers next."""

    port: int = 0
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    stall_seconds: float = 0.0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = (line.partition(": ") for line in head.split("\r\n")[1:-2])
                headers = {name.lower(): value for name, _, value in fields}
                body = await reader.readexactly(int(headers["content-length"]))
                self.got.append((headers, body.decode()))
                self.came.set()
                await asyncio.sleep(self.stall_seconds)
                writer.write(self.answers.pop(0) if self.answers else b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        server.close_clients()


@dataclass
class Post:
    """A courier, and the outbox that it empties."""

    courier: Courier
    http: httpx.AsyncClient
    connection: database.Connection

    async def hook(self, url: str) -> tuple[UUID, bytes]:
        row, secret = await webhooks.insert(self.connection, url, ["plan.succeeded"], "", is_enabled=True)
        return row["webhook_id"], secret

    async def send(self, webhook_id: UUID, number: int, subject: str = "runs/1") -> None:
        await webhooks.enqueue(self.connection, webhook_id, "plan.succeeded", subject, f'{{"n":{number}}}')

    async def deliver(self) -> bool:
        return await self.courier.deliver_next(self.http)

    async def make_due(self) -> None:
        await self.connection.execute(
            "UPDATE webhook_deliveries SET next_attempt_at = now() WHERE state = 'waiting'"
        )

    async def rows(self) -> list[asyncpg.Record]:
        return await self.connection.fetch("SELECT * FROM webhook_deliveries ORDER BY delivery_id")


@pytest.fixture
async def posting(pool: database.Pool, connection: database.Connection) -> AsyncIterator[Callable[..., Post]]:
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as http:
        yield lambda *, may_be_private=True: Post(
            Courier(pool, may_be_private=may_be_private), http, connection
        )


async def test_a_message_arrives_signed_so_that_the_standards_library_takes_it(posting):
    post = posting()
    async with receiving() as receiver:
        webhook_id, secret = await post.hook(receiver.url)
        await post.send(webhook_id, 1)
        assert await post.deliver()
        assert not await post.deliver()
    ((headers, body),) = receiver.got
    assert Webhook(secret).verify(body, headers) == {"n": 1}
    assert headers["host"] == f"localhost:{receiver.port}"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace("1", "2"), headers)
    (row,) = await post.rows()
    assert (row["state"], row["attempts"], row["last_status"]) == ("delivered", 1, 204)


async def test_while_a_secret_is_replaced_both_sign(posting):
    post = posting()
    async with receiving() as receiver:
        webhook_id, old = await post.hook(receiver.url)
        _, new = await webhooks.rotate(post.connection, webhook_id, datetime.now(UTC) + timedelta(minutes=1))
        await post.send(webhook_id, 1)
        await post.deliver()
        await post.connection.execute("UPDATE webhooks SET previous_secret_until = now()")
        await post.send(webhook_id, 2)
        await post.deliver()
    for secret, numbers in ((old, [1]), (new, [1, 2])):
        taken = []
        for headers, body in receiver.got:
            with suppress(WebhookVerificationError):
                taken.append(Webhook(secret).verify(body, headers)["n"])
        assert taken == numbers


async def test_a_message_of_another_time_is_refused_by_who_verifies():
    claimed = webhooks.Claimed(
        delivery_id=1, webhook_id=UUID(int=1), message_id="m", payload="{}", attempts=1, url="", secret=b"s" * 32,
        previous_secret=None,
    )  # fmt: skip
    for skew in (timedelta(minutes=-6), timedelta(minutes=6)):
        headers = dict(signed_headers(claimed, datetime.now(UTC) + skew))
        with pytest.raises(WebhookVerificationError, match="too"):
            Webhook(claimed.secret).verify("{}", headers)


async def test_what_fails_is_tried_again_as_announced_and_then_dead(posting):
    post = posting()
    async with receiving() as receiver:
        receiver.answers = [b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"] * (len(WAIT_SECONDS) + 1)
        webhook_id, _ = await post.hook(receiver.url)
        await post.send(webhook_id, 1)
        for wait in WAIT_SECONDS:
            assert await post.deliver()
            (row,) = await post.rows()
            assert row["state"] == "waiting"
            waits = (row["next_attempt_at"] - datetime.now(UTC)).total_seconds()
            assert wait - 5 < waits <= wait
            assert not await post.deliver()
            await post.make_due()
        await post.deliver()
        (row,) = await post.rows()
        assert (row["state"], row["attempts"]) == ("dead", len(WAIT_SECONDS) + 1)
        assert row["last_problem"] == "the receiver answered 500"
        await webhooks.redeliver(post.connection, webhook_id, row["delivery_id"])
        await post.deliver()
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert (await post.rows())[0]["state"] == "delivered"


async def test_messages_of_one_subject_keep_their_order_and_hold_up_no_other(posting):
    post = posting()
    async with receiving() as receiver:
        receiver.answers = [b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"]
        webhook_id, _ = await post.hook(receiver.url)
        for number, subject in ((1, "a"), (2, "a"), (3, "b")):
            await post.send(webhook_id, number, subject)
        while await post.deliver():
            pass
        assert [body for _, body in receiver.got] == ['{"n":1}', '{"n":3}']
        await post.make_due()
        while await post.deliver():
            pass
        assert [body for _, body in receiver.got][2:] == ['{"n":1}', '{"n":2}']


async def test_a_courier_that_dies_is_followed_by_another_and_cannot_undo_what_that_did(posting):
    post = posting()
    async with receiving() as receiver:
        webhook_id, _ = await post.hook(receiver.url)
        await post.send(webhook_id, 1)
        lost = await webhooks.claim(post.connection, 60)
        assert lost is not None
        assert not await post.deliver()
        await post.make_due()
        assert await post.deliver()
        await webhooks.note_failed(post.connection, lost, "woke up late", status=None, wait_seconds=1)
    assert (await post.rows())[0]["state"] == "delivered"


@pytest.mark.parametrize("where", ["http://169.254.169.254/", "http://127.0.0.1:{port}/"])
async def test_a_redirect_is_not_followed_wherever_it_leads(posting, where: str):
    post = posting()
    async with receiving() as inner, receiving() as receiver:
        target = where.format(port=inner.port).encode()
        receiver.answers = [b"HTTP/1.1 307 There\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n"]
        webhook_id, _ = await post.hook(receiver.url)
        await post.send(webhook_id, 1)
        await post.deliver()
        assert inner.got == []
    assert (await post.rows())[0]["last_problem"] == "the receiver answered 307 (redirects are not followed)"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_nothing_goes_to_a_private_address_unless_allowed(posting, host: str):
    post = posting(may_be_private=False)
    async with receiving() as receiver:
        webhook_id, _ = await post.hook(f"https://{host}:{receiver.port}/")
        await post.send(webhook_id, 1)
        assert await post.deliver()
        assert receiver.got == []
    (row,) = await post.rows()
    assert "is not public" in row["last_problem"]
    assert row["state"] == "waiting"


async def test_a_name_is_looked_up_once_and_that_very_address_is_sent_to(posting, monkeypatch):
    """A name that changes between the check and the call would lead inside."""
    post = posting(may_be_private=False)
    asked: list[str] = []

    async def looked_up(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", ("93.184.216.34" if len(asked) == 1 else "127.0.0.1", port))]

    sent: list[httpx.Request] = []

    async def send(request: httpx.Request, **_: Any) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, request=request)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", looked_up)
    monkeypatch.setattr(post.http, "send", send)
    webhook_id, _ = await post.hook("https://rebinding.example/hook")
    await post.send(webhook_id, 1)
    await post.deliver()
    assert asked == ["rebinding.example"]
    assert (sent[0].url.host, sent[0].headers["host"]) == ("93.184.216.34", "rebinding.example")
    assert sent[0].extensions["sni_hostname"] == "rebinding.example"


async def test_a_receiver_that_stalls_is_given_up_in_time(posting, monkeypatch):
    monkeypatch.setattr(deliveries, "ANSWER_SECONDS", 0.2)
    post = posting()
    async with receiving() as receiver:
        receiver.stall_seconds = 5
        webhook_id, _ = await post.hook(receiver.url)
        await post.send(webhook_id, 1)
        async with asyncio.timeout(3):
            await post.deliver()
    assert (await post.rows())[0]["last_problem"] == "no answer within 0.2 s"


async def test_a_receiver_that_is_gone_for_good_is_disabled(posting):
    post = posting()
    async with receiving() as receiver:
        receiver.answers = [b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"]
        webhook_id, _ = await post.hook(receiver.url)
        await post.send(webhook_id, 1)
        await post.send(webhook_id, 2)
        await post.deliver()
        assert not await post.deliver()
    assert [row["state"] for row in await post.rows()] == ["dead", "waiting"]
    assert not (await webhooks.get(post.connection, webhook_id))["is_enabled"]


async def test_a_courier_that_runs_is_woken_by_each_message(posting, database_url: str):
    post = posting()
    async with receiving() as receiver:
        running = [
            asyncio.create_task(post.courier.listen(database_url)),
            asyncio.create_task(post.courier.deliver()),
        ]
        webhook_id, _ = await post.hook(receiver.url)
        for number in range(3):
            await post.send(webhook_id, number)
            async with asyncio.timeout(10):
                await receiver.came.wait()
            receiver.came.clear()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert [body for _, body in receiver.got] == ['{"n":0}', '{"n":1}', '{"n":2}']
