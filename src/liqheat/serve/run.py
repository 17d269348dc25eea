"""The server process: ``up`` (collect, serve, show) and ``serve`` (show what is stored).

One asyncio process. What is shown: a replay, if asked for; else the store's data, as recorded
data while nothing collects them; else, as no exchange can be reached, the simulated market,
which lives in a folder of its own and is called simulated everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import time
import webbrowser
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import uvicorn

from liqheat import collect
from liqheat.config import Config
from liqheat.errors import LiqheatError, ServeError, UnavailableError
from liqheat.exchanges.base import Exchange
from liqheat.market.events import Event
from liqheat.serve.app import create_app
from liqheat.serve.sources import Source, open_simulated, open_sources, open_stored
from liqheat.serve.warm import warm_up
from liqheat.service import Feed, Service

log = logging.getLogger("liqheat.run")
Say = Callable[[str], None]

#: Largest message a client may send; none of ours is longer than a few hundred bytes.
MAX_CLIENT_FRAME = 8_192
#: How long open requests and sockets get on a stop [s].
STOP_S = 3
DAY_MS = 86_400_000
BACKLOG = 2_048


class Server:
    """A service on a port. Bind first: that fails before anything else is opened."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.socket = _bind(config.host, config.port)
        self._task: asyncio.Task[None] | None = None
        self._uvicorn: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host, port = self.socket.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self, service: Service) -> None:
        """Serve; returns when requests are answered.

        Raises
        ------
        ServeError
            The application does not start; its log has the reason.
        """
        settings = uvicorn.Config(
            cast(Any, create_app(service, self._config)),
            http="httptools", ws="websockets-sansio", ws_per_message_deflate=False,
            ws_max_size=MAX_CLIENT_FRAME, log_config=None, access_log=False, lifespan="on",
            timeout_graceful_shutdown=STOP_S, backlog=BACKLOG, server_header=False,
        )  # fmt: skip
        self._uvicorn = uvicorn.Server(settings)
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[self.socket]))
        while not self._uvicorn.started:
            if self._task.done():
                raise ServeError("the server does not start; its log above has the reason")
            await asyncio.sleep(0.01)

    async def wait(self) -> None:
        """Return when the server has stopped, by ``stop`` or a signal."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Let requests end, close the sockets, stop the service."""
        if self._uvicorn is not None and self._task is not None:
            self._uvicorn.should_exit = True
            await asyncio.gather(self._task, return_exceptions=True)
        self.socket.close()


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        out = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no host name"
        raise ServeError(f"cannot listen on {host}: {reason}; check --host") from None
    out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        out.bind(address)
        out.listen(BACKLOG)
    except OSError as error:
        out.close()
        if error.errno == errno.EADDRINUSE:
            raise ServeError(
                f"port {port} on {host} is in use; stop the program that has it, "
                f"or choose another with --port"
            ) from None
        raise ServeError(
            f"cannot listen on {host}:{port}: {error.strerror}; check --host and --port"
        ) from None
    return out


class FeedBus:
    """What a collector says, on its way into the service."""

    def __init__(self, service: Service, feed: Feed) -> None:
        self._service, self._feed = service, feed

    def publish(self, event: Event) -> None:
        """Hand over one event."""
        self._service.heard(self._feed)
        self._service.publish(event)

    def report(self, exchange: str, state: collect.State, detail: str) -> None:
        """Note the collector's state."""
        log.info("collector exchange=%s state=%s detail=%s", exchange, state, detail)
        self._feed.state, self._feed.detail = state, detail


@contextlib.asynccontextmanager
async def running(
    config: Config, sources: Sequence[Source], server: Server
) -> AsyncIterator[Service]:
    """Serve sources and run their collectors inside the block; end them all after it."""
    service = Service(
        [source.feed for source in sources], clock_ms=wall_clock_ms,
        warmup_days=config.warmup_days, workers=config.workers, prepare=warm_up,
    )  # fmt: skip
    collectors: list[asyncio.Task[None]] = []
    try:
        await server.start(service)
        collectors = [
            asyncio.create_task(_collect(source.exchange, source, service, config))
            for source in sources
            if source.exchange is not None
        ]
        yield service
    finally:
        for task in collectors:
            task.cancel()
        await asyncio.gather(*collectors, return_exceptions=True)
        await server.stop()


