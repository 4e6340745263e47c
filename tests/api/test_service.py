import pytest

pytestmark = pytest.mark.anyio


async def test_a_key_reads_what_it_is(client):
    answer = await client.get("/v1/me")
    assert answer.status_code == 200
    assert answer.json()["scopes"] == ["admin"]
