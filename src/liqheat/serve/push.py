"""The WebSocket: one channel per view encodes each frame once and hands it to its viewers.

    LiveView -> Channel -> frame bytes -> Viewer (bounded queue) -> socket

A viewer whose queue is full is slow: its queue is dropped and it gets one snapshot when it can
take it, instead of a growing backlog. A bad message gets an error frame; the socket stays. The
protocol is described in ``wire`` and, for its text frames, below.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import WebsocketRouteHandler

from liqheat.errors import BadInputError, LiqheatError, UnavailableError
from liqheat.market.events import Liquidation
from liqheat.serve.http import problem_of
from liqheat.serve.replies import liquidation_row
from liqheat.serve.wire import delta_frame, heartbeat_frame, snapshot_frame
from liqheat.service import Query, Service
from liqheat.service.live import LiveView
from liqheat.service.picture import Delta
from liqheat.service.query import parse_query

log = logging.getLogger("liqheat.push")

#: Frames that may wait for one viewer, and besides frames of liquidations: a picture makes up
#: for a lost change of one, but nothing for a lost row.
MAX_WAITING, MAX_ROWS_WAITING = 64, 512
#: A heartbeat and a status at least this often [s].
BEAT_S = 5.0
#: How often an instrument without data is tried again [s].
RETRY_S = 2.0
#: How long a view outlives its last viewer [s]: a reload finds it warm.
LINGER_S = 10.0
#: Messages a client may send in a burst, and per second after that.
BURST, RATE = 20, 2.0
#: Sockets at once; viewers of one view share all work, but each costs memory.
MAX_SOCKETS = 20_000
#: Rows of a liquidations frame at most; more are several frames.
MAX_ROWS = 500
#: Told where rows were lost to a connection which is too slow even for them.
MISSED = '{"type":"liquidations","rows":[],"missed":true}'

Frame = bytes | str


class Viewer:
    """One socket's way out."""

    def __init__(self) -> None:
        self.waiting: deque[Frame] = deque()
        self.rows: deque[str] = deque()
        #: Live rows wait for those of the window.
        self.held = False
        self.wake = asyncio.Event()
        #: A snapshot must come before any other binary frame.
        self.behind = False
        self.channel: Channel | None = None

    def give(self, frame: Frame) -> None:
        """Queue one frame; a full queue is dropped for a snapshot."""
        if self.behind and isinstance(frame, bytes):
            return
        if len(self.waiting) >= MAX_WAITING:
            self.waiting.clear()
            self.restart()
        else:
            self.waiting.append(frame)
            self.wake.set()

    def give_rows(self, frame: str) -> None:
        """Queue a frame of liquidations; they are sent in order, behind a picture."""
        if len(self.rows) >= MAX_ROWS_WAITING:
            self.rows.clear()
            self.rows.append(MISSED)
        self.rows.append(frame)
        self.wake.set()

    def give_window(self, frames: Iterable[str]) -> None:
        """Queue the frames of liquidations for which live ones were held."""
        self.rows.extendleft(reversed(list(frames)))
        self.held = False
        self.wake.set()

    def forget(self) -> None:
        """Drop all that waits: it belongs to another subscription."""
        self.waiting.clear()
        self.rows.clear()
        self.behind = self.held = False

    def restart(self) -> None:
        """Ask for a snapshot; pictures that wait are of no use any more."""
        self.waiting = deque(frame for frame in self.waiting if isinstance(frame, str))
        self.behind = True
        self.wake.set()

    async def write_to(self, socket: WebSocket[Any, Any, Any]) -> None:
        """Send frames until cancelled."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.waiting or self.behind or (self.rows and not self.held):
                if not self.behind:
                    if self.waiting:
                        await _send(socket, self.waiting.popleft())
                    if self.rows and not (self.behind or self.held):
                        await _send(socket, self.rows.popleft())
                    continue
                texts, self.behind = list(self.waiting), False
                self.waiting.clear()
                # From here on deltas queue up behind this very picture.
                coming = self.channel.snapshot() if self.channel else None
                for text in texts:
                    await _send(socket, text)
                if coming is not None:
                    frame = await asyncio.shield(coming)
                    if not self.behind:
                        await _send(socket, frame)


async def _send(socket: WebSocket[Any, Any, Any], frame: Frame) -> None:
    if isinstance(frame, bytes):
        await socket.send({"type": "websocket.send", "bytes": frame, "text": None})
    else:
        await socket.send({"type": "websocket.send", "bytes": None, "text": frame})


class Channel:
    """A view's frames, encoded once."""

    def __init__(self, service: Service, query: Query) -> None:
        self._service, self.query = service, query
        self.viewers: set[Viewer] = set()
        self.view: LiveView | None = None
        self.joining = 0
        self.opening = asyncio.create_task(self._open())
        self._snapshot: asyncio.Future[bytes] | None = None
        self._snapshot_seq = -1
        self._beat_at = self._status_at = 0.0

    async def _open(self) -> None:
        self.view = await self._service.watch(self.query, self)

    def close(self) -> None:
        """Leave the view."""
        self.opening.cancel()
        if self.view is not None:
            self._service.unwatch(self.view, self)
            self.view = None

    def changed(self, deltas: list[Delta] | None) -> None:
        """Send deltas, or have everybody fetch the redrawn picture."""
        if deltas is None:
            for viewer in self.viewers:
                viewer.restart()
            self.send_status()
            return
        self._quiet()
        for delta in deltas:
            self._give(delta_frame(delta))
            if delta.kind == "append":
                self.send_status()

    def liquidated(self, rows: list[Liquidation]) -> None:
        """Send liquidations."""
        for frame in liquidations_frames(rows):
            for viewer in self.viewers:
                viewer.give_rows(frame)

    def send_status(self) -> None:
        """Send the state of the view."""
        self._status_at = asyncio.get_running_loop().time() + BEAT_S
        self._give(self.status_frame())

    def status_frame(self) -> str:
        """Return the status frame."""
        return encode_status(self._service, self.query, self.view)

    def beat(self) -> None:
        """Send a heartbeat, and the status, where nothing was sent for a while."""
        now = asyncio.get_running_loop().time()
        if self.view is not None and now >= self._beat_at:
            self._quiet()
            self._give(heartbeat_frame(self.view.seq))
        if now >= self._status_at:
            self.send_status()

    def _quiet(self) -> None:
        self._beat_at = asyncio.get_running_loop().time() + BEAT_S

    def _give(self, frame: Frame) -> None:
        for viewer in self.viewers:
            viewer.give(frame)

    def snapshot(self) -> asyncio.Future[bytes] | None:
        """Return the frame to come of the picture as it stands at this moment."""
        if self.view is None:
            return None
        if self._snapshot is None or self._snapshot_seq != self.view.seq:
            picture = self.view.picture()
            self._snapshot_seq = picture.seq
            self._snapshot = asyncio.ensure_future(
                self._service.in_thread(lambda: snapshot_frame(picture))
            )
        return self._snapshot


