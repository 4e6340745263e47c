"""Are access tokens of an identity provider accepted for what they say, and for nothing else? And are guesses stopped?"""

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from pullplan.api.access import Keyring
from pullplan.api.errors import KeyRefusedError, KeySetAwayError, RateExceededError
from pullplan.api.rate_limits import REFUSED_PER_MINUTE, RateLimiter
from pullplan.api.tokens import KEYS_ASKED_AGAIN, KEYS_KEPT, LEEWAY_SECONDS, TokenReader
from pullplan.settings import SettingInvalidError, Settings, read_settings

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")]
"""EdDSA has another name now; providers still write it."""

ISSUER, AUDIENCE = "https://login.example.com/", "pullplan"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})


def key_set(*keys: Key) -> str:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]})


def token(key: Any = RSA, algorithm: str = "RS256", /, **claims: Any) -> str:
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "u-17", "exp": now + 600, "iat": now, "scope": "read"}
    said |= claims
    header = {"alg": algorithm, "kid": key.kid}
    return jwt.encode(header, {k: v for k, v in said.items() if v is not None}, key, algorithms=[algorithm])


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}
    known = json.loads(key_set(RSA, EC, ED))["keys"]
    path.write_text(json.dumps({"keys": [secret, {"kty": "unknown", "kid": "x"}, *known]}))
    return path


@pytest.fixture
def settings(tmp_path: Path, keys_file: Path) -> Settings:
    return Settings(
        data_folder=tmp_path,
        pool_connections=5,
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_keys=str(keys_file),
    )


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")])
async def test_a_token_may_do_what_it_says(anonymous, key, algorithm):
    text = token(key, algorithm, scope="openid read plans:run", name="Ada", aud=["other", AUDIENCE])
    me = (await anonymous.get("/v1/me", headers=bearer(text))).json()
    assert (me["name"], me["scopes"], me["node_code"]) == ("Ada", ["plans:run", "read"], None)
    assert (await anonymous.get("/v1/runs", headers=bearer(text))).status_code == 200
    assert (await anonymous.post("/v1/plans", json={}, headers=bearer(text))).status_code == 202
    refused = await anonymous.post("/v1/keys", json={"name": "x", "scopes": ["read"]}, headers=bearer(text))
    assert (refused.status_code, refused.json()["code"]) == (403, "scope-missing")


