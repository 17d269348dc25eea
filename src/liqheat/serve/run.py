"""The server process: ``up`` (collect, serve, show) and ``serve`` (show what is stored).

One asyncio process. What is shown: a replay, if asked for; else real data, collected from the
exchanges, each in a task of its own; else, where no exchange can be reached and nothing is
stored, the simulated market, which lives in a folder of its own and is called simulated
everywhere. The exchanges are then tried on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import webbrowser
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import uvicorn

from liqheat import collect
from liqheat.config import Config
from liqheat.errors import LiqheatError, ServeError, UnavailableError
from liqheat.exchanges.base import Exchange, State, wall_clock_ms
from liqheat.market.events import Event, Gap
from liqheat.serve.app import create_app
from liqheat.serve.sources import (
    open_collecting,
    open_feeds,
    open_simulated,
    open_stored,
)
from liqheat.serve.warm import warm_up
from liqheat.service import Feed, Service
from liqheat.service.feeds import Source
from liqheat.store import Store

log = logging.getLogger("liqheat.run")
Say = Callable[[str], None]

#: Largest message a client may send; none of ours is longer than a few hundred bytes.
MAX_CLIENT_FRAME = 8_192
#: How long open requests and sockets get on a stop [s].
STOP_S = 3
BACKLOG = 2_048
#: How long ``up`` waits for the first exchange before it shows something else [s].
REACH_S = 3.0


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


@dataclass(frozen=True)
class StandIn:
    """What ``up`` shows while no exchange can be reached, and how it says so."""

    say: Say
    open_simulated: Callable[[], Feed]


class SourceBus:
    """What a collector says, on its way into the service."""

    def __init__(self, service: Service, source: Source) -> None:
        self._service, self._source = service, source

    def publish(self, event: Event) -> None:
        """Hand over one event."""
        # A hole is no sign of life.
        if not isinstance(event, Gap):
            self._source.heard_ms, self._source.state = self._service.clock_ms(), "live"
        self._service.publish(event)

    def report(self, exchange: str, state: State, detail: str) -> None:
        """Note the collector's state."""
        log.info("collector exchange=%s state=%s detail=%s", exchange, state, detail)
        self._source.state, self._source.detail = state, detail

    def fetched(self, exchange: str, done_ms: int, total_ms: int) -> None:
        """Note how much of its history is here."""
        self._source.fetched = (done_ms, total_ms)


@contextlib.asynccontextmanager
async def running(
    config: Config,
    feeds: Sequence[Feed],
    server: Server,
    stand_in: StandIn | None = None,
) -> AsyncIterator[Service]:
    """Serve feeds and run their collectors inside the block; end them all after it."""
    service = Service(feeds, clock_ms=wall_clock_ms, prepare=warm_up)
    collectors: list[asyncio.Task[None]] = []
    try:
        await server.start(service)
        for feed in feeds:
            collectors += _collectors(feed, service, config)
        if stand_in is not None and feeds[0].sources:
            watching = _try_exchanges(stand_in, feeds[0], service, config, collectors)
            collectors.append(asyncio.create_task(watching))
        yield service
    finally:
        # The last first: it may start others.
        for task in reversed(collectors):
            task.cancel()
        await asyncio.gather(*collectors, return_exceptions=True)
        await server.stop()


def _collectors(feed: Feed, service: Service, config: Config) -> list[asyncio.Task[None]]:
    return [
        asyncio.create_task(_collect(source, feed.store, service, config))
        for source in feed.all_sources()
    ]


async def _collect(source: Source, store: Store, service: Service, config: Config) -> None:
    bus, exchange = SourceBus(service, source), cast(Exchange, source.exchange)
    try:
        await collect.run(
            exchange, store, bus, clock_ms=source.clock_ms,
            history_days=config.history_days, instruments=source.instruments,
            progress=bus.fetched,
        )  # fmt: skip
    except LiqheatError as error:
        log.error("collector_ended exchange=%s error=%s", exchange.name, error)
        bus.report(exchange.name, "down", str(error))
    except Exception as error:
        log.exception("collector_failed exchange=%s", exchange.name)
        bus.report(exchange.name, "down", f"the collector failed: {error}")
    finally:
        await exchange.close()


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


def collect_only(config: Config, say: Say, progress: collect.Progress) -> None:
    """Fill a store until stopped, or until all that is collected from has ended.

    Raises
    ------
    UnavailableError
        No exchange has the coins.
    StoreError
        The store cannot be opened, or another process writes to it.
    """
    _run(_collect_only(config, say, progress))


