"""What does a body that was packed for its way become? Unpacked piece by piece, within a bound."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request

from pullplan.api.errors import BodyMalformedError, BodyTooLargeError, MediaTypeUnsupportedError

EXPANSION_MAX = 100
"""So many bytes may come of one that was sent; tables of orders become 5 to 30, a bomb a thousand."""
EXPANSION_FREE_BYTES = 1 << 20
"""So much may come of however little."""
_PIECE_BYTES = 1 << 18
_GZIP_WINDOW = 31


async def read_unpacked(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    """Read a body as it comes in, unpacked where `Content-Encoding` is gzip.

    Raises: MediaTypeUnsupportedError, BodyMalformedError, BodyTooLargeError for more than EXPANSION_MAX times what was sent.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        async for chunk in request.stream():
            yield chunk
    elif encoding in ("gzip", "x-gzip"):
        async for piece in _unzipped(request.stream()):
            yield piece
    else:
        raise MediaTypeUnsupportedError(
            f"send the body as it is or with Content-Encoding gzip, not {encoding}"
        )


async def _unzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    unpacker = zlib.decompressobj(wbits=_GZIP_WINDOW)
    n_sent = n_made = 0
    async for chunk in chunks:
        n_sent += len(chunk)
        packed = chunk
        while packed:
            if unpacker.eof:  # a file of several members, as appending makes them
                unpacker = zlib.decompressobj(wbits=_GZIP_WINDOW)
            try:
                piece = unpacker.decompress(packed, _PIECE_BYTES)
            except zlib.error as error:
                raise BodyMalformedError(
                    f"the body is not gzip, as its Content-Encoding says: {error}"
                ) from None
            packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            n_made += len(piece)
            if n_made > EXPANSION_FREE_BYTES + EXPANSION_MAX * n_sent:
                raise BodyTooLargeError(f"the body unpacks to more than {EXPANSION_MAX} times what was sent")
            yield piece
            await asyncio.sleep(0)  # others get their turn
    if n_sent and not unpacker.eof:
        raise BodyMalformedError("the gzip body ends before its end")
