"""Where can things be made, and how are these places now?"""

import asyncpg

from pullplan.engine.errors import ResourceUnknownError
from pullplan.engine.model import NodeStatus
from pullplan.storage.batches import target
from pullplan.storage.database import Connection
from pullplan.storage.owned import Owned
from pullplan.storage.queries import load_queries

SQL = load_queries("nodes")
COLUMNS = ("node_code", "name", "latitude", "longitude", "status", "capacity_share", "source_revision")
NODES = Owned(noun="node", sql=SQL, target=target(SQL, "staged_nodes", COLUMNS))


async def report_state(
    connection: Connection, node_code: str, status: NodeStatus, capacity_share: float | None
) -> asyncpg.Record:
    """Store what a node says of itself; without a share the last one stays.

    Raises: ResourceUnknownError, for a retired node too.
    """
    row = await connection.fetchrow(SQL["report_state"], node_code, status, capacity_share)
    if row is None:
        raise ResourceUnknownError("node", node_code)
    return row