async def _collect_only(config: Config, say: Say, progress: collect.Progress) -> None:
    with contextlib.ExitStack() as stack:
        if config.simulated:
            feed = open_simulated(config, stack)
            say(f"liqheat: collecting the SIMULATED market into {feed.store.file.parent}")
        else:
            feed = open_collecting(config, stack)
            say(
                f"liqheat: collecting {', '.join(config.coins)} from "
                f"{', '.join(config.exchanges)} into {config.folder}"
            )
        bus = _Spoken(say)
        runs = [
            _collect_source(source, feed.store, bus, config, progress)
            for source in feed.all_sources()
        ]
        failures = [one for one in await asyncio.gather(*runs) if one is not None]
        if len(failures) == len(runs):
            raise failures[0]


async def _collect_source(
    source: Source,
    store: Store,
    bus: collect.Bus,
    config: Config,
    progress: collect.Progress,
) -> LiqheatError | None:
    """Collect from one exchange; its failure is returned, so that the others go on."""
    exchange = cast(Exchange, source.exchange)
    try:
        await collect.run(
            exchange, store, bus, clock_ms=source.clock_ms,
            history_days=config.history_days, instruments=source.instruments,
            progress=progress,
        )  # fmt: skip
    except LiqheatError as error:
        bus.report(exchange.name, "down", str(error))
        return error
    finally:
        await exchange.close()
    return None


class _Spoken:
    """What is collected without a server: who watches reads how it fares."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._said: dict[str, State] = {}

    def publish(self, event: Event) -> None:
        """Nobody listens."""

    def report(self, exchange: str, state: State, detail: str) -> None:
        """Say it where it changed."""
        if self._said.get(exchange) != state and state != "starting":
            self._say(f"liqheat: {exchange}: {state}{f': {detail}' if detail else ''}")
            self._said[exchange] = state
        log.info("collector exchange=%s state=%s detail=%s", exchange, state, detail)


async def _up(config: Config, say: Say, *, collecting: bool) -> None:
    server = Server(config)
    with contextlib.ExitStack() as stack:
        stack.callback(server.socket.close)
        if collecting:
            feeds = open_feeds(config, say, stack)
        else:
            feeds = open_stored(config, stack)
            if not feeds:
                raise UnavailableError(
                    f"{config.folder}: nothing is stored here yet; import or collect first"
                )
        stand_in = StandIn(say, lambda: open_simulated(config, stack))
        async with running(config, feeds, server, stand_in):
            say(f"liqheat: {server.url}")
            if not ipaddress.ip_address(server.socket.getsockname()[0]).is_loopback:
                say("liqheat: anyone who can reach this machine can see it (--host)")
            if config.browser and collecting:
                await asyncio.to_thread(webbrowser.open, server.url)
            await server.wait()


async def _try_exchanges(
    stand_in: StandIn, real: Feed, service: Service, config: Config,
    collectors: list[asyncio.Task[None]],
) -> None:  # fmt: skip
    """Show something else while no exchange can be reached, and say when one is."""
    if await _reached(real, REACH_S):
        return
    why, trying = f"no exchange can be reached ({_why(real)})", "still trying"
    stored = await asyncio.to_thread(real.store.instruments)
    shown = next((one for one in service.catalogue.feeds if one.kind == "simulated"), None)
    if any("bars" in one.spans for one in stored):
        stand_in.say(f"liqheat: {why}; showing recorded data, {trying}")
        shown = real
    elif shown is None:
        stand_in.say(
            f"liqheat: {why} and nothing is stored; starting the SIMULATED market: "
            f"no real prices; {trying}"
        )
        shown = await asyncio.to_thread(stand_in.open_simulated)
        service.catalogue.add(shown)
        collectors.extend(_collectors(shown, service, config))
    shown.remark = f"No exchange can be reached; {trying}."
    while not await _reached(real, 60.0):
        log.info("no_exchange_reached")
    found = ", ".join(name for name, one in real.sources.items() if one.answered)
    stand_in.say(f"liqheat: {found} can be reached; its data are live")
    real_now = f"{found} can be reached now: choose a real instrument."
    shown.remark = "" if shown is real else real_now


async def _reached(real: Feed, seconds: float) -> bool:
    """Wait until an exchange has answered; False where none has, or each has failed at once."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    failed: set[str] = set()
    while loop.time() < until and (seconds > REACH_S or len(failed) < len(real.sources)):
        for name, one in real.sources.items():
            if one.answered:
                return True
            if one.state in ("down", "refused"):
                failed.add(name)
        await asyncio.sleep(0.05)
    return False


def _why(real: Feed) -> str:
    # The first line for each exchange would be eight times the same.
    details = [
        one.detail for one in real.sources.values() if one.state in ("down", "refused")
    ]
    first = details[0] if details else f"no answer within {REACH_S:g} s"
    return first + (f", and {len(details) - 1} more" if len(details) > 1 else "")


def _run(work: Any) -> None:
    try:
        import uvloop
    except ImportError:  # Windows
        asyncio.run(work)
    else:
        uvloop.run(work)
