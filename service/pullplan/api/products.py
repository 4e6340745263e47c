"""What are the products?"""

from datetime import datetime
from typing import Any

from litestar import Request, Response, delete, get, put
from litestar.params import JSONBody

from pullplan.api import fields, intake, lists
from pullplan.api.access import require
from pullplan.api.dependencies import CallerOf, PoolOf, Transaction
from pullplan.api.idempotency import IdempotencyKey
from pullplan.api.lots import LotFields
from pullplan.api.preconditions import expected_revision, with_etag
from pullplan.api.row_types import RowType
from pullplan.storage import audit
from pullplan.storage.products import PRODUCTS


class ProductBody(intake.Row, LotFields, kw_only=True):
    """What a product is; amounts are in the deployment's one currency."""

    name: fields.Text = ""
    unit: fields.Text = "unit"
    weight_kg: fields.NonNegative = 1.0
    value_per_unit: fields.NonNegative = 1.0
    holding_cost_per_unit_per_day: fields.NonNegative = 0.0
    largest_share: fields.PositiveShare | None = None
    """The largest share of what is started of it over a plan's horizon that any one node may start, released work included; where
    fewer nodes could carry that, an equal share for each. Null: as the plan's parameters say."""
    shelf_life_days: fields.Days | None = None
    """How long it may lie in its region before it is due. Null: for ever."""
    source_revision: fields.SourceRevision | None = None
    """The source's own count of its changes; an older one never overwrites a later one."""


class ProductRow(ProductBody, kw_only=True):
    """One line of a batch."""

    product_code: fields.Code


class ProductShown(ProductRow, kw_only=True):
    """A stored product."""

    revision: int
    updated_at: datetime
    retired_at: datetime | None
    """Since when it can't be used anew; what refers to it stays readable."""


INTAKE = intake.Intake(
    subject="products",
    rows=RowType(ProductRow),
    record=intake.in_columns(PRODUCTS.target),
)


@get("/v1/products", guards=[require("read")], operation_id="listProducts", tags=["network"])
async def list_products(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    updated_since: lists.UpdatedSince = None,
    retired: lists.Retired = False,
) -> lists.Page[ProductShown]:
    """List products by code; retired ones only with `retired=true`."""
    after = lists.decode_cursor(cursor, tuple[str])
    rows = await PRODUCTS.list_page(transaction, after, limit + 1, updated_since, retired)
    return lists.page(
        [ProductShown(**row) for row in rows], limit, key=lambda product: (product.product_code,)
    )


@put(
    "/v1/products",
    guards=[require("network:write")],
    operation_id="loadProducts",
    tags=["network"],
    opt={"bulk_body": ProductRow, "problems": (409,)},
    request_max_body_size=None,
)
async def load_products(
    request: Request[Any, Any, Any],
    pool: PoolOf,
    caller: CallerOf,
    partial: intake.Partial = False,
    dry_run: intake.DryRun = False,
    mode: intake.Mode = "merge",
    idempotency_key: IdempotencyKey = None,
    prefer: intake.Prefer = None,
) -> intake.Loaded:
    """Add and change products, as many as an ERP has. The last writer wins, unless a line's `source_revision` is older than the stored one."""
    return await intake.load(
        request, INTAKE, pool, caller, idempotency_key, prefer, partial=partial, dry_run=dry_run, mode=mode
    )


@get("/v1/products/{product_code:str}", guards=[require("read")], operation_id="getProduct", tags=["network"])
async def get_product(transaction: Transaction, product_code: fields.CodeInPath) -> Response[ProductShown]:
    """Show one product, retired or not; `ETag` is its revision."""
    row = await PRODUCTS.get(transaction, product_code)
    return with_etag(ProductShown(**row), row)


@put(
    "/v1/products/{product_code:str}",
    guards=[require("network:write")],
    operation_id="putProduct",
    tags=["network"],
    opt={"problems": (409, 412, 428)},
)
async def put_product(
    request: Request[Any, Any, Any],
    product_code: fields.CodeInPath,
    data: JSONBody[ProductBody],
    transaction: Transaction,
    caller: CallerOf,
) -> Response[ProductShown]:
    """Create one product (`If-None-Match: *`) or replace it as it was read (`If-Match`)."""
    expected = expected_revision(request)
    existed = await PRODUCTS.expect(transaction, expected, product_code)
    with INTAKE.spooled(intake.named(data, ProductRow, product_code=product_code)) as spool:
        await INTAKE.destination.put(transaction, spool)
    await audit.insert(transaction, caller.key_id, action="put", subject=f"products/{product_code}")
    row = await PRODUCTS.get(transaction, product_code)
    return with_etag(ProductShown(**row), row, created=not existed)


@delete(
    "/v1/products/{product_code:str}",
    guards=[require("network:write")],
    operation_id="retireProduct",
    tags=["network"],
    opt={"problems": (412, 428)},
)
async def retire_product(
    request: Request[Any, Any, Any],
    product_code: fields.CodeInPath,
    transaction: Transaction,
    caller: CallerOf,
) -> None:
    """Retire one product: it stays readable where something refers to it, and can't be used anew."""
    await PRODUCTS.retire(transaction, expected_revision(request), product_code)
    await audit.insert(transaction, caller.key_id, action="retire", subject=f"products/{product_code}")


ROUTES = [list_products, load_products, get_product, put_product, retire_product]
