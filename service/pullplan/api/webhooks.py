"""Whom does the service call when something has happened, and what became of each call?"""

import base64
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import asyncpg
import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter

from pullplan.addresses import is_public
from pullplan.api import fields, lists
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, Clock, SettingsOf, Transaction
from pullplan.api.errors import ContentInvalidError
from pullplan.api.preconditions import expected_revision, with_etag
from pullplan.engine.errors import LineProblem
from pullplan.engine.model import Instant
from pullplan.storage import audit, webhooks
from pullplan.storage.runs import RunKind, RunState
from pullplan.storage.webhooks import PING, DeliveryState

Event = Literal[
    "forecast.succeeded", "forecast.failed", "forecast.cancelled",
    "plan.succeeded", "plan.failed", "plan.cancelled",
    "verification.succeeded", "verification.failed", "verification.cancelled",
    "confirmation.succeeded", "confirmation.failed", "confirmation.cancelled",
    "remedy.succeeded", "remedy.failed", "remedy.cancelled",
    "policy_preview.succeeded", "policy_preview.failed", "policy_preview.cancelled",
    "import.succeeded", "import.failed", "import.cancelled",
]  # fmt: skip
"""A run of a kind has ended so."""

_DAY_SECONDS = 24 * 3600
_NOT_KEPT = {"Cache-Control": "no-store"}

Url = Annotated[
    str,
    msgspec.Meta(
        min_length=9,
        max_length=2000,
        pattern=r"\A[hH][tT][tT][pP][sS]?://[A-Za-z0-9.\[\]:-]+(?:/[!-\x22$-~]*)?\Z",
        description="https://<host>, with a port and a path if need be; no user, no fragment.",
        examples=["https://erp.example.com/pullplan"],
    ),
]
Events = Annotated[list[Event], msgspec.Meta(min_length=1, max_length=len(get_args(Event)))]
DeliveryInPath = Annotated[int, PathParameter(ge=1, le=2**53, description="As the deliveries list it.")]
StateFilter = Annotated[
    DeliveryState | None, QueryParameter(description="Only these; `dead` is what was given up.")
]


class WebhookBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Who is called, and when."""

    url: Url
    """Where messages are posted. Its host must have public addresses alone, unless PULLPLAN_PRIVATE_WEBHOOKS is set."""
    events: Events
    description: fields.Text = ""
    is_enabled: bool = True
    """While false, nothing is sent; what was to be told by then waits."""


class WebhookShown(WebhookBody, kw_only=True):
    """A stored webhook, without its secret: that was shown once."""

    webhook_id: UUID
    previous_secret_until: Instant | None
    """Until then the secret before the present one signs too."""
    created_at: Instant
    updated_at: Instant
    retired_at: Instant | None


class WebhookMade(WebhookShown, kw_only=True):
    """A webhook with its new secret, which is shown this once."""

    secret: str
    """Verify with it what comes, as Standard Webhooks says: `webhook-id`, `webhook-timestamp` and `webhook-signature`."""


class SecretRotation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a secret is replaced."""

    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=30 * _DAY_SECONDS)] = _DAY_SECONDS
    """How long messages are signed by the old secret as well."""


class RunEnded(msgspec.Struct, kw_only=True):
    """The run that has ended: read the rest from its paths."""

    run_id: UUID
    kind: RunKind
    state: RunState
    result: str | None
    """The path of what it made; null unless it succeeded."""
    problem: dict[str, Any] | None


class Message(msgspec.Struct, kw_only=True):
    """What a webhook is sent; the same message may come twice, always with the same `webhook-id`."""

    type: Event
    timestamp: datetime
    """When it happened."""
    data: RunEnded


class Delivery(msgspec.Struct, kw_only=True):
    """One message for one webhook, and what became of it."""

    delivery_id: int
    message_id: str
    """The header `webhook-id` of each attempt."""
    event: str
    subject: str
    """Messages of one subject are sent one after the other."""
    payload: dict[str, Any]
    state: DeliveryState
    attempts: int
    next_attempt_at: Instant | None
    """Null once it is delivered or dead."""
    last_status: int | None
    """What the receiver answered last; null where it did not."""
    last_problem: str | None
    created_at: Instant
    ended_at: Instant | None


def _shown(row: asyncpg.Record) -> WebhookShown:
    return WebhookShown(**{name: row[name] for name in WebhookShown.__struct_fields__})


