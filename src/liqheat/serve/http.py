"""HTTP manners shared by all routes: bodies, caching, errors, and the guard around the app.

A ``Body`` is encoded, compressed and tagged once and then served to whoever asks. Every error,
wherever it happens, becomes an RFC 9457 body. The guard answers HEAD as GET without a body,
puts the security headers and the mode on every reply, and refuses requests which a foreign web
page may have caused (see ``Guard``).
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from liqheat.errors import BadInputError, LiqheatError
from liqheat.serve.wire import compress

# Plain ASGI; Litestar's own types are too narrow for the layer around it.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("liqheat.serve")

JSON = "application/json"
PROBLEM = "application/problem+json"
#: Smaller bodies are not worth compressing.
MIN_COMPRESSED = 600
LOOPBACK = ("localhost", "127.0.0.1", "::1")

CSP = (
    "default-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Problem(msgspec.Struct, omit_defaults=True):
    """An RFC 9457 error body; ``field`` and ``value`` name the parameter that is wrong.

    ``request_id`` is the id under which the log has it.
    """

    title: str
    status: int
    detail: str
    instance: str
    # A factory, because a plain default would be left out.
    type: str = msgspec.field(default_factory=lambda: "about:blank")
    field: str | None = None
    value: Any = None
    request_id: str | None = None


@dataclass(frozen=True)
class Body:
    """A reply body, encoded once."""

    media: str
    raw: bytes
    packed: bytes | None
    tag: str

    @property
    def size(self) -> int:
        """Bytes held."""
        return len(self.raw) + len(self.packed or b"")


def make_body(raw: bytes, media: str = JSON) -> Body:
    """Compress and tag a body."""
    packed = compress(raw) if len(raw) >= MIN_COMPRESSED else None
    if packed is not None and len(packed) >= len(raw):
        packed = None
    return Body(media, raw, packed, hashlib.blake2b(raw, digest_size=12).hexdigest())


def accepts_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip.

    >>> accepts_gzip("br, gzip;q=0.5"), accepts_gzip("gzip;q=0, *"), accepts_gzip("*")
    (True, False, True)
    """
    allowed: dict[str, bool] = {}
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        value = weight.replace(" ", "").removeprefix("q=")
        allowed[name.strip()] = value.strip("0.") != "" or not value
    return allowed.get("gzip", allowed.get("*", False))


def reply(
    request: Request[Any, Any, Any],
    body: Body,
    *,
    mode: str | None = None,
    cache: str = "no-cache",
) -> Response[Any]:
    """Return a body as the client can take it, or 304 when it has it already."""
    packed = body.packed is not None and accepts_gzip(
        request.headers.get("accept-encoding", "")
    )
    tag = f'"{body.tag}-gz"' if packed else f'"{body.tag}"'
    headers = {"etag": tag, "cache-control": cache, "vary": "accept-encoding"}
    if mode is not None:
        headers["x-liqheat-mode"] = mode
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or any(
        one.strip().removeprefix("W/").strip('"').removesuffix("-gz") == body.tag
        for one in known.split(",")
    ):
        return Response(b"", status_code=304, headers=headers, media_type=body.media)
    if packed:
        headers["content-encoding"] = "gzip"
        return Response(body.packed, headers=headers, media_type=body.media)
    return Response(body.raw, headers=headers, media_type=body.media)


def problem_of(error: Exception, instance: str) -> Problem:
    """Return the body of an error; one of ours says more, a stranger's says nothing.

    The log has it under the same ``request_id``.
    """
    ident = secrets.token_hex(6)
    found = _told(error, instance)
    if found is None:
        log.error("request_failed id=%s path=%r", ident, instance, exc_info=error)
        words = f"liqheat failed; its log has the reason under id {ident}"
        return Problem("Internal error", 500, words, instance, request_id=ident)
    return _numbered(found, ident)


def _told(error: Exception, instance: str) -> Problem | None:
    if isinstance(error, BadInputError):
        words = error.args[0]
        return Problem(
            error.title, error.status, words, instance,
            field=error.where or None, value=_plain(error.value),
        )  # fmt: skip
    if isinstance(error, LiqheatError):
        return Problem(error.title, error.status, str(error), instance)
    if isinstance(error, HTTPException) and error.status_code < 500:
        title = _TITLES.get(error.status_code, "Bad request")
        return Problem(title, error.status_code, error.detail or title, instance)
    return None


