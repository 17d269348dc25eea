"""HTTP and WebSocket to one exchange: within its limits, and honest about every hole.

    Http      REST: a rate budget, retries with back-off, the exchange's clock
    frames    WebSocket: heartbeats, reconnection, rotation, a ``Hole`` after each cut

The budget is a share of the documented limit. A 429 halves it for a minute; a refusal (418,
403, 451) stops all requests for a while, because asking on makes a ban longer.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import msgspec

from liqheat.errors import ExchangeError, RefusedError
from liqheat.exchanges._frames import (
    REFUSALS,
    Backoff,
    Connect,
    Hole,
    Sleep,
    Socket,
    SocketStats,
    WebSocketLike,
    frames,
)

__all__ = [
    "Backoff",
    "Bucket",
    "Budget",
    "Connect",
    "ExchangeClock",
    "Hole",
    "Http",
    "Sessions",
    "Sleep",
    "Socket",
    "SocketStats",
    "WebSocketLike",
    "frames",
]

Params = Mapping[str, str | int | float]

#: Tries of one request which fails for a passing reason: timeout, cut, HTTP 5xx.
TRIES = 4
#: One try may take this long [s]: connecting, all of it.
CONNECT_S, TOTAL_S = 5.0, 20.0
#: Without Retry-After a 429 waits so long; longest wait that is served before giving up [s].
THROTTLED_S, LONGEST_RETRY_S = 5.0, 120.0
#: After a refusal no request is made for so long [s]: a region does not change by the minute,
#: a ban (418) and Bybit's 403 last ten minutes at least.
REFUSED_S = {403: 600.0, 418: 600.0, 451: 3_600.0}
_MINUTE_MS = 60_000


@dataclass(frozen=True)
class Budget:
    """How much may be asked of an exchange.

    Parameters
    ----------
    per_minute : float
        The documented limit, in the exchange's weights.
    share : float
        How much of it is used at most.
    header : str, optional
        Response header with the weight used in this minute by this address, ours and others'.
    parallel : int
        Requests under way at once.
    """

    per_minute: float
    share: float = 0.4
    header: str | None = None
    parallel: int = 10


class Bucket:
    """A token bucket over a ``Budget``: refilled evenly, never more than ten seconds full.

    Shared by the ``Http`` of hosts which share a limit.
    """

    def __init__(self, budget: Budget, clock_ms: Callable[[], int], sleep: Sleep) -> None:
        self.budget, self._clock_ms, self._sleep = budget, clock_ms, sleep
        self._per_ms = budget.per_minute * budget.share / _MINUTE_MS
        self._full = self._per_ms * _MINUTE_MS / 6
        self._tokens, self._at_ms = self._full, clock_ms()
        self._slow_until_ms: list[int] = []
        self._pause_until_ms = 0
        self._turn = asyncio.Lock()
        self.parallel = asyncio.Semaphore(budget.parallel)

    async def take(self, weight: float) -> None:
        """Wait until a request of this weight is within the budget."""
        async with self._turn:
            while (wait_ms := self._wait_ms(weight)) > 0:
                await self._sleep(min(wait_ms, _MINUTE_MS) / 1000)
            self._tokens -= weight

    def _wait_ms(self, weight: float) -> float:
        now = self._clock_ms()
        if now < self._pause_until_ms:
            return self._pause_until_ms - now
        self._slow_until_ms = [end for end in self._slow_until_ms if end > now]
        rate = self._per_ms * 0.5 ** len(self._slow_until_ms)
        passed = max(0, now - self._at_ms)
        self._tokens = min(self._full, self._tokens + passed * rate)
        self._at_ms = now
        # A request heavier than the bucket goes when it is full, and leaves a debt.
        missing = min(weight, self._full) - self._tokens
        return missing / rate if missing > 1e-9 else 0.0

    def halve(self) -> None:
        """Use half the rate for the next minute; called again, a quarter."""
        if len(self._slow_until_ms) < 5:
            self._slow_until_ms.append(self._clock_ms() + _MINUTE_MS)
        self._tokens = min(self._tokens, 0.0)

    def pause(self, seconds: float) -> None:
        """Ask for nothing for so long."""
        until = self._clock_ms() + int(seconds * 1000)
        self._pause_until_ms = max(self._pause_until_ms, until)

    def note_used(self, used: float) -> None:
        """Take the exchange's own count of this minute: over our share, wait for the next."""
        if used >= self.budget.per_minute * self.budget.share:
            now = self._clock_ms()
            self._pause_until_ms = max(
                self._pause_until_ms, (now // _MINUTE_MS + 1) * _MINUTE_MS
            )


class ExchangeClock:
    """How far the exchange's clock is ahead of ours, from what it says of its time.

    Each answer bounds the offset: the exchange's time was read between sending and receiving.
    Bounds are intersected, so that also a clock in whole seconds (the Date header) becomes
    precise; bounds which contradict the earlier ones (somebody set a clock) replace them.
    """

    def __init__(self) -> None:
        self._low, self._high = float("-inf"), float("inf")

    def note(
        self, server_ms: float, sent_ms: int, received_ms: int, step_ms: int = 0
    ) -> None:
        """Take the exchange's time, true to ``[server_ms, server_ms + step_ms]``."""
        low, high = server_ms - received_ms, server_ms + step_ms - sent_ms
        if high < self._low or low > self._high:
            self._low, self._high = low, high
        else:
            self._low, self._high = max(low, self._low), min(high, self._high)

    @property
    def known(self) -> bool:
        """Whether the exchange has told its time."""
        return self._high != float("inf")

    @property
    def offset_ms(self) -> float:
        """Exchange's clock minus ours; 0 as long as it is not known."""
        return (self._low + self._high) / 2 if self.known else 0.0


@dataclass
class Sessions:
    """The aiohttp sessions of one exchange, opened when first needed.

    Proxies are taken from the environment, except for a loopback address.
    """

    _open: dict[bool, aiohttp.ClientSession] = field(default_factory=dict)

    def of(self, url: str) -> aiohttp.ClientSession:
        """Return the session for an address."""
        outside = (urlsplit(url).hostname or "") not in ("127.0.0.1", "localhost", "::1")
        if outside not in self._open:
            self._open[outside] = aiohttp.ClientSession(
                trust_env=outside,
                timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S),
                headers={"User-Agent": "liqheat"},
            )
        return self._open[outside]

    async def connect(self, socket: Socket) -> WebSocketLike:
        """Open a WebSocket: pings are ours to send and answer, text stays bytes."""
        return await self.of(socket.url).ws_connect(
            socket.url, headers=dict(socket.headers), autoping=False, autoclose=False,
            max_msg_size=0, decode_text=False,
            timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=0.5),
        )  # fmt: skip

    async def close(self) -> None:
        """Close all sessions."""
        for session in self._open.values():
            await session.close()
        self._open.clear()