def _made(row: asyncpg.Record, secret: bytes) -> Response[WebhookMade]:
    text = f"whsec_{base64.b64encode(secret).decode()}"
    made = WebhookMade(**msgspec.structs.asdict(_shown(row)), secret=text)
    return Response(made, status_code=201, headers=_NOT_KEPT | {"ETag": f'"{row["revision"]}"'})


def _delivery(row: asyncpg.Record) -> Delivery:
    told = dict(row) | {"payload": msgspec.json.decode(row["payload"])}
    return Delivery(**told | ({} if row["state"] == "waiting" else {"next_attempt_at": None}))


def _check(body: WebhookBody, *, may_be_private: bool) -> None:
    """Refuse where nothing would ever be sent; names are looked up when it is.

    Raises: ContentInvalidError.
    """
    if may_be_private:
        return
    scheme, _, rest = body.url.partition("://")
    host = rest.partition("/")[0]
    bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    detail = ""
    if scheme.lower() != "https":
        detail = "only https is sent to; PULLPLAN_PRIVATE_WEBHOOKS allows http"
    else:
        try:
            if not is_public(bare):
                detail = f"{bare} is no public address; PULLPLAN_PRIVATE_WEBHOOKS allows it"
        except ValueError:
            if bare.lower() == "localhost" or bare.lower().endswith(".localhost"):
                detail = f"{bare} is no public name; PULLPLAN_PRIVATE_WEBHOOKS allows it"
    if detail:
        raise ContentInvalidError(
            f"url: {detail}", [LineProblem(code="field-invalid", detail=detail, pointer="/url", field="url")]
        )


@get("/v1/webhooks", guards=[require("admin")], operation_id="listWebhooks", tags=["webhooks"])
async def list_webhooks(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    retired: lists.Retired = False,
) -> lists.Page[WebhookShown]:
    """List webhooks, the newest first; retired ones only with `retired=true`."""
    after = lists.decode_cursor(cursor, tuple[datetime, UUID])
    rows = await webhooks.list_page(transaction, after=after, limit=limit + 1, retired=retired)
    return lists.page([_shown(row) for row in rows], limit, key=lambda one: (one.created_at, one.webhook_id))


@post("/v1/webhooks", guards=[require("admin")], operation_id="createWebhook", tags=["webhooks"])
async def create_webhook(
    data: JSONBody[WebhookBody], transaction: Transaction, caller: CallerOf, settings: SettingsOf
) -> Response[WebhookMade]:
    """Have a URL called. The secret is in this answer and nowhere else, so there is no `Idempotency-Key`: a retry makes another."""
    _check(data, may_be_private=settings.private_webhooks)
    row, secret = await webhooks.insert(
        transaction, data.url, sorted(set(data.events)), data.description, is_enabled=data.is_enabled
    )
    subject = f"webhooks/{row['webhook_id']}"
    await audit.insert(transaction, caller.key_id, action="create", subject=subject)
    return _made(row, secret)


@get(
    "/v1/webhooks/{webhook_id:uuid}", guards=[require("admin")], operation_id="getWebhook", tags=["webhooks"]
)
async def get_webhook(transaction: Transaction, webhook_id: FromPath[UUID]) -> Response[WebhookShown]:
    """Show one webhook, retired or not."""
    row = await webhooks.get(transaction, webhook_id)
    return with_etag(_shown(row), row)


@put(
    "/v1/webhooks/{webhook_id:uuid}",
    guards=[require("admin")],
    operation_id="replaceWebhook",
    tags=["webhooks"],
    opt={"problems": (412, 428), "creates": False},
)
async def replace_webhook(
    request: Request[Any, Any, Any],
    webhook_id: FromPath[UUID],
    data: JSONBody[WebhookBody],
    transaction: Transaction,
    caller: CallerOf,
    settings: SettingsOf,
) -> Response[WebhookShown]:
    """Change a webhook as it was read (`If-Match`); what waits goes to where it says then."""
    _check(data, may_be_private=settings.private_webhooks)
    await webhooks.expect(transaction, webhook_id, expected_revision(request))
    row = await webhooks.replace(
        *(transaction, webhook_id, data.url, sorted(set(data.events)), data.description),
        is_enabled=data.is_enabled,
    )
    await audit.insert(transaction, caller.key_id, action="put", subject=f"webhooks/{webhook_id}")
    return with_etag(_shown(row), row)


