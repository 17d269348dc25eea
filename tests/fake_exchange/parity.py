"""What was sent against what came out: every row there once, or inside a recorded gap."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from dataclasses import dataclass, field

from liqheat.exchanges.live import LiveExchange
from liqheat.market.events import (
    Bar,
    Event,
    Gap,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Trade,
)
from tests.fake_exchange.market import MINUTE_MS, Market
from tests.fake_exchange.scenario import Scenario
from tests.fake_exchange.server import FakeExchange, VirtualTime
from tests.fake_exchange.venue import FakeVenue

#: A moment without meaning, at a full hour.
T0 = 1_790_035_200_000


@dataclass
class Parity:
    """Rows of one kind: what was sent, what was stored, and what lies in gaps."""

    exchange: str
    kind: str
    sent: int = 0
    stored: int = 0
    in_gaps: int = 0
    gaps: int = 0
    #: In words; empty is parity.
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return a row of the table of parity."""
        verdict = "exact" if not self.faults else f"{len(self.faults)} FAULTS"
        return (f"{self.exchange:<12}{self.kind:<14}{self.sent:>9}{self.stored:>9}"
                f"{self.in_gaps:>9}{self.gaps:>7}  {verdict}")  # fmt: skip


HEADER = f"{'exchange':<12}{'kind':<14}{'sent':>9}{'stored':>9}{'in gaps':>9}{'gaps':>7}"


@dataclass
class Run:
    """One run: what came out of each adapter, beside its fake."""

    fakes: dict[str, FakeExchange]
    adapters: dict[str, LiveExchange]
    heard: dict[str, list[Event]] = field(default_factory=dict)
    failed: dict[str, BaseException] = field(default_factory=dict)
    #: By exchange, on its clock.
    start_ms: dict[str, int] = field(default_factory=dict)
    end_ms: dict[str, int] = field(default_factory=dict)

    def venue(self, name: str) -> FakeVenue:
        """Return an exchange's fake."""
        return self.fakes[name].venues[name]

    def parities(self) -> list[Parity]:
        """Return the table."""
        return [
            check(
                self.venue(name), self.heard[name], self.start_ms[name], self.end_ms[name]
            )
            for name in self.fakes
            for check in (trades_and_bars, liquidations)
        ]

    async def listen(self, name: str) -> None:
        """Keep what an adapter gives, until cancelled."""
        adapter, rows = self.adapters[name], self.heard.setdefault(name, [])
        self.start_ms[name] = self.fakes[name].now_ms()
        try:
            listed = {one.name for one in await adapter.fetch_instruments()}
            wanted = [one for one in self.venue(name).instruments() if one in listed]
            async for event in adapter.stream(wanted, self.start_ms[name]):
                if not isinstance(event, Bar) or event.closed:
                    rows.append(event)
        except Exception as error:
            self.failed[name] = error

    async def pump(self) -> None:
        """Let all fakes send what has happened."""
        for fake in self.fakes.values():
            await fake.pump()

    @property
    def dark(self) -> bool:
        """Whether nothing at all can be heard now."""
        return all(fake.fault(name) == "down" for name, fake in self.fakes.items())


async def play(
    scenarios: dict[str, Scenario], seconds: float, market: Market, *,
    step_ms: int = 250, calm_s: float = 240.0,
) -> Run:  # fmt: skip
    """Run adapters against their fakes on a virtual clock, each in a scenario of its own.

    After ``seconds`` the market goes on for ``calm_s``, so that holes are repaired; rows of
    that time do not count.
    """
    random.seed(market.seed)  # the waits before reconnecting
    time = VirtualTime(T0 + 17_300)
    run = Run({}, {})
    for name, scenario in scenarios.items():
        fake = run.fakes[name] = FakeExchange([name], market, scenario, time, time.sleep)
        base, adapter = await fake.start(), fake.venues[name].adapter
        run.adapters[name] = adapter(adapter.urls_at(base), clock_ms=time, sleep=time.sleep)
    tasks = [asyncio.create_task(run.listen(name)) for name in scenarios]

    def step() -> int:
        # Nothing can be told while all is down, so there is no need to look closely.
        return 10 * step_ms if run.dark else step_ms

    end = time() + round(seconds * 1000)
    await time.run(end, step, run.pump)
    run.end_ms = {name: fake.now_ms() for name, fake in run.fakes.items()}
    await time.run(end + round(calm_s * 1000), step, run.pump)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for name, adapter in run.adapters.items():
        await adapter.close()
        await run.fakes[name].stop()
    return run


# -- checks --------------------------------------------------------------------------------


def gaps_of(heard: list[Event], kind: str) -> dict[str, list[Gap]]:
    """Return the gaps of a kind by instrument."""
    out: dict[str, list[Gap]] = {}
    for event in heard:
        if isinstance(event, Gap) and event.kind == kind:
            out.setdefault(event.instrument, []).append(event)
    return out


