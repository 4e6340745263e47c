"""What do storage and workflow tests put into a database? Rows as tables hold them, and a small believable network."""

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pullplan.storage.database import Connection

type Rows = list[tuple[str, dict[str, Any]]]
"""(table, columns) in an order that foreign keys allow."""

AS_OF = datetime(2024, 6, 5, 9, 0, tzinfo=UTC)  # a Wednesday


async def insert(connection: Connection, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
    for table, columns in rows:
        places = ", ".join(f"${i}" for i in range(1, len(columns) + 1))
        await connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})",
            *columns.values(),
        )


def signal(external_id: str, kind: str, units: float | None, **more: Any) -> tuple[str, dict[str, Any]]:
    columns = {
        "source": "shop",
        "external_id": external_id,
        "kind": kind,
        "product_code": "BREAD",
        "region_code": "NORTH",
        "units": units,
        "occurred_at": AS_OF - timedelta(days=1),
    }
    return "demand_signals", columns | more


def network() -> Rows:
    """Three nodes, three regions, two products: MILL is nearest to NORTH, YARD to SOUTH, DEPOT is offline."""
    places = {"MILL": (53.0, 10.0), "YARD": (48.0, 11.0), "DEPOT": (51.0, 7.0)}
    homes = {"NORTH": (53.5, 10.0), "SOUTH": (48.2, 11.5), "WEST": (51.0, 6.8)}
    rows: Rows = [("products", {"product_code": code, "weight_kg": 2.0}) for code in ("BREAD", "CAKE")]
    rows += [
        ("regions", {"region_code": code, "latitude": north, "longitude": east})
        for code, (north, east) in homes.items()
    ]
    for code, (north, east) in places.items():
        status = "offline" if code == "DEPOT" else "online"
        rows += [
            ("nodes", {"node_code": code, "latitude": north, "longitude": east, "status": status}),
            ("resources", {"node_code": code, "resource_code": "hours", "capacity_per_day": 40.0}),
        ]
        rows += [
            ("capabilities", {"node_code": code, "product_code": product, "use_per_unit": {"hours": use}})
            for product, use in (("BREAD", 0.5), ("CAKE", 1.0))
        ]
    return rows


def demand(weeks: int = 40) -> Rows:
    """Weekly consumption with a season and a tail that hardly ever sells, an order and a lead."""
    rows: Rows = []
    monday = date(2024, 6, 3)
    for week in range(1, weeks + 1):
        day = monday - timedelta(weeks=week)
        for r, region in enumerate(("NORTH", "SOUTH", "WEST")):
            for p, product in enumerate(("BREAD", "CAKE")):
                units = round(60 + 20 * math.sin(week / 6 + r) + 7 * ((week * (p + 3)) % 5), 1)
                if product == "CAKE" and region == "WEST" and week % 9:
                    continue
                rows.append(
                    signal(
                        f"{product}-{region}-{week}",
                        "consumption",
                        units,
                        product_code=product,
                        region_code=region,
                        occurred_at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
                    )
                )
    due = monday + timedelta(weeks=1, days=2)
    rows.append(signal("order-1", "order", 200.0, due_date=due, priority=1))
    rows.append(signal("lead-1", "lead", 80.0, due_date=due, probability=0.6, region_code="SOUTH"))
    return rows


def stock() -> Rows:
    place = {"product_code": "BREAD", "region_code": "NORTH"}
    counted_at = AS_OF - timedelta(days=3)
    return [
        (
            "stock_counts",
            {"source": "erp", "external_id": "c1", **place, "counted_at": counted_at, "on_hand_units": 30.0},
        ),
        (
            "open_supply",
            {"source": "erp", "external_id": "s1", **place, "units": 25.0, "due_date": date(2024, 6, 12)},
        ),
    ]