class Hub:
    """All channels, and the sockets that listen to them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.sockets = 0
        self._channels: dict[Query, Channel] = {}
        self._beater: asyncio.Task[None] | None = None

    async def join(self, query: Query, viewer: Viewer) -> None:
        """Subscribe a viewer to a query; it leaves what it had before.

        Raises
        ------
        LiqheatError
            The query cannot be drawn, or not yet; the viewer then has no subscription.
        """
        self.leave(viewer)
        if self._beater is None:
            self._beater = asyncio.create_task(self._beat())
        channel = self._channels.get(query)
        if channel is None or (channel.opening.done() and channel.view is None):
            channel = self._channels[query] = Channel(self.service, query)
        channel.joining += 1
        try:
            await asyncio.shield(channel.opening)
        except BaseException:
            # One that failed is of no use to the next; one still opening may find a viewer.
            wait = 0.0 if channel.opening.done() else LINGER_S
            asyncio.get_running_loop().call_later(wait, self._close_if_empty, channel)
            raise
        finally:
            channel.joining -= 1
        # No await from here on: what changes next comes behind the snapshot.
        channel.viewers.add(viewer)
        viewer.channel = channel
        viewer.give(channel.status_frame())
        viewer.restart()

    def leave(self, viewer: Viewer) -> None:
        """End a viewer's subscription; an empty channel is closed a little later."""
        channel, viewer.channel = viewer.channel, None
        viewer.forget()
        if channel is None:
            return
        channel.viewers.discard(viewer)
        if not channel.viewers:
            asyncio.get_running_loop().call_later(LINGER_S, self._close_if_empty, channel)

    def _close_if_empty(self, channel: Channel) -> None:
        empty = not channel.viewers and not channel.joining
        if empty and self._channels.get(channel.query) is channel:
            del self._channels[channel.query]
            channel.close()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            for channel in list(self._channels.values()):
                try:
                    channel.beat()
                except LiqheatError as error:
                    log.warning(
                        "beat_failed instrument=%s error=%s",
                        channel.query.instrument,
                        error,
                    )

    async def close(self) -> None:
        """Stop the heartbeat and leave all views."""
        if self._beater is not None:
            self._beater.cancel()
        for channel in list(self._channels.values()):
            channel.close()
        self._channels.clear()


