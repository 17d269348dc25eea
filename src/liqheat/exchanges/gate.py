"""Gate perpetual futures, linear (USDT) and inverse (BTC).

    /v4/ws/{usdt|btc}   futures.trades, futures.tickers, futures.public_liquidates
    REST                candles, mark candles, contract_stats, funding, forced orders, books

The liquidation channel is complete since 2026-08-20. What the sign of its sizes means is not
documented; over REST it is the position's side, so what both tell is compared once, and the
stream's sign turned round if they disagree. REST tells seconds where the stream tells
milliseconds: the same order would be two rows, so holes of the stream are not filled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from liqheat.errors import ExchangeError
from liqheat.exchanges._gate import (
    BOOK,
    FRAME,
    LIQUIDATED,
    ORDERS,
    TICKERS,
    TRADES,
    Frame,
    parse_bars,
    parse_contracts,
    parse_funding,
    parse_mark_history,
    parse_orders,
    parse_stats,
    parse_ticker,
    parse_tiers,
    side_of,
    to_ms,
)
from liqheat.exchanges._listed import (
    ASSUMED_AS_OF,
    ASSUMED_SOURCE,
    ASSUMED_TIERS,
    Listed,
    Taker,
    windows,
)
from liqheat.exchanges._wire import BadFrameError, history_table, unpack
from liqheat.exchanges.base import Coverage, Kind
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Budget, Params, Socket
from liqheat.market.events import Event
from liqheat.market.instrument import Instrument

log = logging.getLogger("liqheat.exchanges.gate")

MINUTE_MS = 60_000
#: Candles end 10,000 before now: finer ones for the last days, coarser before.
WIDTHS = (("1m", MINUTE_MS), ("5m", 5 * MINUTE_MS), ("1h", 60 * MINUTE_MS))
CANDLES_KEPT, CANDLES_ASKED = 9_900, 1_900
STATS_ASKED, ORDERS_ASKED, FUNDING_ASKED = 100, 1_000, 1_000
CHANNELS = ("futures.trades", "futures.tickers", "futures.public_liquidates")
TRADES_HEAD = b'"futures.trades","event":"update"'
#: So many orders told by both REST and stream decide what the stream's sign means.
ENOUGH = 3
#: An order which REST has not told after so long is not waited for [s].
FORGET_S = 600


class Gate(LiveExchange):
    """Perpetual futures of Gate."""

    name = "gate"
    coverage = Coverage(
        taker_volume=True, open_interest=True, mark=True, funding=True, liquidations="full",
        long_short=True, depth=True, history_days=365.0,
    )  # fmt: skip
    default_urls: ClassVar[Mapping[str, str]] = {
        "rest": "https://api.gateio.ws",
        "usdt": "wss://fx-ws.gateio.ws/v4/ws/usdt",
        "btc": "wss://fx-ws.gateio.ws/v4/ws/btc",
    }
    budget = Budget(per_minute=1200)
    poll_s = 60.0
    poll_carries = ("long_short", "depth")
    ping_path = "/api/v4/spot/time"

    def __init__(self, urls: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(urls, **options)
        self._round = 0
        # What the stream's sign means: +1 the position's side, 0 once it is settled.
        self._sign, self._votes, self._settled = 1.0, 0, False
        self._told: dict[tuple[str, int, float], float] = {}

    # -- stream

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Plan a connection for each settlement."""
        out = []
        seconds = self.clock_ms() // 1000
        for label, inverse in (("usdt", False), ("btc", True)):
            names = [name for name in instruments if self.listings[name].inverse is inverse]
            symbols = [self.listings[name].instrument.symbol for name in names]
            orders = [
                {"time": seconds, "channel": each, "event": "subscribe", "payload": symbols}
                for each in CHANNELS
            ]
            ping = {"time": seconds, "channel": "futures.ping"}
            if names:
                out.append(
                    Socket(
                        self.urls[label], label, tuple(_text(each) for each in orders),
                        ping=_text(ping), headers=(("X-Gate-Size-Decimal", "1"),),
                        carries=("bars", "liquidations", "open_interest"),
                        instruments=tuple(names),
                    )
                )  # fmt: skip
        return out

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of a frame; none of contracts nobody asked for."""
        if frame.find(TRADES_HEAD, 0, 160) > 0:
            return self._trades(frame)
        message = unpack(FRAME, frame, "gate", label)
        if message.error is not None:
            raise ExchangeError("gate", f"{message.channel} refused: {message.error}")
        if message.event != "update" or message.channel not in CHANNELS:
            return ()
        if message.channel == "futures.trades":
            return self._trades(frame)
        if message.channel == "futures.tickers":
            return self._tickers(frame)
        return self._forced(message)

    def _trades(self, frame: bytes) -> list[Event]:
        listings = self.listings.by_symbol
        events: list[Event] = []
        for row in unpack(TRADES, frame, "gate", "futures.trades").result:
            listed = listings.get(row.contract)
            if listed is None or not listed.is_new(row.id):
                continue
            if row.size == 0:
                raise BadFrameError("gate", "futures.trades", "size", "no side", row.size)
            stamp = row.create_time_ms
            at = to_ms(row.create_time, "futures.trades") if stamp is None else int(stamp)
            taker: Taker = "buy" if row.size > 0 else "sell"
            events.append(listed.trade(at, row.price, abs(row.size), taker))
        return events

    def _tickers(self, frame: bytes) -> Iterator[Event]:
        message = unpack(TICKERS, frame, "gate", "futures.tickers")
        told = to_ms(message.time_ms or message.time, "futures.tickers")
        for row in message.result:
            listed = self.listings.by_symbol.get(row.contract)
            if listed is not None:
                at = told if row.t is None else to_ms(row.t, "futures.tickers")
                yield from parse_ticker(row, at, listed)

    def _forced(self, message: Frame) -> Iterator[Event]:
        # Equal orders of one message did happen twice: their count in it is in the key.
        seen: dict[tuple[object, ...], int] = {}
        channel = "futures.public_liquidates"
        for row in unpack(LIQUIDATED, message.result, "gate", channel):
            listed = self.listings.by_symbol.get(row.contract)
            at = to_ms(row.time_ms or row.time, channel)
            key = (row.contract, at, row.size, row.price)
            seen[key] = seen.get(key, 0) + 1
            if listed is None or not listed.is_new((*key, seen[key])):
                continue
            side = side_of(row.size * self._sign, channel)
            if not self._settled and len(self._told) < 1_000:
                self._told[row.contract, at // 1000, abs(row.size)] = row.size
            yield listed.liquidation(at, side, row.price, "order", abs(row.size), "full")

    # -- REST

    async def _get(self, listed: Listed, what: str, **params: str | int) -> bytes:
        asked: Params = {"contract": listed.instrument.symbol, **params}
        settle = "btc" if listed.inverse else "usdt"
        return await self.http.get(f"/api/v4/futures/{settle}/{what}", asked)

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the contracts of the chosen coins with their tiers."""
        found = []
        as_of = time.strftime("%Y-%m-%d", time.gmtime(self.clock_ms() / 1000))
        for settle in ("usdt", "btc"):
            root, inverse = f"/api/v4/futures/{settle}", settle == "btc"
            data = await self.http.get(f"{root}/contracts")
            for row, coin, quote in parse_contracts(
                data, self.listings.coins, inverse=inverse
            ):
                tiers = (ASSUMED_TIERS, ASSUMED_AS_OF, ASSUMED_SOURCE)
                try:
                    asked = {"contract": row.name}
                    data = await self.http.get(f"{root}/risk_limit_tiers", asked)
                    worth = row.mark_price if inverse else 1.0
                    tiers = (parse_tiers(data, worth), as_of, "Gate risk_limit_tiers")
                except (ExchangeError, BadFrameError) as error:
                    self.tiers_failed(error)
                found.append(
                    Instrument(
                        "gate", row.name, coin, quote, "inverse" if inverse else "linear",
                        row.order_price_round, row.order_size_min or 1.0,
                        1.0 if inverse else row.quanto_multiplier, *tiers,
                    )
                )  # fmt: skip
        return self.listings.take(found)

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return history, as far as Gate goes; bars get coarser with age."""
        listed, now = self.listings[instrument], self.clock_ms()
        events: list[Event] = []
        if kind in ("bars", "mark"):
            for name, width, start, end in ages(start_ms, end_ms, now):
                for at, until in windows(start, end, CANDLES_ASKED * width):
                    events += await self._candles(listed, kind, name, width, at, until)
            return history_table(kind, events, "gate", start_ms, end_ms)
        fetch, width = {
            "open_interest": (self._stats, STATS_ASKED * 5 * MINUTE_MS),
            "long_short": (self._stats, STATS_ASKED * 5 * MINUTE_MS),
            "funding": (self._funding, FUNDING_ASKED * 60 * MINUTE_MS),
            "liquidations": (self._orders, 24 * 60 * MINUTE_MS),
        }.get(kind, (None, 1))
        if fetch is None:
            return None
        for at, until in windows(start_ms, end_ms, width):
            events += await fetch(listed, kind, at, until)
        return history_table(kind, events, "gate", start_ms, end_ms)

    async def _candles(
        self, listed: Listed, kind: str, interval: str, width: int, start: int, end: int
    ) -> Iterable[Event]:
        if kind == "mark":
            start, end = start - width, end - width
        span: dict[str, str | int] = {
            "interval": interval, "from": start // 1000, "to": (end - 1) // 1000,
        }  # fmt: skip
        mark = f"mark_{listed.instrument.symbol}"
        marks = await self._get(listed, "candlesticks", **{**span, "contract": mark})
        if kind == "mark":
            return parse_mark_history(marks, listed, width)
        candles = await self._get(listed, "candlesticks", **span)
        return parse_bars(candles, marks, listed, width, self.clock_ms())

    async def _stats(
        self, listed: Listed, kind: str, start: int, end: int
    ) -> Iterable[Event]:
        data = await self._get(
            listed, "contract_stats", interval="5m", limit=STATS_ASKED, **_from(start)
        )
        return parse_stats(data, listed, kind)

    async def _funding(
        self, listed: Listed, kind: str, start: int, end: int
    ) -> Iterable[Event]:
        span = {**_from(start), "to": (end - 1) // 1000}
        data = await self._get(listed, "funding_rate", limit=FUNDING_ASKED, **span)
        return parse_funding(data, listed)

    async def _orders(
        self, listed: Listed, kind: str, start: int, end: int
    ) -> Iterable[Event]:
        span = {**_from(start), "to": (end - 1) // 1000}
        data = await self._get(listed, "liq_orders", limit=ORDERS_ASKED, **span)
        rows = unpack(ORDERS, data, "gate", "liq_orders")
        if len(rows) >= ORDERS_ASKED and end - start > 2_000:
            # More than one answer holds: in halves, at a full second.
            middle = (start + end) // 2_000 * 1000
            early = await self._orders(listed, kind, start, middle)
            return [*early, *(await self._orders(listed, kind, middle, end))]
        return [
            event for event in parse_orders(rows, Listed(listed.instrument))
            if start <= event.event_ms < end
        ]  # fmt: skip

    async def polls(self, instruments: Sequence[str]) -> list[Event]:
        """Return order books; each five minutes the ratios. Settles what the sign means."""
        events: list[Event] = []
        now, turn = self.clock_ms(), self._round
        self._round += 1
        for name in instruments:
            listed = self.listings[name]
            data = await self._get(listed, "order_book", limit=100)
            book = unpack(BOOK, data, "gate", "order_book")
            sides = [[(one.p, one.s) for one in side] for side in (book.bids, book.asks)]
            events += listed.depth(now, *sides)
            if turn % 5 == 0:
                rows = await self._stats(listed, "long_short", now - 10 * MINUTE_MS, now)
                events += list(rows)[-1:]
        if not self._settled and self._told:
            await self._compare_signs(now)
        return events

    async def _compare_signs(self, now: int) -> None:
        oldest = min(second for _, second, _ in self._told)
        for symbol in {symbol for symbol, _, _ in self._told}:
            listed = self.listings.by_symbol[symbol]
            data = await self._get(
                listed,
                "liq_orders",
                limit=ORDERS_ASKED,
                **{"from": oldest, "to": now // 1000},
            )
            for row in unpack(ORDERS, data, "gate", "liq_orders"):
                key = (symbol, to_ms(row.time, "liq_orders") // 1000, abs(row.size))
                told = self._told.pop(key, 0.0)
                self._votes += (told * row.size > 0) - (told * row.size < 0)
        recent = now // 1000 - FORGET_S
        self._told = {key: size for key, size in self._told.items() if key[1] > recent}
        if abs(self._votes) >= ENOUGH:
            self._settled, self._sign = True, 1.0 if self._votes > 0 else -1.0
            self._told.clear()
            log.info("liquidation_sign exchange=gate sign=%+g", self._sign)


def ages(start_ms: int, end_ms: int, now_ms: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield the finest candles kept of each part of ``[start_ms, end_ms)``, the oldest first."""
    newest = end_ms
    parts = []
    for name, width in WIDTHS:
        oldest = (now_ms - CANDLES_KEPT * width) // WIDTHS[-1][1] * WIDTHS[-1][1]
        since = max(start_ms, oldest)
        if since < newest:
            parts.append((name, width, since, newest))
            newest = since
    yield from reversed(parts)


def _from(start_ms: int) -> dict[str, int]:
    return {"from": -(-start_ms // 1000)}


def _text(order: Mapping[str, object]) -> str:
    return msgspec.json.encode(order).decode()
