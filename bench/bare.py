"""What does an answer cost that does nothing? A bare Litestar application, the reference of reading.py."""

from litestar import Litestar, get


@get("/")
async def answer() -> dict[str, int]:
    return {"answer": 42}


app = Litestar([answer], openapi_config=None)
