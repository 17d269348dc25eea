"""Binance USD-M and COIN-M perpetuals.

    fstream /market   aggTrade, markPrice of USD-M; forceOrder of BOTH (merged 2026-06)
    dstream           aggTrade, markPrice of COIN-M; never forceOrder, or all is told twice
    fapi, dapi        klines, mark klines, open interest, funding, ratios, order books

Traps: market streams on the old root are accepted and silent. A forced order's side is the
ORDER's: SELL closes a long. Only the largest order of a second and symbol is told: a sample.
COIN-M counts in contracts (BTC 100 USD, others 10). Margin tiers need a key; the web site's
table, undocumented, is asked for and a dated one is shipped. ``maintMarginPercent`` of the
instrument list is not the tiers' rate.

Documentation: https://developers.binance.com/docs/derivatives (as of 2026-10-03).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from liqheat.errors import ExchangeError
from liqheat.exchanges._binance import (
    BOOK,
    FRAME,
    INTEREST_NOW,
    MINUTE_MS,
    AggTrade,
    ForceOrder,
    Mark,
    Tiers,
    parse_bars,
    parse_brackets,
    parse_closes,
    parse_funding,
    parse_instruments,
    parse_interest,
    parse_marks,
    parse_ratios,
)
from liqheat.exchanges._listed import Listed, windows
from liqheat.exchanges._wire import BadFrameError, history_table, number, unpack
from liqheat.exchanges.base import Coverage, Kind
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Budget, Http, Socket
from liqheat.market.events import MIN_PRICE, Event, PriceKind
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS

#: Rows of one request: klines cost the least per row just under 500; the ratios' limit is 500.
KLINES, RATIOS = 499, 500
#: Open interest and ratios go back a month; the last hours of it are on their way out.
STATISTICS_MS = 29 * DAY_MS
#: Binance cuts each connection after 24 h.
ROTATE_S = 23 * 3600.0
BRACKETS = "/bapi/futures/v1/friendly/future/common/brackets"

# -- the adapter -----------------------------------------------------------------------------


class Binance(LiveExchange):
    """USD-M and COIN-M perpetuals of Binance."""

    name = "binance"
    coverage = Coverage(
        taker_volume=True, open_interest=True, mark=True, funding=True,
        liquidations="sampled_1s_largest", long_short=True, depth=True, history_days=365.0,
    )  # fmt: skip
    default_urls: ClassVar[Mapping[str, str]] = {
        "rest": "https://fapi.binance.com",
        "coin_rest": "https://dapi.binance.com",
        "site": "https://www.binance.com",
        "market": "wss://fstream.binance.com/market/stream",
        "coin": "wss://dstream.binance.com/stream",
    }
    # USD-M and COIN-M draw on one pool.
    budget = Budget(per_minute=2400, header="X-MBX-USED-WEIGHT-1M")
    poll_s = 20.0
    poll_carries = ("open_interest", "long_short", "depth")
    ping_path = "/fapi/v1/time"

    def __init__(self, urls: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(urls, **options)
        self._coin_http, self._site = self.new_http("coin_rest"), self.new_http("site")
        # The ratios and the interest's history have a pool of their own.
        self._statistics = {
            inverse: self.new_http(key, Budget(per_minute=200))
            for inverse, key in ((False, "rest"), (True, "coin_rest"))
        }
        self._round = 0

    # -- stream

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Plan one connection a host; forced orders of both hosts come on the first."""
        streams: dict[str, list[str]] = {"market": ["!forceOrder@arr"], "coin": []}
        for name in instruments:
            listed = self.listings[name]
            symbol = listed.instrument.symbol.lower()
            label = "coin" if listed.inverse else "market"
            streams[label] += [f"{symbol}@aggTrade", f"{symbol}@markPrice@1s"]
        linear = tuple(name for name in instruments if not self.listings[name].inverse)
        carried = {
            "market": (("bars", "liquidations"), ()),
            "coin": (("bars",), tuple(set(instruments) - set(linear))),
        }
        return [
            Socket(
                self.urls[label], label, (_subscribe(names),), rotate_s=ROTATE_S,
                carries=carried[label][0], instruments=carried[label][1],
            )
            for label, names in streams.items()
            if names
        ]  # fmt: skip

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of a frame; none of symbols nobody asked for."""
        message = unpack(FRAME, frame, "binance", label)
        data = message.data
        if type(data) is AggTrade:
            listed = self.listings.by_symbol.get(data.s)
            if listed is None or not listed.is_new(data.a):
                return ()
            return (listed.trade(data.T, data.p, data.q, "sell" if data.m else "buy"),)
        if type(data) is Mark:
            return self._marks(data)
        if type(data) is ForceOrder:
            return self._forced(data)
        if message.error is not None:
            raise ExchangeError("binance", f"{label} refused: {message.error}")
        return ()

    def _marks(self, row: Mark) -> Iterator[Event]:
        listed = self.listings.by_symbol.get(row.s)
        if listed is not None:
            index = number(row.i, "binance", "markPrice", "i")
            yield listed.mark(row.E, row.p, index or None)
            rate = number(row.r, "binance", "markPrice", "r")
            if rate is not None and row.T:
                yield from listed.funding(rate, row.T)

    def _forced(self, frame: ForceOrder) -> Iterator[Event]:
        row = frame.o
        listed = self.listings.by_symbol.get(row.s)
        if listed is None or not listed.is_new((row.T, row.S, row.q, row.ap)):
            return
        if {row.st, frame.st} & ({1} if listed.inverse else {2}):
            raise BadFrameError("binance", "forceOrder", "st", f"not {row.s}'s", row.st)
        if 0 < row.ap < MIN_PRICE:
            raise BadFrameError("binance", "forceOrder", "o.ap", "no price", row.ap)
        # Nothing filled: the price the order asked for, at which nothing need have traded.
        kind: PriceKind = "fill" if row.ap > 0 else "bankruptcy"
        yield listed.liquidation(
            row.T, "long" if row.S == "SELL" else "short", row.ap or row.p, kind, row.q,
            "sampled_1s_largest",
        )  # fmt: skip

    # -- REST

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the perpetuals of the chosen coins, with the newest tiers there are."""
        tiers: Tiers = {}
        try:
            tiers = parse_brackets(await self._site.get(BRACKETS))
        except (ExchangeError, BadFrameError) as error:
            self.tiers_failed(error)
        as_of = time.strftime("%Y-%m-%d", time.gmtime(self.clock_ms() / 1000))
        usd_m = await self.http.get("/fapi/v1/exchangeInfo")
        coin_m = await self._coin_http.get("/dapi/v1/exchangeInfo")
        return self.listings.take(
            parse_instruments(usd_m, self.listings.coins, tiers, as_of)
            + parse_instruments(coin_m, self.listings.coins, tiers, as_of)
        )

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return klines and funding from listing on, statistics of the last month."""
        listed, now = self.listings[instrument], self.clock_ms()
        fetch, width = {
            "bars": (self._bars, KLINES * MINUTE_MS),
            "mark": (self._mark_history, KLINES * MINUTE_MS),
            "funding": (self._funding, 1000 * 60 * MINUTE_MS),
            "open_interest": (self._interest, RATIOS * 5 * MINUTE_MS),
            "long_short": (self._ratios, RATIOS * 5 * MINUTE_MS),
        }.get(kind, (None, 1))
        start, end = start_ms, end_ms
        if kind in ("open_interest", "long_short"):
            start = max(start, now - STATISTICS_MS)
        if kind in ("bars", "mark"):
            end = min(end, now // MINUTE_MS * MINUTE_MS)
        if fetch is None or (start >= end and start > start_ms):
            return None
        events: list[Event] = []
        for at, until in windows(start, end, width):
            events += await fetch(listed, at, until)
        return history_table(kind, events, "binance", start, end)

    async def _get(
        self, listed: Listed, path: str, limit: int, start: int, end: int
    ) -> bytes:
        params: dict[str, str | int | float] = {
            "symbol": listed.instrument.symbol, "limit": limit,
            "startTime": start, "endTime": end - 1,
        }  # fmt: skip
        if path.startswith("/futures/data"):
            params["period"] = "5m"
            if listed.inverse:
                # Of the pair there; a perpetual's symbol is the pair's and a suffix.
                params["pair"] = str(params.pop("symbol")).removesuffix("_PERP")
                if "openInterest" in path:
                    params["contractType"] = "PERPETUAL"
            return await self._statistics[listed.inverse].get(path, params)
        if "lines" in path.lower():
            params["interval"] = "1m" if limit == KLINES else "5m"
            return await self._host(listed).get(_root(listed) + path, params, weight=2)
        return await self._host(listed).get(_root(listed) + path, params)

    def _host(self, listed: Listed) -> Http:
        return self._coin_http if listed.inverse else self.http

    async def _bars(self, listed: Listed, start: int, end: int) -> list[Event]:
        marks = await self._get(listed, "/markPriceKlines", KLINES, start, end)
        klines = await self._get(listed, "/klines", KLINES, start, end)
        return list(parse_bars(klines, marks, listed))

    async def _mark_history(self, listed: Listed, start: int, end: int) -> list[Event]:
        # A kline's close is the mark at its end.
        data = await self._get(
            listed, "/markPriceKlines", KLINES, start - MINUTE_MS, end - MINUTE_MS
        )
        return list(parse_marks(data, listed))

    async def _funding(self, listed: Listed, start: int, end: int) -> list[Event]:
        data = await self._get(listed, "/fundingRate", 1000, start, end)
        return list(parse_funding(data, listed))

    async def _interest(self, listed: Listed, start: int, end: int) -> list[Event]:
        data = await self._get(listed, "/futures/data/openInterestHist", RATIOS, start, end)
        closes: dict[int, float] = {}
        if listed.inverse:
            klines = await self._get(
                listed, "/klines", RATIOS, start - 5 * MINUTE_MS, end - 5 * MINUTE_MS
            )
            closes = parse_closes(klines, 5 * MINUTE_MS)
        return list(parse_interest(data, listed, closes))

    async def _ratios(self, listed: Listed, start: int, end: int) -> list[Event]:
        path = "/futures/data/globalLongShortAccountRatio"
        data = await self._get(listed, path, RATIOS, start, end)
        return list(parse_ratios(data, listed))

    async def polls(self, instruments: Sequence[str]) -> list[Event]:
        """Return open interest; each minute order books, each five minutes the ratios."""
        events: list[Event] = []
        now, turn = self.clock_ms(), self._round
        self._round += 1
        for name in instruments:
            listed = self.listings[name]
            params = {"symbol": listed.instrument.symbol}
            http, root = self._host(listed), _root(listed)
            row = unpack(
                INTEREST_NOW,
                await http.get(f"{root}/openInterest", params),
                "binance",
                "openInterest",
            )
            events += listed.open_interest(row.time, row.open_interest)
            if turn % 3 == 0:
                data = await http.get(f"{root}/depth", {**params, "limit": 1000}, weight=20)
                book = unpack(BOOK, data, "binance", "depth")
                events += listed.depth(now, book.bids, book.asks)
            if turn % 15 == 0:
                events += (await self._ratios(listed, now - 10 * MINUTE_MS, now))[-1:]
        return events


def _root(listed: Listed) -> str:
    return "/dapi/v1" if listed.inverse else "/fapi/v1"


def _subscribe(names: Sequence[str]) -> str:
    order = {"method": "SUBSCRIBE", "params": names, "id": 1}
    return msgspec.json.encode(order).decode()
