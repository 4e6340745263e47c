"""What does an answer cost that does nothing, or one INSERT? Bare Litestar applications, the references of reading.py and posting.py."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Litestar, get, post
from litestar.datastructures import State
from litestar.params import Body

from pullplan.storage import database

INSERT = """
INSERT INTO demand_signals (source, external_id, kind, product_code, region_code, units, occurred_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


class Signal(msgspec.Struct):
    source: str
    external_id: str
    kind: str
    product_code: str
    region_code: str
    units: float
    occurred_at: datetime


@get("/")
async def answer() -> dict[str, int]:
    return {"answer": 42}


@post("/signals")
async def add(state: State, data: Annotated[Signal, Body()]) -> Signal:
    async with state.pool.acquire() as connection:
        await connection.execute(INSERT, *msgspec.structs.astuple(data))
    return data


@asynccontextmanager
async def _pool(app: Litestar) -> AsyncIterator[None]:
    async with database.opened_pool(os.environ["DATABASE_URL"], max_connections=10) as pool:
        app.state.pool = pool
        yield


app = Litestar([answer], openapi_config=None)


def create() -> Litestar:
    """Make the application over the database that DATABASE_URL names."""
    return Litestar([answer, add], lifespan=[_pool], openapi_config=None, logging_config=None)
