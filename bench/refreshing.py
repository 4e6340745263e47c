"""What does a refresh of a hundredth of all series, or one of a week later, cost beside a forecast of all, queue to storage?

    python -m bench.refreshing N_SERIES PROFILE

measures all three in a process of its own, upon a database of its own. Seconds are CPU time of the run's process: reading, making
and storing, without what Postgres itself takes for either.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from bench.apart import measured_apart
from bench.figure import figure
from bench.forecast_speed import AS_OF, N_STEPS, facts_of, mixed_panel

from pullplan.engine.model import DailyUnits, ForecastProfile, ForecastRequest
from pullplan.postgres import EmbeddedServer
from pullplan.storage import database, queue, schema
from pullplan.storage.database import Connection, Line
from pullplan.workflows.desk import Desk
from pullplan.workflows.run_forecast import run_forecast

N_SERIES = 5_000
DIRTY_SHARE = 0.01
SHARE_LIMIT = 0.02
AS_OF_TIME = datetime(AS_OF.year, AS_OF.month, AS_OF.day, 9, tzinfo=UTC)
_COLUMNS = ("source", "external_id", "kind", "product_code", "region_code", "units", "occurred_at")


def refreshing() -> list[dict[str, Any]]:
    """Forecast all series, then those of a hundredth again after a late sale of each, then all once a week has ended."""
    figures = []
    for profile in ("quick", "thorough"):
        measured = measure(N_SERIES, profile)
        share, rolled = (
            measured[name] / measured["full_seconds"] for name in ("refresh_seconds", "roll_seconds")
        )
        figures += [
            figure(
                f"refresh of {DIRTY_SHARE:.0%} of {N_SERIES:,} series, {profile}: CPU time beside that of all",
                share, "share", reference=measured["full_seconds"], must=f"<= {SHARE_LIMIT}", reached=share <= SHARE_LIMIT,
            ),
            figure(
                f"refresh of {N_SERIES:,} series after a week has ended, {profile}: CPU time beside choosing all models anew",
                rolled, "share", reference=measured["full_seconds"], must="-", reached=None,
            ),
        ]  # fmt: skip
    return figures


def measure(n_series: int, profile: str) -> dict[str, float]:
    return measured_apart("bench.refreshing", n_series, profile)


async def _forecast(connection: Connection, url: str, request: ForecastRequest) -> tuple[UUID, float]:
    await queue.enqueue(connection, "forecast", msgspec.to_builtins(request), None)
    run = await queue.claim(connection, 3600.0)
    assert run is not None
    line = Line(url)
    try:
        began = time.process_time()
        await run_forecast(Desk(line=line, time_zone="UTC", progress=lambda *_: None), run)
        return run.run_id, time.process_time() - began
    finally:
        await line.close()


def rows_of(sold: DailyUnits) -> Iterator[tuple[str, str, float, date]]:
    return zip(sold.product_codes, sold.region_codes, sold.units, sold.days, strict=True)


async def _measure(url: str, n_series: int, profile: ForecastProfile) -> dict[str, float]:
    sold = facts_of(mixed_panel(n_series), profile).consumption
    connection = await database.connect(url)
    try:
        await connection.copy_records_to_table(
            "products", columns=("product_code",), records=[(p,) for p in sorted(set(sold.product_codes))]
        )
        await connection.copy_records_to_table(
            "regions", columns=("region_code",), records=[(r,) for r in sorted(set(sold.region_codes))]
        )
        noon = datetime.min.time().replace(hour=12, tzinfo=UTC)
        await connection.copy_records_to_table(
            "demand_signals",
            columns=_COLUMNS,
            records=(
                ("shop", str(n), "consumption", product, region, units, datetime.combine(day, noon))
                for n, (product, region, units, day) in enumerate(rows_of(sold))
            ),
        )
        await connection.execute("ANALYZE")
        request = ForecastRequest(as_of=AS_OF_TIME, horizon_buckets=N_STEPS, profile=profile)
        # Once with nothing to do, so that neither is the first to import what it needs.
        refresh = msgspec.structs.replace(request, refresh=True)
        _, full = await _forecast(connection, url, request)
        await _forecast(connection, url, refresh)
        pairs = sorted(set(zip(sold.product_codes, sold.region_codes, strict=True)))
        dirty = pairs[:: round(1 / DIRTY_SHARE)]
        await connection.copy_records_to_table(
            "demand_signals",
            columns=_COLUMNS,
            records=[
                ("shop", f"late {n}", "consumption", *pair, 9.0, AS_OF_TIME - timedelta(days=5))
                for n, pair in enumerate(dirty)
            ],
        )
        refreshed, seconds = await _forecast(connection, url, refresh)
        n_refreshed = await connection.fetchval(
            "SELECT n_refreshed_series FROM forecasts WHERE forecast_id = $1", refreshed
        )
        assert n_refreshed == len(dirty), n_refreshed
        week = timedelta(weeks=1)
        await connection.copy_records_to_table(
            "demand_signals",
            columns=_COLUMNS,
            records=[
                (
                    "shop",
                    f"next {n}",
                    "consumption",
                    product,
                    region,
                    units,
                    datetime.combine(day + week, noon),
                )
                for n, (product, region, units, day) in enumerate(rows_of(sold))
                if day + week >= AS_OF
            ],
        )
        rolled, roll_seconds = await _forecast(
            connection, url, msgspec.structs.replace(refresh, as_of=AS_OF_TIME + week)
        )
        n_rolled = await connection.fetchval(
            "SELECT n_refreshed_series FROM forecasts WHERE forecast_id = $1", rolled
        )
        assert n_rolled == len(pairs), n_rolled
        return {"full_seconds": full, "refresh_seconds": seconds, "roll_seconds": roll_seconds}
    finally:
        await connection.close()


def main() -> None:
    n_series, profile = int(sys.argv[1]), msgspec.convert(sys.argv[2], ForecastProfile)
    with tempfile.TemporaryDirectory(prefix="pullplan-bench-") as folder:
        server = EmbeddedServer(Path(folder) / "server")
        url = server.start()
        try:
            schema.migrate(url)
            measured = asyncio.run(_measure(url, n_series, profile))
        finally:
            server.stop()
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
