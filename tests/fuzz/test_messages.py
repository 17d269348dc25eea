"""Messages of exchanges, spoilt in a million ways: an event, or one clear error; never more.

A short run belongs to the tests; ``LIQHEAT_FUZZ_FRAMES=1000000`` makes it as long as wished.
"""

from __future__ import annotations

import math
import os
import random
import re

import msgspec
import pytest

from liqheat.errors import ExchangeError
from liqheat.exchanges._wire import BadFrameError
from liqheat.market.events import Event
from tests.unit import test_binance, test_deribit, test_gate, test_okx

ROUNDS = int(os.environ.get("LIQHEAT_FUZZ_FRAMES", "4000"))
TIMES_MS = (1_230_940_800_000, 4_102_444_800_000)
VALUES = re.compile(rb'"[^"]*"|-?\d+(\.\d+)?|true|false|null')
WORDS = [
    b"null", b"-1", b"0", b"1e999", b'"NaN"', b'""', b"[]", b"{}", b"true", b"9" * 40,
    b'"\\ud800"', b"\xff", b"1e-320", b"[" * 40, b'"x"', b"4102444800001", b"1790000040",
]  # fmt: skip


def _binance() -> tuple[object, str, list[object]]:
    of = test_binance
    mark = {"e": "markPriceUpdate", "E": of.NOW, "s": "BTCUSDT", "p": "1", "i": "2",
            "r": "0.0001", "T": of.NOW + 1}  # fmt: skip
    coin = of.forced(s="BTCUSD_PERP", st=2)
    return of, "market", [of.trade(1), of.trade(1, s="BTCUSD_PERP"), of.forced(), coin,
                          {"data": mark}, {"result": None, "id": 1}]  # fmt: skip


def _okx() -> tuple[object, str, list[object]]:
    of = test_okx
    at = {"instId": "BTC-USDT-SWAP", "ts": str(of.NOW)}
    return of, "public", [
        of.push("trades", of.trade(1), of.trade(2, instId="BTC-USD-SWAP")), of.SUBSCRIBED,
        of.forced({}, {"posSide": "net"}), of.push("mark-price", {**at, "markPx": "6"}),
        of.push("open-interest", {**at, "oiCcy": "6"}),
        of.push("funding-rate", {**at, "fundingRate": "0.1", "fundingTime": str(of.NOW)}),
    ]  # fmt: skip


def _gate() -> tuple[object, str, list[object]]:
    of = test_gate
    ticker = {"contract": "BTC_USDT", "mark_price": "64000", "index_price": "64001",
              "total_size": "658216984", "funding_rate": "0.0001",
              "funding_next_apply": of.NOW // 1000, "t": of.NOW}  # fmt: skip
    return of, "usdt", [
        of.trades(of.trade(1), of.trade(2, contract="BTC_USD")), of.push("tickers", ticker),
        of.dead(of.forced(), of.forced(size="-3")),
    ]  # fmt: skip


def _deribit() -> tuple[object, str, list[object]]:
    of = test_deribit
    ticker = {"timestamp": of.NOW, "instrument_name": "BTC-PERPETUAL", "index_price": 5.0,
              "mark_price": 5.0, "open_interest": 1e9}  # fmt: skip
    beat = {"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "test_request"}}
    return of, "public", [
        of.trades(of.trade(1, liquidation="T"), of.trade(2)), beat,
        of.push("ticker.BTC-PERPETUAL.100ms", ticker),
    ]  # fmt: skip


def spoilt(rng: random.Random, frame: bytes) -> bytes:
    """Return a frame with one to three things wrong with it."""
    out = bytearray(frame)
    for _ in range(rng.randint(1, 3)):
        at, kind = rng.randrange(len(out) + 1), rng.randrange(6)
        if kind == 0:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del out[at : at + rng.randint(1, 20)]
        elif kind == 2:
            out[at:at] = out[rng.randrange(len(out) + 1) :][: rng.randint(1, 30)]
        elif kind == 3:
            out[at : at + rng.randint(0, 8)] = rng.choice(WORDS)
        elif kind == 4:
            # The likeliest to be read: another value in the place of one.
            spans = [found.span() for found in VALUES.finditer(bytes(out))]
            if spans:
                start, end = rng.choice(spans)
                out[start:end] = rng.choice(WORDS)
        else:
            del out[at:]
    return bytes(out)


def check(event: Event, frame: bytes) -> None:
    """Hold an event to what the store and the engine rely on."""
    assert TIMES_MS[0] <= event.event_ms <= TIMES_MS[1], frame
    for name, value in msgspec.structs.asdict(event).items():
        if isinstance(value, float):
            assert math.isfinite(value), frame
            assert value >= 0 or name == "funding_rate", frame
            assert value > 0 or name not in ("price", "mark_price", "index_price"), frame


@pytest.mark.parametrize("messages", [_binance, _okx, _gate, _deribit])
def test_a_spoilt_frame_is_an_event_or_one_clear_error(messages) -> None:
    of, label, whole = messages()
    exchange, _ = of.made()
    frames, rng = [msgspec.json.encode(each) for each in whole], random.Random(7)
    events, words = 0, list[str]()
    for _ in range(ROUNDS):
        frame = spoilt(rng, rng.choice(frames))
        try:
            for event in exchange.decode(label, frame, of.NOW):
                check(event, frame)
                events += 1
        except (BadFrameError, ExchangeError) as error:
            words.append(str(error))
    assert events > 0
    assert words
    assert all(text.isprintable() and len(text) < 2_000 for text in words)