async def test_clocks_may_differ_by_a_little(anonymous):
    now = int(time.time())
    for text in (token(exp=now - LEEWAY_SECONDS // 2), token(nbf=now + LEEWAY_SECONDS // 2)):
        assert (await anonymous.get("/v1/me", headers=bearer(text))).status_code == 200


async def test_a_token_for_a_node_sees_that_node_alone(anonymous, key_with):
    admin = bearer(await key_with("admin"))
    for code in ("ULM", "BONN"):
        await anonymous.put(f"/v1/nodes/{code}", json={}, headers=admin | {"If-None-Match": "*"})
    text = token(scope=None, scp=["node"], pullplan_node="ULM")
    assert (await anonymous.get("/v1/nodes/ULM", headers=bearer(text))).status_code == 200
    assert (await anonymous.get("/v1/nodes/BONN", headers=bearer(text))).status_code == 404


def part(of: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(of).encode()).rstrip(b"=").decode()


def unsigned() -> str:
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "u", "exp": int(time.time()) + 600, "scope": "admin"}
    return f"{part({'alg': 'none'})}.{part(said)}."


def signed_with_what_is_public() -> str:
    _, claims, _ = token(scope="admin").split(".")
    said = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{claims}"
    code = hmac.digest(RSA.as_pem(private=False), said.encode(), "sha256")
    return f"{said}.{base64.urlsafe_b64encode(code).rstrip(b'=').decode()}"


def changed(text: str) -> str:
    header, _, signature = text.split(".")
    _, claims, _ = token(scope="admin").split(".")
    return f"{header}.{claims}.{signature}"


NOW = int(time.time())
WRONG = {
    "another issuer": lambda: token(iss="https://login.example.com"),
    "another audience": lambda: token(aud="shop"),
    "no audience": lambda: token(aud=None),
    "expired": lambda: token(exp=NOW - LEEWAY_SECONDS - 5),
    "without an end": lambda: token(exp=None),
    "not yet": lambda: token(nbf=NOW + 3600),
    "of nobody": lambda: token(sub=None),
    "of a blank": lambda: token(sub=""),
    "of a number": lambda: token(sub=5),
    "a stranger's key of that name": lambda: token(STRANGER),
    "an unknown key": lambda: token(RSAKey.generate_key(2048, {"kid": "new"})),
    "unsigned": unsigned,
    "signed with what is public": signed_with_what_is_public,
    "signed with a listed secret": lambda: token(OctKey.import_key(b"secret", {"kid": "oct"}), "HS256"),
    "changed": lambda: changed(token()),
    "no token at all": lambda: "a.b.c",
    "not even text": lambda: "..",
    "a node's without the node": lambda: token(scope="node"),
    "a node without its scope": lambda: token(pullplan_node="ULM"),
    "scopes that are a number": lambda: token(scope=3),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_token_that_is_not_what_it_should_be_is_refused(anonymous, what):
    answer = await anonymous.get("/v1/me", headers=bearer(WRONG[what]()))
    assert (answer.status_code, answer.json()["code"]) == (401, "key-refused"), answer.text
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_what_a_token_did_is_audited_and_its_subject_can_be_shut_out(anonymous, key_with):
    admin = bearer(await key_with("admin"))
    text = token(scope="network:write", preferred_username="ada")
    await anonymous.put("/v1/regions/ULM", json={}, headers=bearer(text) | {"If-None-Match": "*"})
    entry = (await anonymous.get("/v1/audit", params={"subject": "regions/ULM"}, headers=admin)).json()[
        "items"
    ][0]
    listed = (await anonymous.get("/v1/keys", headers=admin)).json()["items"]
    known = next(key for key in listed if key["key_id"] == entry["key_id"])
    assert (known["issuer"], known["subject"], known["name"], known["scopes"]) == (ISSUER, "u-17", "ada", [])
    assert known["last_used_at"] is not None
    # Another token of the same person is the same key.
    me = (await anonymous.get("/v1/me", headers=bearer(token(jti="2")))).json()
    assert me["key_id"] == known["key_id"]
    path = f"/v1/keys/{known['key_id']}"
    rotated = await anonymous.post(f"{path}/rotate", json={}, headers=admin)
    assert (rotated.status_code, rotated.json()["code"]) == (409, "key-of-tokens")
    assert (await anonymous.delete(path, headers=admin)).status_code == 204
    assert (await anonymous.get("/v1/me", headers=bearer(token(jti="3")))).status_code == 401


class Provider:
    """An identity provider on this machine, which names its keys, or does not answer."""

    def __init__(self) -> None:
        self.says: str | None = None
        self.n_asked = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.n_asked += 1
                self.send_response(200 if provider.says is not None else 500)
                self.end_headers()
                self.wfile.write((provider.says or "").encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


async def test_the_providers_keys_are_asked_for_once_and_again_for_a_new_one(provider):
    clock = Clock()
    reader = TokenReader(ISSUER, AUDIENCE, provider.url, clock)
    with pytest.raises(KeySetAwayError):
        await reader.read(token())
    provider.says = key_set(RSA)
    with pytest.raises(KeySetAwayError):  # it is not asked at every request
        await reader.read(token())
    clock.now += timedelta(seconds=5)
    assert (await reader.read(token())).subject == "u-17"
    assert (await reader.read(token(sub="u-18"))).subject == "u-18"
    assert provider.n_asked == 2
    provider.says = key_set(RSA, EC)
    with pytest.raises(KeyRefusedError):
        await reader.read(token(EC, "ES256"))
    clock.now += KEYS_ASKED_AGAIN
    assert (await reader.read(token(EC, "ES256"))).subject == "u-17"
    assert provider.n_asked == 3
    provider.says = None  # away: what is known goes on
    clock.now += KEYS_KEPT
    assert (await reader.read(token(exp=int(clock.now.timestamp()) + 60))).subject == "u-17"
    provider.says = key_set(EC)  # a key that is withdrawn is no longer good
    clock.now += KEYS_KEPT
    with pytest.raises(KeyRefusedError):
        await reader.read(token(exp=int(clock.now.timestamp()) + 60))


async def test_who_guesses_keys_is_stopped_and_keys_in_use_go_on(pool, key_with):
    clock = Clock()
    keyring = Keyring(pool, clock, RateLimiter(0))
    good = f"Bearer {await key_with('read')}"
    await keyring.identify(good, "203.0.113.7")
    for guess in range(REFUSED_PER_MINUTE):
        with pytest.raises(KeyRefusedError):
            await keyring.identify(f"Bearer pp_{guess}", "203.0.113.7")
        with pytest.raises(KeyRefusedError):  # again is no other guess
            await keyring.identify(f"Bearer pp_{guess}", "203.0.113.7")
    with pytest.raises(RateExceededError) as stopped:
        await keyring.identify("Bearer pp_one_more", "203.0.113.7")
    assert stopped.value.policy == "refused"
    clock.now += timedelta(minutes=1)
    keyring.forget()
    assert (await keyring.identify(good, "203.0.113.7")).scopes == {"read"}
    with pytest.raises(KeyRefusedError):
        await keyring.identify("Bearer pp_one_more", "203.0.113.8")


async def test_who_is_stopped_is_told_for_how_long(anonymous):
    for guess in range(REFUSED_PER_MINUTE):
        assert (await anonymous.get("/v1/me", headers=bearer(f"pp_{guess}"))).status_code == 401
    answer = await anonymous.get("/v1/me", headers=bearer("pp_one_more"))
    assert (answer.status_code, answer.json()["code"]) == (429, "rate-exceeded")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert answer.headers["ratelimit"].startswith('"refused";r=0;t=')


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"PULLPLAN_JWT_ISSUER": ISSUER}, "PULLPLAN_JWT_AUDIENCE"),
        ({"PULLPLAN_JWT_ISSUER": ISSUER, "PULLPLAN_JWT_AUDIENCE": "a"}, "PULLPLAN_JWT_KEYS"),
        ({"PULLPLAN_JWT_KEYS": "keys.json", "PULLPLAN_JWT_AUDIENCE": "a"}, "PULLPLAN_JWT_ISSUER"),
        (
            {
                "PULLPLAN_JWT_ISSUER": ISSUER,
                "PULLPLAN_JWT_AUDIENCE": "a",
                "PULLPLAN_JWT_KEYS": "http://login.example.com/keys",
            },
            "PULLPLAN_JWT_KEYS",
        ),
    ],
)
def test_half_a_setting_of_tokens_is_refused(given, named):
    with pytest.raises(SettingInvalidError, match=named):
        read_settings(given)
