"""Any other exchange through ccxt: bars, open interest and funding, by polling. No more.

An extra (``pip install liqheat[ccxt]``), imported only when asked for. Names begin with
``ccxt_``, so that nobody takes them for an adapter of our own: there are no trades, marks or
liquidations, margin tiers are assumed ones, and everything is up to a minute late.

Traps: what ccxt calls volume is base units on one exchange and contracts on the next, and so
is open interest. Both are compared with what the exchange says of the last day before they
are used; where they fit neither unit, that kind is refused rather than guessed.
"""

from __future__ import annotations

import asyncio
import difflib
import importlib
import logging
import math
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from typing import Any

import pyarrow as pa

from liqheat.errors import BadInputError, ConfigError, ExchangeError
from liqheat.exchanges._listed import COINS, Listings, assumed_tiers
from liqheat.exchanges._wire import BadFrameError, history_table
from liqheat.exchanges.base import Coverage, Kind, Mode, wall_clock_ms
from liqheat.exchanges.directory import EXCHANGES
from liqheat.market.events import Bar, Event, FundingRate, Gap, OpenInterest
from liqheat.market.instrument import Instrument

log = logging.getLogger("liqheat.exchanges.ccxt")

MINUTE_MS = 60_000
#: Rows of a page; least time between two rounds of questions [s].
ROWS, POLL_S = 500, 60.0
#: Largest leverage where the exchange names none: of the assumed tiers.
ASSUMED_LEVERAGE = 50.0
#: A unit fits where what it gives is within this of what the exchange says.
FITS = 0.3
AS_OF, SOURCE = "2026-11-20", "assumed: ccxt tells no tiers"
#: What is asked for in each round, besides open interest.
_POLLED: tuple[Kind, ...] = ("bars", "funding")
#: ccxt's names of ours.
_OURS = {"binanceusdm": "binance", "binancecoinm": "binance", "gateio": "gate"}