def _numbered(problem: Problem, ident: str) -> Problem:
    problem.request_id = ident
    # What the asker got wrong is of interest to whoever looks for it, with --verbose.
    log.log(
        logging.INFO if problem.status < 500 else logging.WARNING,
        "request_refused id=%s status=%d path=%r detail=%r",
        ident, problem.status, problem.instance[:200], problem.detail[:400],
    )  # fmt: skip
    return problem


_TITLES = {400: "Bad request", 404: "Not found", 405: "Method not allowed",
           413: "Too large", 415: "Unsupported media type"}  # fmt: skip


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | None) else str(value)[:200]


def handle_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer any error."""
    problem = problem_of(error, request.scope["path"])
    headers = {"cache-control": "no-store", "x-request-id": problem.request_id or ""}
    if isinstance(error, HTTPException) and error.headers:
        headers |= {name.lower(): value for name, value in error.headers.items()}
    if problem.status == 503:
        headers["retry-after"] = "1"
    return Response(
        msgspec.json.encode(problem), status_code=problem.status, headers=headers,
        media_type=PROBLEM,
    )  # fmt: skip


def _hostname(authority: str) -> str:
    try:
        return (urlsplit(f"//{authority}").hostname or "").lower()
    except ValueError:  # half a bracket of an IPv6 address: no name of ours
        return ""


class Guard:
    """The outermost layer.

    Two attacks on a server on the user's own machine start from a web page they visit. A page
    which makes its own host name point to 127.0.0.1 (DNS rebinding) is told by its ``Host``:
    while bound to a loopback address only loopback names are answered. A page which opens our
    WebSocket (browsers allow that across sites) is told by its ``Origin``: it must be ours, a
    loopback name, or one of ``allowed_origins``. Programs send no Origin and pass.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    mode : callable
        The mode of replies which do not say one.
    host : str
        The address the server is bound to.
    allowed_origins : tuple of str
        E.g. ``https://heat.example.org`` behind a proxy; "*" allows all.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        mode: Callable[[], str],
        host: str,
        allowed_origins: tuple[str, ...] = (),
    ) -> None:
        self.app, self._mode = app, mode
        self._local = host in LOOPBACK
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)
        self._hosts = {_hostname(origin.partition("://")[2]) for origin in self._origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        out = self._dress(scope, send)
        if refusal is not None:
            await _refuse(scope, out, refusal)
            return
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, out)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Problem | None:
        path = scope["path"]
        host = headers.get(b"host", b"").decode("latin-1")
        name = _hostname(host)
        if (
            self._local
            and "*" not in self._origins
            and name not in {*LOOPBACK, *self._hosts}
        ):
            return Problem(
                "Wrong host", 421, "this server answers to localhost only; set "
                "allowed_origins to reach it by another name", path, value=host,
            )  # fmt: skip
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if scope["type"] != "websocket" or not origin or self._allows(origin, host):
            return None
        return Problem(
            "Foreign origin", 403, "a page of another site may not open this socket; set "
            "allowed_origins to let it", path, value=origin,
        )  # fmt: skip

    def _allows(self, origin: str, host: str) -> bool:
        if origin in self._origins or "*" in self._origins:
            return True
        authority = origin.partition("://")[2]
        if self._local:
            return _hostname(authority) in LOOPBACK
        return authority == host.lower()

    def _dress(self, scope: Scope, send: Send) -> Send:
        if scope["type"] != "http":
            return send
        bodiless = scope["method"] == "HEAD"

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), *_HEADERS]
                if not any(name == b"x-liqheat-mode" for name, _ in headers):
                    headers.append((b"x-liqheat-mode", self._mode().encode()))
                message["headers"] = headers
            elif bodiless and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        return dressed


async def _refuse(scope: Scope, send: Send, problem: Problem) -> None:
    # A socket is refused with a plain HTTP reply (ASGI's websocket.http.response).
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    ident = secrets.token_hex(6)
    _numbered(problem, ident)
    headers = [
        (b"content-type", PROBLEM.encode()), (b"cache-control", b"no-store"),
        (b"x-request-id", ident.encode()),
    ]  # fmt: skip
    await send({"type": f"{kind}.start", "status": problem.status, "headers": headers})
    body = msgspec.json.encode(problem)
    await send({"type": f"{kind}.body", "body": body, "more_body": False})