async def _collect(
    exchange: Exchange, source: Source, service: Service, config: Config
) -> None:
    bus = FeedBus(service, source.feed)
    try:
        await collect.run(
            exchange, source.feed.store, bus, clock_ms=source.clock_ms,
            history_days=config.history_days, instruments=source.instruments,
        )  # fmt: skip
    except LiqheatError as error:
        log.error("collector_ended exchange=%s error=%s", exchange.name, error)
        bus.report(exchange.name, "down", str(error))
    except Exception as error:
        log.exception("collector_failed exchange=%s", exchange.name)
        bus.report(exchange.name, "down", f"the collector failed: {error}")
    finally:
        await exchange.close()


def wall_clock_ms() -> int:
    """Return the machine's time in milliseconds UTC."""
    return time.time_ns() // 1_000_000


def up(config: Config, say: Say) -> None:
    """Collect, serve and show until stopped.

    Raises
    ------
    ServeError
        The port is taken, or the application does not start.
    StoreError
        A store cannot be opened.
    """
    _run(_up(config, say, collecting=True))


def serve(config: Config, say: Say) -> None:
    """Serve what is stored, following what another process collects, until stopped."""
    _run(_up(config, say, collecting=False))


def collect_only(
    config: Config, say: Say, progress: Callable[[int, int, str], None]
) -> None:
    """Fill a store until stopped, or until a replay has ended.

    Raises
    ------
    UnavailableError
        There is nothing to collect from.
    StoreError
        The store cannot be opened, or another process writes to it.
    """
    _run(_collect_only(config, say, progress))


async def _collect_only(
    config: Config, say: Say, progress: Callable[[int, int, str], None]
) -> None:
    if not config.simulated:
        raise UnavailableError(
            "no live exchange in this version: nothing to collect from; import files, or "
            "collect from the simulated market with --simulated"
        )
    with contextlib.ExitStack() as stack:
        source = open_simulated(config, stack, wall_clock_ms)
        say(
            f"liqheat: collecting the SIMULATED market into {source.feed.store.file.parent}"
        )
        exchange = cast(Exchange, source.exchange)
        try:
            await collect.run(
                exchange, source.feed.store, _Quiet(), clock_ms=source.clock_ms,
                history_days=config.history_days, instruments=source.instruments,
                progress=lambda name, kind, done, total: progress(
                    done // DAY_MS, max(1, total // DAY_MS), f"{name} {kind}"
                ),
            )  # fmt: skip
        finally:
            await exchange.close()


class _Quiet:
    def publish(self, event: Event) -> None:
        """Nobody listens."""

    def report(self, exchange: str, state: collect.State, detail: str) -> None:
        """Log it."""
        log.info("collector exchange=%s state=%s detail=%s", exchange, state, detail)


async def _up(config: Config, say: Say, *, collecting: bool) -> None:
    server = Server(config)
    with contextlib.ExitStack() as stack:
        stack.callback(server.socket.close)
        if collecting:
            sources = open_sources(config, say, stack, wall_clock_ms)
        else:
            sources = open_stored(config, stack)
            if not sources:
                raise UnavailableError(
                    f"{config.folder}: nothing is stored here yet; import or collect first"
                )
        async with running(config, sources, server):
            say(f"liqheat: {server.url}")
            if not ipaddress.ip_address(server.socket.getsockname()[0]).is_loopback:
                say("liqheat: anyone who can reach this machine can see it (--host)")
            if config.browser and collecting:
                await asyncio.to_thread(webbrowser.open, server.url)
            await server.wait()


def _run(work: Any) -> None:
    try:
        import uvloop
    except ImportError:  # Windows
        asyncio.run(work)
    else:
        uvloop.run(work)