def _within(gaps: list[Gap], at_ms: int) -> bool:
    return any(gap.event_ms <= at_ms < gap.end_ms for gap in gaps)


def liquidations(
    venue: FakeVenue, heard: list[Event], start_ms: int, end_ms: int
) -> Parity:
    """Hold liquidations against each other: all sent were stored, once, or are in a gap."""

    def key(one: Liquidation) -> tuple:
        return one.instrument, one.event_ms, one.position_side, f"{one.qty:.6g}"

    def counted(events: list[Event]) -> Counter:
        return Counter(
            key(one) for one in events
            if isinstance(one, Liquidation) and start_ms <= one.event_ms < end_ms
        )  # fmt: skip

    sent, stored = counted(venue.sent), counted(heard)
    gaps = gaps_of(heard, "liquidations")
    out = Parity(venue.name, "liquidations", sent.total(), stored.total())
    out.gaps = sum(map(len, gaps.values()))
    out.faults += [f"stored, never sent: {one}" for one in (stored - sent)]
    for one in (sent - stored).elements():
        if _within(gaps.get(one[0], []), one[1]):
            out.in_gaps += 1
        else:
            out.faults.append(f"lost outside of any gap: {one}")
    return out


def trades_and_bars(
    venue: FakeVenue, heard: list[Event], start_ms: int, end_ms: int
) -> Parity:
    """Hold closed bars against the trades sent: each minute once and equal, or in a gap."""
    gaps = gaps_of(heard, "bars")
    out = Parity(venue.name, "bars", gaps=sum(map(len, gaps.values())))
    closed = [one for one in heard if isinstance(one, Bar) and one.closed]
    first = start_ms - start_ms % MINUTE_MS
    for symbol in venue.listed:
        name = f"{venue.name}:{symbol}"
        mine = [one for one in closed if one.instrument == name]
        times = [one.event_ms for one in mine]
        if times != sorted(set(times)):
            out.faults.append(f"{name}: bars twice or out of order")
        by_start = {one.event_ms: one for one in mine}
        for bar in venue.bars_of(symbol, first, end_ms - MINUTE_MS):
            out.sent += 1
            got = by_start.get(bar.event_ms)
            in_gap = _within(gaps.get(name, []), bar.event_ms)
            unlike = (
                differences(name, bar, got, symbol in venue.contract_usd) if got else []
            )
            if in_gap and (unlike or got is None):
                out.in_gaps += 1
            elif got is not None:
                out.stored += 1
                out.faults += unlike
            else:
                out.faults.append(f"{name}: no bar and no gap at {bar.event_ms}")
    return out


def differences(name: str, sent: Bar, got: Bar, inverse: bool) -> list[str]:
    """Return what of a bar differs, in words."""
    # An inverse bar from REST has its quantity at the close, a built one at each trade.
    slack = 0.02 if inverse else 1e-9
    out = []
    for what in ("open", "high", "low", "close", "qty", "taker_buy_qty"):
        a, b = getattr(sent, what), getattr(got, what)
        if b is None and what == "taker_buy_qty":
            continue  # REST of most exchanges does not say
        rel = slack if "qty" in what else 1e-12
        if not math.isclose(a, b, rel_tol=rel, abs_tol=1e-9):
            out.append(f"{name} {sent.event_ms} {what}: sent {a}, stored {b}")
    return out


def readings_faults(venue: FakeVenue, heard: list[Event]) -> list[str]:
    """Return marks and open interest which were never told so."""
    out = []
    for one in heard:
        if not isinstance(one, MarkPrice | OpenInterest):
            continue
        symbol = one.instrument.split(":", 1)[1]
        coin = venue.listed[symbol]
        market, at, step = venue.market, one.event_ms, venue.market.readings_ms
        # Where readings carry no time: any which was told about then.
        times = [at] if not venue.timeless_ms else range(
            (at - venue.timeless_ms) // step * step, at + venue.timeless_ms, step
        )  # fmt: skip
        if isinstance(one, MarkPrice):
            good = any(math.isclose(one.mark_price, market.mark(coin, t)) for t in times)
        else:
            slack = 0.03 if symbol in venue.contract_usd else 1e-9
            good = any(
                math.isclose(
                    one.open_interest_qty, market.open_interest(coin, t), rel_tol=slack
                )
                for t in times
            )
        if not good:
            out.append(f"never so: {one}")
    return out


def trades_sent(venue: FakeVenue, start_ms: int, end_ms: int) -> int:
    """Return how many trades were published in a stretch of time."""
    return sum(
        isinstance(one, Trade) and start_ms <= one.event_ms < end_ms for one in venue.sent
    )