class Ccxt:
    """One exchange through ccxt; implements ``base.Exchange``.

    Parameters
    ----------
    exchange : str
        ccxt's name, e.g. "krakenfutures".
    coins : collection of str
        Base coins whose perpetuals are taken.
    clock_ms, sleep : callable, optional
        Our clock [ms], and how to wait [s].
    client : object, optional
        A client of ``ccxt.async_support``; made where not given.

    Raises
    ------
    ConfigError
        ccxt is not installed, has no such exchange, or we have an adapter of our own.
    """

    mode: Mode = "live"
    coverage = Coverage(open_interest=True, funding=True, history_days=30.0)

    def __init__(
        self, exchange: str, *, coins: Collection[str] = COINS,
        clock_ms: Callable[[], int] = wall_clock_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, client: Any = None,
    ) -> None:  # fmt: skip
        ours = _OURS.get(exchange, exchange)
        if ours in EXCHANGES:
            raise ConfigError(
                f"exchange {exchange!r}: use {ours!r}, which knows more of it"
            )
        self.name = f"ccxt_{exchange}"
        self.counters: dict[str, int] = {"poll_errors": 0}
        self.clock_ms, self._sleep = clock_ms, sleep
        self._client = client if client is not None else _client(exchange)
        self.listings = Listings(self.name, coins)
        self._volume_unit: dict[str, float] = {}

    async def _ask(self, method: str, *args: object) -> Any:
        try:
            return await getattr(self._client, method)(*args)
        except Exception as error:  # ccxt's own tree of errors, and its clients' bugs
            words = f"{method}: {type(error).__name__}: {error}"
            raise ExchangeError(self.name, words) from error

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the active perpetuals of the coins; their margin tiers are assumed."""
        markets: Mapping[str, Mapping[str, Any]] = await self._ask("load_markets")
        return self.listings.take(
            self._instrument(row) for row in markets.values()
            if row.get("swap") and row.get("active") is not False
            and row.get("base") in self.listings.coins
        )  # fmt: skip

    def _instrument(self, row: Mapping[str, Any]) -> Instrument:
        leverage = (row.get("limits") or {}).get("leverage") or {}
        precision = row.get("precision") or {}
        return Instrument(
            self.name, str(row["symbol"]), str(row["base"]), str(row["quote"]),
            "inverse" if row.get("inverse") else "linear",
            _positive(precision.get("price"), self.name, "precision.price"),
            _positive(precision.get("amount"), self.name, "precision.amount"),
            _positive(row.get("contractSize") or 1.0, self.name, "contractSize"),
            assumed_tiers(float(leverage.get("max") or ASSUMED_LEVERAGE)), AS_OF, SOURCE,
        )  # fmt: skip

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return minute bars or funding, as far back as the exchange gives them."""
        symbol, now = self.listings[instrument].instrument.symbol, self.clock_ms()
        method = {"bars": "fetch_ohlcv", "funding": "fetch_funding_rate_history"}.get(kind)
        if method is None:
            return None
        if kind == "bars":
            end_ms = min(end_ms, now // MINUTE_MS * MINUTE_MS)
        events: list[Event] = []
        at = start_ms
        while at < end_ms:
            args = ("1m", at, ROWS) if kind == "bars" else (at, ROWS)
            rows = await self._ask(method, symbol, *args)
            page = [await self._event(instrument, kind, row) for row in rows]
            newest = max((one.event_ms for one in page), default=at - 1)
            if newest < at:
                break
            events, at = events + page, newest + 1
        return history_table(kind, events, self.name, start_ms, end_ms)

    async def _event(self, name: str, kind: str, row: Any) -> Event:
        if kind == "funding":
            return FundingRate(name, int(row["timestamp"]), float(row["fundingRate"]))
        at, volume = int(row[0]), float(row[5])
        prices = [_positive(price, self.name, "ohlcv") for price in row[1:5]]
        first, high, low, last = prices
        if not (max(prices) == high and min(prices) == low and volume >= 0):
            raise BadFrameError(self.name, "ohlcv", "", "no bar", row)
        qty = volume * await self._unit(name)
        if self.listings[name].inverse:
            qty /= last
        return Bar(name, at, MINUTE_MS, first, high, low, last, qty)

    async def _unit(self, name: str) -> float:
        # Base units (of inverse contracts: USD) of one of ccxt's volume.
        if name not in self._volume_unit:
            one = self.listings[name].instrument
            ticker = await self._ask("fetch_ticker", one.symbol)
            hours = await self._ask("fetch_ohlcv", one.symbol, "1h", None, 24)
            told = sum(float(row[5]) for row in hours)
            base = float(ticker.get("baseVolume") or 0.0)
            if not base and ticker.get("quoteVolume") and ticker.get("last"):
                base = float(ticker["quoteVolume"]) / float(ticker["last"])
            price = float(ticker.get("last") or math.nan)
            wanted = base * price if one.is_inverse else base
            base_unit = price if one.is_inverse else 1.0
            self._volume_unit[name] = self._fitting(
                "volume", told, wanted, (base_unit, one.contract_size)
            )
        return self._volume_unit[name]

    def _fitting(
        self, what: str, told: float, wanted: float, units: tuple[float, ...]
    ) -> float:
        for unit in units:
            if wanted > 0 and abs(told * unit / wanted - 1.0) <= FITS:
                return unit
        words = f"{what} {told:g} fits no unit: {wanted:g} were expected"
        raise ExchangeError(self.name, words)

    async def stream(
        self, instruments: Sequence[str], start_ms: int
    ) -> AsyncIterator[Event]:
        """Yield closed bars, open interest and settled funding, about once a minute."""
        for name in instruments:
            self.listings[name]  # unknown ones are refused before anything is asked
        since = dict.fromkeys(instruments, start_ms)
        while True:
            for name in instruments:
                for event in await self._round(name, since):
                    yield event
            await self._sleep(POLL_S)

    async def _round(self, name: str, since: dict[str, int]) -> list[Event]:
        now, events = self.clock_ms(), list[Event]()
        try:
            events += await self._interest(name)
        except (ExchangeError, BadInputError) as error:
            self.counters["poll_errors"] += 1
            log.warning("open_interest_failed instrument=%s error=%s", name, error)
        for kind in _POLLED:
            table = await self.fetch_history(name, kind, since[name], now)
            rows = [] if table is None else table.to_pylist()
            for row in rows:
                row.pop("source")
                if kind == "bars":
                    row["event_ms"] = row.pop("start_ms")
                events.append(Bar(**row) if kind == "bars" else FundingRate(**row))
        starts = [one.event_ms for one in events if isinstance(one, Bar)]
        if starts:
            if starts[0] > since[name] + MINUTE_MS:
                gap = Gap(name, since[name], starts[0], "bars", "the exchange has none")
                events.insert(0, gap)
            since[name] = starts[-1] + MINUTE_MS
        return events

    async def _interest(self, name: str) -> list[OpenInterest]:
        one = self.listings[name].instrument
        row = await self._ask("fetch_open_interest", one.symbol)
        amount, value = row.get("openInterestAmount"), row.get("openInterestValue")
        price = (await self._ask("fetch_ticker", one.symbol)).get("last")
        if not (amount and price) or (value is None and one.contract_size != 1.0):
            raise ExchangeError(self.name, f"open interest without its unit: {row}")
        told, base = float(amount), float(value or amount * price) / float(price)
        face = one.contract_size / (float(price) if one.is_inverse else 1.0)
        unit = self._fitting("open interest", told, base, (1.0, face))
        return [
            OpenInterest(name, int(row.get("timestamp") or self.clock_ms()), told * unit)
        ]

    async def ping(self) -> None:
        """Ask for something light."""
        await self._ask("load_markets")

    async def close(self) -> None:
        """Close ccxt's connections."""
        await self._client.close()


def _client(exchange: str) -> Any:
    try:
        module = importlib.import_module("ccxt.async_support")
    except ImportError as error:
        raise ConfigError(
            f"exchange 'ccxt_{exchange}' needs ccxt: pip install 'liqheat[ccxt]'"
        ) from error
    if exchange not in module.exchanges:
        near = difflib.get_close_matches(exchange, module.exchanges, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"ccxt has no exchange {exchange!r}{hint}")
    return getattr(module, exchange)(
        {"enableRateLimit": True, "options": {"defaultType": "swap"}}
    )


def _positive(value: Any, exchange: str, field: str) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found < math.inf:
        raise BadFrameError(exchange, "ccxt", field, "no positive number", value)
    return found