def encode_status(service: Service, query: Query, view: LiveView | None) -> str:
    """Return the status frame of a view, or of a query that cannot be drawn yet."""
    return msgspec.json.encode(service.status(query, view)).decode()


def liquidations_frames(rows: Sequence[Liquidation]) -> Iterator[str]:
    """Yield the text frames of liquidations: as they happen; on subscribing, the window's."""
    for first in range(0, len(rows), MAX_ROWS):
        told = [liquidation_row(row) for row in rows[first : first + MAX_ROWS]]
        yield msgspec.json.encode({"type": "liquidations", "rows": told}).decode()


class Session:
    """One socket: reads what the client asks for, while its viewer writes."""

    def __init__(self, hub: Hub, socket: WebSocket[Any, Any, Any]) -> None:
        self.hub, self.socket = hub, socket
        self.viewer = Viewer()
        self._joining: asyncio.Task[None] | None = None
        self._tokens, self._filled_at = float(BURST), asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Serve the socket until the client leaves."""
        writer = asyncio.create_task(self.viewer.write_to(self.socket))
        reader = asyncio.create_task(self._read())
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.hub.leave(self.viewer)
            tasks = [task for task in (writer, reader, self._joining) if task is not None]
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception) and not _is_gone(result):
                    log.error("socket_failed", exc_info=result)

    async def _read(self) -> None:
        while True:
            message: Any = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if not self._allowed():
                self._error(_TooOftenError("too many messages; send two a second at most"))
                await asyncio.sleep(1.0 / RATE)
                continue
            try:
                self._handle(message.get("text"))
            except LiqheatError as error:
                self._error(error)

    def _allowed(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._tokens = min(float(BURST), self._tokens + (now - self._filled_at) * RATE)
        self._filled_at = now
        self._tokens -= 1.0
        return self._tokens > 0

    def _handle(self, text: str | None) -> None:
        if text is None:
            raise BadInputError("send JSON text, not binary", where="message")
        try:
            message = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise BadInputError(
                "not a JSON object", where="message", value=text[:80], do=str(error)[:120]
            ) from None
        op = message.pop("op", None)
        if op == "ping":
            self.viewer.give('{"type":"pong"}')
        elif op == "subscribe":
            self._subscribe(parse_query(message, Query))
        else:
            raise BadInputError("no such operation", where="op", value=str(op)[:80],
                                do="use subscribe or ping")  # fmt: skip

    def _subscribe(self, query: Query) -> None:
        if self._joining is not None:
            self._joining.cancel()
        self.hub.leave(self.viewer)
        self._joining = asyncio.create_task(self._join(query))

    async def _join(self, query: Query) -> None:
        told = False
        while True:
            try:
                await self.hub.join(query, self.viewer)
                break
            except UnavailableError as error:
                # Data may come yet; whoever watches learns so from the status alone.
                if not told:
                    self._error(error)
                told = True
                self.viewer.give(encode_status(self.hub.service, query, None))
            except Exception as error:  # logged by problem_of; the socket stays
                self._error(error)
                return
            await asyncio.sleep(RETRY_S)
        view = self.viewer.channel.view if self.viewer.channel else None
        if view is None:
            return
        rows, self.viewer.held = [], True
        try:
            # No await before it takes what is live: what comes from here on is told.
            rows = await self.hub.service.liquidations(query, view.t0_ms)
        except LiqheatError as error:
            self._error(error)
        self.viewer.give_window(liquidations_frames(rows))

    def _error(self, error: Exception) -> None:
        problem = problem_of(error, "/ws")
        body = {**msgspec.to_builtins(problem), "type": "error"}
        self.viewer.give(msgspec.json.encode(body).decode())


class _TooOftenError(LiqheatError):
    status = 429
    title = "Too many messages"


def _is_gone(error: Exception) -> bool:
    # What a server raises on writing to a closed socket is its own affair.
    return isinstance(error, WebSocketDisconnect | OSError | RuntimeError) or (
        type(error).__name__ == "ClientDisconnected"
    )


def socket_route(hub: Hub) -> WebsocketRouteHandler:
    """Return the route of /ws."""

    async def serve_socket(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        if hub.sockets >= MAX_SOCKETS:
            await socket.close(code=1013, reason="too many viewers")
            return
        hub.sockets += 1
        try:
            await Session(hub, socket).run()
        finally:
            hub.sockets -= 1

    return WebsocketRouteHandler("/ws")(serve_socket)
