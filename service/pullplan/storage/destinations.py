"""Where do the batches of each subject go? One table for whoever stores them: the API at once, a worker in a run."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from pullplan.storage import (
    batches,
    capabilities,
    capacity,
    demand,
    node_stock,
    policies,
    stock,
    supply,
    usage_exclusions,
)
from pullplan.storage.batches import Outcome, Target
from pullplan.storage.database import Connection
from pullplan.storage.lanes import LANES
from pullplan.storage.nodes import NODES
from pullplan.storage.products import PRODUCTS
from pullplan.storage.regions import REGIONS
from pullplan.storage.spool import Spool


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A table that batches reach; `store` where merging into it isn't all: (connection, spool, *, partial[, replace])."""

    target: Target
    store: Callable[..., Awaitable[Outcome]] | None = None

    async def put(
        self, connection: Connection, spool: Spool, *, partial: bool = False, replace: bool = False
    ) -> Outcome:
        """Store a checked batch inside the caller's transaction.

        Raises: LinesRefusedError; ResourceInUseError.
        """
        if self.store is not None:
            options = {"partial": partial} | ({"replace": True} if replace else {})
            return await self.store(connection, spool, **options)
        return await batches.merge(connection, spool, self.target, partial=partial, replace=replace)


DESTINATIONS: Mapping[str, Destination] = {
    "products": Destination(target=PRODUCTS.target),
    "regions": Destination(target=REGIONS.target),
    "nodes": Destination(target=NODES.target),
    "lanes": Destination(target=LANES.target),
    "capabilities": Destination(target=capabilities.TARGET),
    "capacity": Destination(target=capacity.RESOURCES, store=capacity.merge_resources),
    "capacity-exceptions": Destination(target=capacity.EXCEPTIONS),
    "policies": Destination(target=policies.TARGET),
    "usage-exclusions": Destination(target=usage_exclusions.TARGET),
    "stock-counts": Destination(target=stock.TARGET),
    "node-stock-counts": Destination(target=node_stock.TARGET),
    "open-supply": Destination(target=supply.TARGET),
    "demand-signals": Destination(target=demand.TARGET, store=demand.add),
}
