"""How do commands talk to a running service?"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, BinaryIO, Self

import click
import httpx

_TIMEOUT = httpx.Timeout(120.0, connect=5.0)
_POLL_SECONDS = (0.1, 0.2, 0.3, 0.5)
_AWAY_RETRIES = 60
"""Reads wait so often for a database that is away: the run that they follow goes on without them."""
_ENDED = ("succeeded", "failed", "cancelled")
Json = dict[str, Any]
OnProgress = Callable[[Json], None]
"""Hears a run at every poll."""
LineName = Callable[[int], str]
"""Says which line of which file a line of a request came from."""


class ServiceProblemError(click.ClickException):
    """The service refused a request, failed a run, or wasn't reached."""

    def __init__(self, problem: Json, line_name: LineName | None = None) -> None:
        super().__init__(str(problem.get("title", "The request was refused")))
        self.problem = problem
        self.line_name = line_name

    def format_message(self) -> str:
        """Write title, detail and each line's problem, one a line."""
        lines = [self.message]
        if self.problem.get("detail"):
            lines.append(f"  {self.problem['detail']}")
        lines += [f"  {self._place(error)}: {error['detail']}" for error in self.problem.get("errors") or ()]
        return "\n".join(lines)

    def _place(self, error: Json) -> str:
        place = error.get("pointer") or error["code"]
        if error.get("line") is not None:
            place = self.line_name(error["line"]) if self.line_name else f"line {error['line']}"
        return f"{place}, {error['field']}" if error.get("field") else str(place)


class Client:
    """A caller of one service with one key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self.key = key
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=_TIMEOUT, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise ServiceProblemError(
                {
                    "title": f"The service at {self.url} does not answer",
                    "detail": f"{str(error) or type(error).__name__}. Start one with `pullplan serve`, or name "
                    "another with --url or PULLPLAN_URL.",
                }
            ) from None

    def request(
        self, verb: str, path: str, *, line_name: LineName | None = None, **sent: Any
    ) -> httpx.Response:
        """Send a request.

        Raises: ServiceProblemError for any answer that isn't a success.
        """
        for away in count():
            with self._reached():
                response = self._http.request(verb, path, **sent)
            if (
                response.status_code != httpx.codes.SERVICE_UNAVAILABLE
                or verb != "GET"
                or away == _AWAY_RETRIES
            ):
                break
            time.sleep(float(response.headers.get("Retry-After", 1)))
        if not response.is_success:
            raise ServiceProblemError(_problem(response), line_name)
        return response

    def get(self, path: str, **parameters: Any) -> Any:
        """Read one JSON document."""
        return self.request("GET", path, params=parameters).json()

    def send(
        self, verb: str, path: str, media_type: str, body: Iterable[bytes], line_name: LineName | None = None
    ) -> Json:
        """Send rows as a stream; answer the counts, also where a run stores them.

        Raises: ServiceProblemError.
        """
        response = self.request(
            verb, path, content=body, headers={"Content-Type": media_type}, line_name=line_name
        )
        answer: Json = response.json()
        if response.status_code == httpx.codes.ACCEPTED:
            run = self._follow(answer, line_name=line_name)
            answer = self.get(run["result"])
        return answer

    def items(self, path: str, **parameters: Any) -> Iterator[Json]:
        """Read a list to its end, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, limit=1000, **parameters, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def download(self, path: str, media_type: str, output: BinaryIO) -> None:
        """Write a whole list as the service streams it."""
        with self._reached(), self._http.stream("GET", path, headers={"Accept": media_type}) as response:
            if not response.is_success:
                response.read()
                raise ServiceProblemError(_problem(response))
            output.writelines(response.iter_bytes())

    def run(self, path: str, parameters: Json | None, on_progress: OnProgress) -> Json:
        """Start long work and follow it to its end; answer the run.

        Raises: ServiceProblemError when it failed or was cancelled.
        """
        return self._follow(self.request("POST", path, json=parameters).json(), on_progress)

    def _follow(
        self, run: Json, on_progress: OnProgress = lambda _: None, line_name: LineName | None = None
    ) -> Json:
        for poll in count():
            on_progress(run)
            if run["state"] in _ENDED:
                break
            time.sleep(_POLL_SECONDS[min(poll, len(_POLL_SECONDS) - 1)])
            run = self.get(f"/v1/runs/{run['run_id']}")
        if run["state"] != "succeeded":
            problem = run["problem"] or {}
            raise ServiceProblemError(
                {"detail": problem.get("title")}
                | problem
                | {"title": f"The {run['kind']} run {run['state']}"},
                line_name,
            )
        return run


def _problem(response: httpx.Response) -> Json:
    """Read the problem of an answer, whatever sent it."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return {"title": f"{response.status_code} {response.reason_phrase}", "detail": response.text[:500]}
    problem["title"] = f"{problem.get('title', response.reason_phrase)} ({response.status_code})"
    return problem
