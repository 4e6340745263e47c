"""Does `pullplan replay` show policies side by side, and leave what is done when it is stopped?"""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from matplotlib import image
from tests.seeding import demand, insert, network

from pullplan.cli import main
from pullplan.engine.replay import Replay
from pullplan.storage.database import Connection
from pullplan.workflows.replay import ReplayRequest
from pullplan.workflows.replay import replay as whole

SOME_WEEKS = ("--from", "2024-04-01", "--to", "2024-04-22", "--warm-up", "1", "--weeks", "3")
TWO_POLICIES = ("--policy", "make_to_order", "--policy", "ddmrp_buffer:lead_time_factor=0.8,unmet=backorder")


@pytest.fixture
def replay(
    run_with_connection: Callable[[Callable[[Any], Awaitable[Any]]], Any],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Result]:
    """Call the command on a database with a small network and its demand."""
    run_with_connection(lambda connection: insert(connection, [*network(), *demand()]))
    monkeypatch.setenv("DATABASE_URL", database_url)
    return lambda *arguments: CliRunner().invoke(main, ["replay", *arguments])


def test_figures_stand_side_by_side_as_a_table_as_json_and_as_a_picture(
    replay: Callable[..., Result], tmp_path: Path
):
    table = replay(*SOME_WEEKS, *TWO_POLICIES)
    assert table.exit_code == 0, table.output
    assert "3 weeks, 2024-04-01 to 2024-04-15" in table.stdout

    picture = tmp_path / "replay.png"
    ran = replay(*SOME_WEEKS, *TWO_POLICIES, "--json", "--plot", str(picture))
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert list(told) == list(TWO_POLICIES[1::2])
    for figures in told.values():
        assert [bucket["first_date"] for bucket in figures["buckets"]] == [
            "2024-04-01", "2024-04-08", "2024-04-15",
        ]  # fmt: skip
        assert figures["lost_share"] == 0
        assert f"{figures['in_time_share']:.1%}" in table.stdout
        assert f"{figures['unit_km']:,.0f}" in table.stdout
    pixels = image.imread(picture)
    assert pixels.shape[:2] == (990, 1210)
    assert len({tuple(pixel) for pixel in pixels[::2, ::2, :3].reshape(-1, 3)}) > 20


def test_an_interrupt_reports_the_weeks_that_are_done(
    replay: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
):
    async def interrupted(
        connection: Connection,
        request: ReplayRequest,
        time_zone: str,
        after_bucket: Callable[[Sequence[Replay], int, int], None],
    ) -> None:
        def then_interrupt(replays: Sequence[Replay], n_done: int, n_buckets: int) -> None:
            after_bucket(replays, n_done, n_buckets)
            if n_done == n_wanted:
                signal.raise_signal(signal.SIGINT)

        await whole(connection, request, time_zone, then_interrupt)
        await asyncio.sleep(0)

    monkeypatch.setattr("pullplan.cli.replay.replay_history", interrupted)
    n_wanted = 3
    ran = replay(*SOME_WEEKS, "--policy", "make_to_order", "--json")
    assert ran.exit_code == 0, ran.output
    assert "Interrupted: reported up to the week of 2024-04-08." in ran.stderr
    assert json.loads(ran.stdout)["make_to_order"]["n_buckets"] == 2

    n_wanted = 1
    ran = replay(*SOME_WEEKS, "--policy", "make_to_order")
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "before a week could be reported" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy", "just_in_time"), "policies are make_to_order, base_stock, ddmrp_buffer"),
        (("--policy", "base_stock:service_level=2"), "service_level_share"),
        (("--policy", "base_stock:colour=red"), "colour"),
        (("--policy", "base_stock:0.95"), "'0.95' is not FIELD=VALUE"),
        (("--policy", "base_stock:unmet=forgotten"), "unmet is lost or backorder"),
        (("--policy", "stored:service_level=0.9"), "stored policies have their own service_level_share"),
        (("--policy", "stored", "--policy", "stored"), "each is to be named once"),
        (("--policy", "stored", "--to", "2024-03-01"), "--from 2024-04-01 must be before --to 2024-03-01"),
    ],
)
def test_what_cannot_be_replayed_is_named(arguments: tuple[str, ...], said: str):
    ran = CliRunner().invoke(main, ["replay", *SOME_WEEKS, *arguments])
    assert ran.exit_code == 2
    assert said in " ".join(ran.stderr.split())