@delete(
    "/v1/webhooks/{webhook_id:uuid}",
    guards=[require("admin")],
    operation_id="retireWebhook",
    tags=["webhooks"],
    opt={"problems": (412, 428)},
)
async def retire_webhook(
    request: Request[Any, Any, Any], webhook_id: FromPath[UUID], transaction: Transaction, caller: CallerOf
) -> None:
    """Call no more: what waits is dead, and stays readable."""
    await webhooks.expect(transaction, webhook_id, expected_revision(request))
    await webhooks.retire(transaction, webhook_id)
    await audit.insert(transaction, caller.key_id, action="retire", subject=f"webhooks/{webhook_id}")


@post(
    "/v1/webhooks/{webhook_id:uuid}/rotate",
    guards=[require("admin")],
    operation_id="rotateWebhookSecret",
    tags=["webhooks"],
    opt={"problems": (412,)},
)
async def rotate_webhook_secret(
    data: JSONBody[SecretRotation],
    webhook_id: FromPath[UUID],
    transaction: Transaction,
    caller: CallerOf,
    clock: Clock,
) -> Response[WebhookMade]:
    """Replace the secret; for `overlap_seconds` each message carries both signatures, so that none is refused meanwhile."""
    await webhooks.expect(transaction, webhook_id, "present")
    row, secret = await webhooks.rotate(
        transaction, webhook_id, clock() + timedelta(seconds=data.overlap_seconds)
    )
    await audit.insert(transaction, caller.key_id, action="rotate", subject=f"webhooks/{webhook_id}")
    return _made(row, secret)


@post(
    "/v1/webhooks/{webhook_id:uuid}/ping",
    guards=[require("admin")],
    operation_id="pingWebhook",
    tags=["webhooks"],
    opt={"problems": (412,)},
)
async def ping_webhook(
    webhook_id: FromPath[UUID], transaction: Transaction, caller: CallerOf, clock: Clock
) -> Delivery:
    """Send a message of type `ping`, signed as all are, to try a receiver: read what became of it among the deliveries."""
    await webhooks.expect(transaction, webhook_id, "present")
    message = {"type": PING, "timestamp": clock(), "data": {"webhook_id": webhook_id}}
    payload = msgspec.json.encode(message).decode()
    row = await webhooks.enqueue(transaction, webhook_id, PING, f"webhooks/{webhook_id}", payload)
    await audit.insert(transaction, caller.key_id, action="ping", subject=f"webhooks/{webhook_id}")
    return _delivery(row)


@get(
    "/v1/webhooks/{webhook_id:uuid}/deliveries",
    guards=[require("admin")],
    operation_id="listWebhookDeliveries",
    tags=["webhooks"],
)
async def list_webhook_deliveries(
    transaction: Transaction,
    webhook_id: FromPath[UUID],
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    delivery_state: StateFilter = None,
) -> lists.Page[Delivery]:
    """List what a webhook was sent and is to be sent, the newest first."""
    (before,) = lists.decode_cursor(cursor, tuple[int]) or (None,)
    await webhooks.get(transaction, webhook_id)
    rows = await webhooks.list_deliveries(
        transaction, webhook_id, before=before, state=delivery_state, limit=limit + 1
    )
    return lists.page([_delivery(row) for row in rows], limit, key=lambda one: (one.delivery_id,))


@post(
    "/v1/webhooks/{webhook_id:uuid}/deliveries/{delivery_id:int}/redeliver",
    guards=[require("admin")],
    operation_id="redeliverWebhook",
    tags=["webhooks"],
    opt={"problems": (409,)},
    status_code=200,
)
async def redeliver_webhook(
    webhook_id: FromPath[UUID],
    delivery_id: DeliveryInPath,
    transaction: Transaction,
    caller: CallerOf,
) -> Delivery:
    """Send a message again that was delivered or given up: the same one, with all its attempts."""
    row = await webhooks.redeliver(transaction, webhook_id, delivery_id)
    await audit.insert(
        transaction, caller.key_id, action="redeliver", subject=f"webhooks/{webhook_id}/{delivery_id}"
    )
    return _delivery(row)


ROUTES = [
    list_webhooks,
    create_webhook,
    get_webhook,
    replace_webhook,
    retire_webhook,
    rotate_webhook_secret,
    ping_webhook,
    list_webhook_deliveries,
    redeliver_webhook,
]