class Http:
    """REST of one exchange.

    Parameters
    ----------
    exchange : str
        Named in errors.
    base_url : str
        Put before each path; no slash at the end.
    budget : Budget or Bucket
        What may be asked; a ``Bucket`` to share it with other hosts of the exchange.
    clock_ms, sleep : callable
        Our clock [ms], and how to wait [s].
    headers : mapping
        Sent with each request.
    sessions : Sessions, optional
        To share connections; closed by whoever made it.
    clock : ExchangeClock, optional
        To share what is known of the exchange's clock.

    Attributes
    ----------
    latency_ms : float or None
        How long the last good answer took.
    requests, throttled : int
        Requests sent; of these answered with 429.
    """

    def __init__(
        self, exchange: str, base_url: str, *, budget: Budget | Bucket,
        clock_ms: Callable[[], int], sleep: Sleep, headers: Mapping[str, str] | None = None,
        sessions: Sessions | None = None, clock: ExchangeClock | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self.exchange, self.base_url = exchange, base_url.rstrip("/")
        self.bucket = (
            budget if isinstance(budget, Bucket) else Bucket(budget, clock_ms, sleep)
        )
        self.clock = clock or ExchangeClock()
        self.latency_ms: float | None = None
        self.requests = self.throttled = 0
        self._clock_ms, self._sleep, self._draw = clock_ms, sleep, draw
        self._headers = dict(headers or {})
        self._sessions = sessions or Sessions()
        self._own_sessions = sessions is None
        self._refused: RefusedError | None = None
        self._refused_until_ms = 0

    @property
    def clock_offset_ms(self) -> float:
        """Exchange's clock minus ours."""
        return self.clock.offset_ms

    def note_server_ms(self, server_ms: int, sent_ms: int, received_ms: int) -> None:
        """Take the exchange's time from a body: more precise than the Date header's seconds."""
        self.clock.note(server_ms, sent_ms, received_ms, step_ms=1)

    async def get(
        self, path: str, params: Params | None = None, *, weight: float = 1.0
    ) -> bytes:
        """Return the body of a GET.

        Raises
        ------
        RefusedError
            The exchange does not serve this address (403, 418, 451), now or a while ago.
        ExchangeError
            It cannot be reached, fails again and again, or says that the request is wrong;
            ``code`` is then its status, and the message has the head of its answer.
        """
        return await self._request("GET", path, params, None, weight)

    async def post(self, path: str, body: object, *, weight: float = 1.0) -> bytes:
        """Return the body of a POST of ``body`` as JSON; raises as ``get`` does."""
        return await self._request("POST", path, None, msgspec.json.encode(body), weight)

    async def close(self) -> None:
        """Close the connections, unless they are shared."""
        if self._own_sessions:
            await self._sessions.close()

    # -- inside

    async def _request(
        self,
        method: str,
        path: str,
        params: Params | None,
        body: bytes | None,
        weight: float,
    ) -> bytes:
        backoff = Backoff(self._draw)
        for last in (False,) * (TRIES - 1) + (True,):
            self._check_refused()
            await self.bucket.take(weight)
            try:
                async with self.bucket.parallel:
                    status, answer, wait_s = await self._once(method, path, params, body)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                words = str(error) or type(error).__name__
                if last:
                    raise ExchangeError(
                        self.exchange, f"cannot be reached: {words}"
                    ) from error
                await self._sleep(backoff.next_s())
                continue
            if status < 400:
                return answer
            wait_s = self._judge(status, path, answer, wait_s)
            if last or wait_s > LONGEST_RETRY_S:
                raise self._error(status, path, answer)
            # A 429 waits in the bucket, for all requests.
            await self._sleep(0.0 if status == 429 else backoff.next_s())
        raise AssertionError  # the last try returns or raises

    async def _once(
        self, method: str, path: str, params: Params | None, body: bytes | None
    ) -> tuple[int, bytes, float]:
        # Returns status, body and Retry-After [s]; notes clock, latency and used weight.
        url = self.base_url + path
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        sent_ms = self._clock_ms()
        self.requests += 1
        async with self._sessions.of(url).request(
            method, url, params=params, data=body, headers=headers
        ) as reply:
            headed_ms = self._clock_ms()
            answer = await reply.read()
            status, found = reply.status, reply.headers
        if status < 400:
            self.latency_ms = float(headed_ms - sent_ms)
            if (date := _seconds_of(found.get("Date"))) is not None:
                self.clock.note(date * 1000.0, sent_ms, headed_ms, step_ms=999)
        used = found.get(self.bucket.budget.header or "", "")
        if used.replace(".", "", 1).isdigit():
            self.bucket.note_used(float(used))
        retry = found.get("Retry-After", "")
        return status, answer, float(retry) if retry.isdigit() else 0.0

    def _judge(self, status: int, path: str, answer: bytes, retry_s: float) -> float:
        # Returns how long to wait before the next try [s].
        if status in REFUSALS:
            words = "refused in this region"
            if status == 418:
                words = "refused: too many requests from this address"
            self._refused = RefusedError(
                self.exchange, f"{words} (HTTP {status}): {_head(answer)}", code=status
            )
            wait_s = max(retry_s, REFUSED_S[status])
            self._refused_until_ms = self._clock_ms() + int(wait_s * 1000)
            raise self._refused
        if status == 429:
            self.throttled += 1
            self.bucket.halve()
            self.bucket.pause(min(retry_s or THROTTLED_S, LONGEST_RETRY_S))
            return retry_s
        if status < 500:
            raise self._error(status, path, answer)
        return 0.0

    def _check_refused(self) -> None:
        if self._refused is not None:
            if self._clock_ms() < self._refused_until_ms:
                raise self._refused
            self._refused = None

    def _error(self, status: int, path: str, answer: bytes) -> ExchangeError:
        words = f"{path} answered HTTP {status}: {_head(answer)}"
        return ExchangeError(self.exchange, words, code=status)


def _head(answer: bytes) -> str:
    return answer[:200].decode(errors="replace").strip() or "no reason given"


def _seconds_of(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
