"""Hyperliquid's fake: one socket, and ``POST /info`` for all the rest, positions included."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from aiohttp import web

from liqheat.exchanges.hyperliquid import Hyperliquid
from liqheat.market.events import Event, Liquidation, MarkPrice, OpenInterest, Trade
from tests.fake_exchange.market import COINS, MINUTE_MS, Tick
from tests.fake_exchange.server import json_of
from tests.fake_exchange.venue import FakeVenue, Frame, Peer, number, reply

HOUR_MS = 60 * MINUTE_MS
WIDTHS = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}
#: Accounts which trade; each holds one position, as its number says.
ACCOUNTS = 60


class Venue(FakeVenue):
    """USDC perpetuals. It publishes no liquidations."""

    name = "hyperliquid"
    adapter = Hyperliquid
    symbols = {coin: coin for coin in COINS}
    websockets = ("ws",)
    #: A contract's context comes without its time.
    timeless_ms = 2_000

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/rest/info", self.info),
            web.get("/leaders/Mainnet/leaderboard", self.leaders),
        ]

    def expected(self, tick: Tick) -> list[Event]:
        return [one for one in super().expected(tick) if not isinstance(one, Liquidation)]

    # -- stream

    async def on_message(self, peer: Peer, text: str) -> None:
        message = json_of(text)
        if message["method"] == "ping":
            await peer.send({"channel": "pong"})
            return
        wanted = message["subscription"]
        peer.channels.add(f"{wanted['type']}:{wanted['coin']}")
        await peer.send({"channel": "subscriptionResponse", "data": message})
        if wanted["type"] == "activeAssetCtx":
            data = {"coin": wanted["coin"], "ctx": self._context(wanted["coin"])}
            await peer.send({"channel": "activeAssetCtx", "data": data})

    def frames_for(self, tick: Tick) -> Iterable[Frame]:
        event, coin = tick.event, tick.coin
        if coin not in self.listed:
            return
        if isinstance(event, Trade):
            row = {
                "coin": coin, "side": "B" if event.taker_side == "buy" else "A",
                "px": number(event.price), "sz": number(event.qty), "time": event.event_ms,
                "hash": "0x0", "tid": tick.id * 10 + sorted(COINS).index(coin),
                "users": [account(tick.id), account(tick.id // 7 + 1)],
            }  # fmt: skip
            yield _pushed("trades", coin, [row])
        elif isinstance(event, MarkPrice | OpenInterest):
            data = {"coin": coin, "ctx": self._context(coin, event.event_ms)}
            yield _pushed("activeAssetCtx", coin, data)

    def _context(self, coin: str, at_ms: int | None = None) -> dict:
        at = self.now_ms() if at_ms is None else at_ms
        at = at // self.market.readings_ms * self.market.readings_ms
        return {
            "funding": number(self.market.funding_rate(at)), "premium": None, "midPx": None,
            "markPx": number(self.market.mark(coin, at)), "prevDayPx": "1.0",
            "oraclePx": number(self.market.price(coin, at)), "impactPxs": None,
            "openInterest": number(self.market.open_interest(coin, at)), "dayNtlVlm": "0.0",
        }  # fmt: skip

    # -- REST

    async def info(self, request: web.Request) -> web.Response:
        body = json_of((await request.read()).decode())
        answers = {
            "metaAndAssetCtxs": self.meta, "candleSnapshot": self.candles,
            "fundingHistory": self.funding, "l2Book": self.book,
            "clearinghouseState": self.state,
        }  # fmt: skip
        if body["type"] == "exchangeStatus":
            return reply({"time": self.now_ms(), "specialStatuses": None})
        if body["type"] == "userFillsByTime":
            return reply([])
        return reply(answers[body["type"]](body))

    async def leaders(self, request: web.Request) -> web.Response:
        rows = [{"ethAddress": account(i), "accountValue": "250000.0"} for i in range(20)]
        return reply({"leaderboardRows": rows})

    def meta(self, body: dict) -> object:
        tiers = [{"lowerBound": "0.0", "maxLeverage": 40},
                 {"lowerBound": "150000000.0", "maxLeverage": 20}]  # fmt: skip
        universe = [
            {"name": coin, "szDecimals": 2, "maxLeverage": 40, "marginTableId": 56}
            for coin in self.listed
        ]
        tables = [[56, {"description": "tiered", "marginTiers": tiers}]]
        contexts = [self._context(coin) for coin in self.listed]
        return [{"universe": universe, "marginTables": tables}, contexts]

    def candles(self, body: dict) -> object:
        asked = body["req"]
        step = WIDTHS[asked["interval"]] * MINUTE_MS
        end = min(asked["endTime"] + 1, self.now_ms())
        start = max(asked["startTime"], self.now_ms() - 5_000 * step)
        rows = []
        for at in range(-(-start // step) * step, end, step):
            # Of longer intervals only their first minute: enough to be told apart.
            bar = self.market.bar(asked["coin"], at)
            prices = {
                "o": bar.open,
                "h": bar.high,
                "l": bar.low,
                "c": bar.close,
                "v": bar.qty,
            }
            texts = {name: number(value) for name, value in prices.items()}
            rows.append({"t": at, "T": at + step - 1, "s": asked["coin"], "n": 1, **texts})
        return rows

    def funding(self, body: dict) -> object:
        first = -(-body["startTime"] // HOUR_MS) * HOUR_MS
        end = min(body["endTime"], self.now_ms())
        return [
            {"coin": body["coin"], "premium": "0.0", "time": at + 70,
             "fundingRate": number(self.market.funding_rate(at - 1))}
            for at in range(first, end + 1, HOUR_MS)
        ][:500]  # fmt: skip

    def book(self, body: dict) -> object:
        coin, now = body["coin"], self.now_ms()
        mid, tick = self.market.price(coin, now), COINS[coin][1]
        sides = [
            [{"px": number(mid + sign * i * tick), "sz": "1", "n": 1} for i in range(1, 20)]
            for sign in (-1, 1)
        ]
        return {"coin": coin, "time": now, "levels": sides}

    def state(self, body: dict) -> object:
        held = position_of(body["user"], list(self.listed), self.market.price)
        return {"assetPositions": [held] if held else [], "time": self.now_ms()}


def account(number: int) -> str:
    """Return the address of an account; there are ``ACCOUNTS``."""
    return f"0x{number % ACCOUNTS:040x}"


def position_of(address: str, coins: list[str], price: object) -> dict | None:
    """Return what an account holds, for ever; every fifth nothing."""
    i = int(address, 16)
    coin = coins[i % len(coins)]
    if i % 5 == 0:
        return None
    entry, long = COINS[coin][0], i % 2 == 0
    dies = entry * (1 - 0.02 * (1 + i % 10) if long else 1 + 0.02 * (1 + i % 10))
    size = COINS[coin][3] / 500 * (1 if long else -1)
    kind = "cross" if i % 3 else "isolated"
    return {"type": "oneWay", "position": {
        "coin": coin, "szi": number(size), "entryPx": number(entry),
        "leverage": {"type": kind, "value": 20},
        "liquidationPx": None if i % 7 == 0 else number(dies),
    }}  # fmt: skip


def _pushed(channel: str, coin: str, data: object) -> Frame:
    text = msgspec.json.encode({"channel": channel, "data": data}).decode()
    return f"{channel}:{coin}", text
