"""Damaged frames of every exchange: refused as such, or events which can be; never a zero.

Each frame of the fakes is damaged at random: bytes, tokens, structure. ``make fuzz`` tries a
million over all exchanges.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liqheat.errors import ExchangeError
from liqheat.exchanges._stream import Stream
from liqheat.exchanges.live import BadFrameError, LiveExchange
from liqheat.exchanges.transport import SocketStats
from liqheat.market.events import Bar, Event, Liquidation, MarkPrice, OpenInterest, Trade
from tests.fake_exchange.market import Market
from tests.fake_exchange.parity import T0
from tests.fake_exchange.scenario import SCENARIOS
from tests.fake_exchange.server import FakeExchange, VirtualTime, venue_types

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0.7"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
VENUES = list(venue_types())
#: A million over all exchanges in the three minutes of ``make fuzz``.
FRAMES = math.ceil(1_000_000 * SECONDS / 180 / len(VENUES))

TOKENS = (
    b"null", b"true", b"0", b"-0", b"-1", b'""', b'"0"', b'"-1"', b'"NaN"', b"NaN", b'"inf"',
    b"1e400", b'"1e400"', b"-1e308", b"1e-320", b"[]", b"{}", b'"x"', b"99999999999999999999",
    b"9" * 60, b'"\\ud800"', b"1700000000", b"253402300800000", b'"buy"', b'" 1"', b'"1_0"',
)  # fmt: skip
TOKEN = re.compile(rb'"[^"]*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null')


@dataclass
class Subject:
    """An adapter which knows its instruments, and frames it understands."""

    exchange: LiveExchange
    stream: Stream
    frames: list[tuple[str, bytes]]


def subject(name: str) -> Subject:
    """Return an adapter with two minutes of its fake's frames, each with its label."""

    async def make() -> Subject:
        time = VirtualTime(T0 + 120_000)
        market = Market(coins=("BTC", "DOGE"), trades_per_s=0.3, readings_ms=10_000)
        fake = FakeExchange([name], market, SCENARIOS["normal"], time, time.sleep)
        venue = fake.venues[name]
        exchange = venue.adapter(
            venue.adapter.urls_at(await fake.start()), clock_ms=time, sleep=time.sleep
        )
        listed = [one.name for one in await exchange.fetch_instruments()]
        names = tuple(one for one in venue.instruments() if one in listed)
        labels = [one.label for one in exchange.sockets(names)]
        texts = [
            text.encode()
            for tick in market.ticks(T0, T0 + 120_000)
            for _, text in venue.frames_for(tick)
        ]
        texts += [text.encode() for _, text in venue.frames_at(T0 + 120_000)]
        frames = [(label_of(exchange, labels, text), text) for text in texts]
        stream = Stream(exchange, names, T0)
        exchange.stats = {label: SocketStats(label) for label in labels}
        await exchange.close()
        await fake.stop()
        return Subject(exchange, stream, frames)

    return asyncio.run(make())


def label_of(exchange: LiveExchange, labels: list[str], text: bytes) -> str:
    for label in labels:
        try:
            if list(exchange.decode(label, text, T0)):
                return label
        except (BadFrameError, ExchangeError):
            continue
    return labels[0]


@pytest.fixture(scope="module", params=VENUES)
def live(request: pytest.FixtureRequest) -> Iterator[Subject]:
    log = logging.getLogger("liqheat.exchanges")
    log.setLevel(logging.CRITICAL)
    yield subject(request.param)
    log.setLevel(logging.NOTSET)


def damaged(frame: bytes, others: list[tuple[str, bytes]], rng: random.Random) -> bytes:
    """Return a copy which is wrong in one to three ways."""
    for _ in range(rng.randrange(1, 4)):
        n = len(frame)
        at = rng.randrange(n) if n else 0
        match rng.randrange(8):
            case 0:
                frame = frame[:at]
            case 1:
                frame = frame[:at] + bytes([rng.randrange(256)]) + frame[at + 1 :]
            case 2:
                end = at + rng.randrange(1, 20)
                frame = frame[:at] + frame[end:]
            case 3:
                frame = frame[:at] + frame[at : at + rng.randrange(1, 60)] * 2 + frame[at:]
            case 4:
                other = rng.choice(others)[1]
                frame = frame[:at] + other[rng.randrange(len(other)) :]
            case _:
                found = list(TOKEN.finditer(frame))
                if found:
                    token = rng.choice(found)
                    frame = (
                        frame[: token.start()] + rng.choice(TOKENS) + frame[token.end() :]
                    )
    return frame


def check(events: list[Event]) -> None:
    """Hold what no event may be."""
    for event in events:
        assert type(event.instrument) is str
        assert type(event.event_ms) is int
        for name in event.__struct_fields__:
            value = getattr(event, name)
            assert not isinstance(value, float) or math.isfinite(value), event
        if isinstance(event, Trade | Liquidation):
            assert event.price > 0, event
            assert event.qty > 0, event
        if isinstance(event, Liquidation):
            assert event.notional_usd > 0, event
            assert event.position_side in ("long", "short")
        if isinstance(event, MarkPrice):
            assert event.mark_price > 0, event
        if isinstance(event, OpenInterest):
            assert event.open_interest_qty >= 0, event


def feed(live: Subject, label: str, frame: bytes) -> bool:
    """Give a frame to the adapter and the stream; return whether it was refused."""
    try:
        events = list(live.exchange.decode(label, frame, T0 + 120_000))
    except (BadFrameError, ExchangeError):
        return True
    check(events)
    stats = live.exchange.stats[label]
    for event in events:
        live.stream.take(event, T0 + 120_000, stats)
    return False


def test_whole_frames_are_understood(live):
    assert len(live.frames) > 50
    kinds = set()
    for label, frame in live.frames:
        try:
            kinds |= {type(event) for event in live.exchange.decode(label, frame, T0)}
        except BadFrameError as error:
            raise AssertionError(frame) from error
    assert len(kinds) >= 1


def test_damaged_frames_never_become_anything_else(live):
    rng = random.Random(SEED)
    refused = 0
    for number in range(FRAMES):
        label, whole = rng.choice(live.frames)
        frame = damaged(whole, live.frames, rng)
        try:
            refused += feed(live, label, frame)
        except Exception as error:
            msg = f"{live.exchange.name} {label}, number {number} of seed {SEED}: {frame!r}"
            raise AssertionError(msg) from error
    print(f"\n{live.exchange.name}: {FRAMES} damaged frames, {refused} refused")
    assert 0 < refused <= FRAMES
    for builder in live.stream.builders.values():
        bars = [builder.close() for _ in range(4)]
        check_bars([bar for bar in bars if bar is not None])


def check_bars(bars: list[Bar]) -> None:
    for bar in bars:
        assert 0 < bar.low <= min(bar.open, bar.close), bar
        assert max(bar.open, bar.close) <= bar.high < math.inf, bar
        assert 0 <= bar.qty < math.inf, bar


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.binary(max_size=200) | JSON.map(msgspec.json.encode))
def test_no_bytes_at_all_end_a_stream(live, data):
    for label in live.exchange.stats:
        feed(live, label, data)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_replaced_values_are_refused_or_possible(live, data):
    label, whole = data.draw(st.sampled_from(live.frames[:200]))
    message = msgspec.json.decode(whole)
    replace_one(message, data)
    feed(live, label, msgspec.json.encode(message))


def replace_one(node: object, data: st.DataObject) -> None:
    """Put any JSON in place of one value of a message, at any depth."""
    while isinstance(node, dict | list) and node:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        inner = node[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            node[key] = data.draw(JSON)
            return
        node = inner
