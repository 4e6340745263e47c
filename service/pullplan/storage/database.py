"""How is Postgres reached, what is one transaction, and when is it away?"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import msgspec

from pullplan.engine.errors import DatabaseAwayError

type OwnConnection = asyncpg.Connection[asyncpg.Record]
type LentConnection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
type Connection = OwnConnection | LentConnection
type Pool = asyncpg.Pool[asyncpg.Record]

_AWAY_CLASSES = ("08",)
_AWAY_STATES = ("57P01", "57P02", "57P03", "53300")
_ANSWER_SECONDS = 2.0
_LISTEN_AGAIN_SECONDS = 1.0


def is_outage(error: BaseException) -> bool:
    """Tell whether an error means that the server is away, and nothing is wrong with the request."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state[:2] in _AWAY_CLASSES or state in _AWAY_STATES
    return isinstance(error, OSError | TimeoutError)


def _encode_jsonb(value: Any) -> bytes:
    return b"\x01" + msgspec.json.encode(value)  # the version of jsonb's binary form, then plain JSON


def _decode_jsonb(data: bytes) -> Any:
    return msgspec.json.decode(data[1:])


async def prepare_connection(connection: OwnConnection) -> None:
    """Teach a new connection to speak jsonb as Python values; binary, because COPY takes no text codec."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )


def _session(statement_timeout_seconds: float) -> dict[str, str]:
    milliseconds = str(int(statement_timeout_seconds * 1000))
    return {
        "application_name": "pullplan",
        "statement_timeout": milliseconds,
        "lock_timeout": "10000",
        "idle_in_transaction_session_timeout": "60000",
        "jit": "off",
        "timezone": "UTC",
    }


@asynccontextmanager
async def opened_pool(
    url: str,
    *,
    max_connections: int,
    statement_cache: bool = True,
    statement_timeout_seconds: float = 60.0,
) -> AsyncIterator[Pool]:
    """Lend a pool that opens its connections when they are needed, so that it comes up before the database."""
    pool = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=max_connections,
        timeout=5.0,
        command_timeout=statement_timeout_seconds + 5.0,
        server_settings=_session(statement_timeout_seconds),
        statement_cache_size=100 if statement_cache else 0,
        init=prepare_connection,
    )
    async with pool:
        yield pool


async def connect(url: str, *, statement_timeout_seconds: float = 600.0) -> OwnConnection:
    """Open one connection for a command or a run.

    Raises: DatabaseAwayError.
    """
    try:
        connection = await asyncpg.connect(
            url,
            timeout=5.0,
            command_timeout=statement_timeout_seconds + 5.0,
            server_settings=_session(statement_timeout_seconds),
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        if is_outage(error):
            raise DatabaseAwayError(f"the database does not answer: {error}") from error
        raise
    await prepare_connection(connection)
    return connection


async def listen(url: str, ears: Mapping[str, Callable[[str], None]]) -> None:
    """Call back with each word that is sent on a channel, until the connection is lost; with none, once, to begin with.

    Raises: DatabaseAwayError when there is no connection to begin with.
    """
    connection = await connect(url)
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    try:
        for channel, hear in ears.items():
            await connection.add_listener(channel, _hearing(hear))
            hear("")
        await lost.wait()
    finally:
        connection.terminate()


def _hearing(hear: Callable[[str], None]) -> Callable[..., None]:
    return lambda *said: hear(str(said[-1]))


async def keep_listening(url: str, ears: Mapping[str, Callable[[str], None]]) -> None:
    """Listen for as long as this runs, connecting again whenever the connection is lost."""
    while True:
        # Requests that need the database say that it is away.
        with suppress(
            DatabaseAwayError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError
        ):
            await listen(url, ears)
        await asyncio.sleep(_LISTEN_AGAIN_SECONDS)


class Line:
    """One connection that is kept from use to use: opened when it is first needed, and anew where it was lost.

    For one user at a time. A new connection's first snapshot takes the server five times as long as its second.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: OwnConnection | None = None

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[OwnConnection]:
        """Lend the connection; after an error nobody uses it again.

        Raises: DatabaseAwayError.
        """
        if self._connection is None or not await _answers(self._connection):
            self._connection = await connect(self._url)
        try:
            yield self._connection
        except BaseException:
            self._connection.terminate()
            raise

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()


async def _answers(connection: OwnConnection) -> bool:
    """Tell whether a connection that may have been idle for long is still one; where it isn't, let go of it."""
    try:
        await connection.execute("SELECT", timeout=_ANSWER_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
        return False
    return True


def _is_gone(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True  # the pool has taken a connection that died away from its user


@asynccontextmanager
async def lent(pool: Pool, *, acquire_seconds: float = 5.0) -> AsyncIterator[Connection]:
    """Lend a connection outside of any transaction: for a single statement, or for a stream's own.

    Raises: DatabaseAwayError for an outage before, during or after its use; other errors pass.
    """
    try:
        connection = await pool.acquire(timeout=acquire_seconds)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if is_outage(error) or isinstance(error, asyncpg.InterfaceError):
            raise DatabaseAwayError(f"no connection to the database: {str(error) or 'timed out'}") from error
        raise
    try:
        yield connection
    except asyncpg.InternalClientError as error:
        # The server's last words came while the connection was idle: it is unusable before it is seen to be closed.
        connection.terminate()
        raise DatabaseAwayError(f"the database is going away: {error}") from error
    except Exception as error:
        if is_outage(error) or (isinstance(error, asyncpg.InterfaceError) and _is_gone(connection)):
            raise DatabaseAwayError(f"the database went away: {error}") from error
        raise
    finally:
        await _give_back(pool, connection)


async def _give_back(pool: Pool, connection: LentConnection) -> None:
    """Return a connection to the pool; one that dies only now has done its work, and the pool has dropped it."""
    try:
        await pool.release(connection)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
        if not (is_outage(error) or isinstance(error, asyncpg.InternalClientError)):
            raise


@asynccontextmanager
async def transaction(pool: Pool, *, acquire_seconds: float = 5.0) -> AsyncIterator[Connection]:
    """Lend a connection inside one transaction: committed at the end, rolled back on any error.

    Raises: DatabaseAwayError for an outage at any point.
    """
    async with lent(pool, acquire_seconds=acquire_seconds) as connection, connection.transaction():
        yield connection
