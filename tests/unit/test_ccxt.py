"""Any other exchange through ccxt: a stand-in client, and the real one where it is installed."""

import asyncio
import contextlib
import importlib.util
import sys
from types import SimpleNamespace

import pytest

from liqheat.cli import main
from liqheat.config import load_config
from liqheat.errors import ConfigError, ExchangeError, UnknownInstrumentError
from liqheat.exchanges._wire import BadFrameError
from liqheat.exchanges.base import Exchange
from liqheat.exchanges.ccxt_ import Ccxt
from liqheat.market.events import Bar, FundingRate, Gap, OpenInterest
from liqheat.serve.sources import open_collecting
from liqheat.serve.venues import probe

NOW = 1_790_035_230_000
MINUTE = 60_000
NAME = "ccxt_kucoin:BTC/USDT:USDT"


class Client:
    """What is used of ``ccxt.async_support``'s clients; volumes are contracts of 0.001."""

    def __init__(self, unit: float = 0.001) -> None:
        self.unit, self.hole, self.closed = unit, 0, False
        self.interest = {"openInterestAmount": 5e6, "openInterestValue": 5e3 * 64_000}

    async def load_markets(self) -> dict:
        def market(symbol: str, **more: object) -> dict:
            return {
                "symbol": symbol, "base": "BTC", "quote": "USDT", "swap": True,
                "active": True, "inverse": False, "contractSize": 0.001,
                "precision": {"price": 0.1, "amount": 1.0},
                "limits": {"leverage": {"max": 125}}, **more,
            }  # fmt: skip

        rows = [
            market("BTC/USDT:USDT"), market("BTC/USDT", swap=False),
            market("PEPE/USDT:USDT", base="PEPE"), market("OLD", active=False),
        ]  # fmt: skip
        return {row["symbol"]: row for row in rows}

    async def fetch_ohlcv(self, symbol, step, since=None, limit=None) -> list:
        if step == "1h":
            return [[NOW, 2, 4, 1, 3, 100.0 / self.unit] for _ in range(24)]
        first = max(-(-since // MINUTE) * MINUTE, self.hole)
        starts = range(first, NOW, MINUTE)[:limit]
        return [[at, 2.0, 4.0, 1.0, 3.0, 7.0 / self.unit] for at in starts]

    async def fetch_ticker(self, symbol) -> dict:
        return {"last": 64_000.0, "baseVolume": 2_400.0}

    async def fetch_open_interest(self, symbol) -> dict:
        return {"timestamp": NOW, **self.interest}

    async def fetch_funding_rate_history(self, symbol, since, limit) -> list:
        hour = NOW // 3_600_000 * 3_600_000
        return [{"timestamp": hour, "fundingRate": 0.0001}] if since <= hour else []

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def exchange(client) -> Ccxt:
    exchange = Ccxt("kucoin", coins=("BTC",), clock_ms=lambda: NOW, client=client)
    asyncio.run(exchange.fetch_instruments())
    return exchange


def test_it_is_an_exchange_and_is_labelled(exchange, client):
    assert isinstance(exchange, Exchange)
    (one,) = asyncio.run(exchange.fetch_instruments())
    assert one.name == NAME
    assert "assumed" in one.tiers_source
    assert exchange.coverage.liquidations is None
    asyncio.run(exchange.close())
    assert client.closed


@pytest.mark.parametrize("unit", [0.001, 1.0])
def test_volume_in_contracts_or_base_units_is_told_apart(unit):
    exchange = Ccxt("kucoin", coins=("BTC",), clock_ms=lambda: NOW, client=Client(unit))
    asyncio.run(exchange.fetch_instruments())
    start = NOW // MINUTE * MINUTE - 1_200 * MINUTE
    table = asyncio.run(exchange.fetch_history(NAME, "bars", start, NOW))
    assert table.num_rows == 1_200
    assert table["qty"].to_pylist() == pytest.approx([7.0] * 1_200)
    assert set(table["source"].to_pylist()) == {"ccxt_kucoin"}


def test_a_volume_which_fits_no_unit_is_refused():
    exchange = Ccxt("kucoin", coins=("BTC",), clock_ms=lambda: NOW, client=Client(0.5))
    asyncio.run(exchange.fetch_instruments())
    with pytest.raises(ExchangeError, match=r"ccxt_kucoin: volume .* fits no unit"):
        asyncio.run(exchange.fetch_history(NAME, "bars", NOW - 9 * MINUTE, NOW))


def first_round(exchange: Ccxt, start: int) -> list:
    async def run() -> list:
        async def stop(seconds: float) -> None:
            raise asyncio.CancelledError

        exchange._sleep = stop
        heard = []
        try:
            async for event in exchange.stream([NAME], start):
                heard.append(event)
        except asyncio.CancelledError:
            pass
        return heard

    return asyncio.run(run())


def test_stream_gives_bars_interest_and_funding(exchange):
    start = NOW // MINUTE * MINUTE - 3 * MINUTE
    heard = first_round(exchange, start)
    bars = [one for one in heard if isinstance(one, Bar)]
    assert [one.event_ms for one in bars] == [start, start + MINUTE, start + 2 * MINUTE]
    (interest,) = [one for one in heard if isinstance(one, OpenInterest)]
    assert interest.open_interest_qty == pytest.approx(5_000.0)
    (rate,) = [one for one in heard if isinstance(one, FundingRate)]
    assert (rate.funding_rate, rate.event_ms) == (0.0001, NOW // 3_600_000 * 3_600_000)
    assert not [one for one in heard if isinstance(one, Gap)]


def test_a_hole_at_the_start_is_told_before_the_bars(exchange, client):
    start = NOW // MINUTE * MINUTE - 10 * MINUTE
    client.hole = start + 5 * MINUTE
    heard = first_round(exchange, start)
    assert heard[0] == Gap(NAME, start, client.hole, "bars", "the exchange has none")


def test_open_interest_without_its_unit_is_not_guessed(exchange, client):
    client.interest["openInterestValue"] = None
    heard = first_round(exchange, NOW - 5 * MINUTE)
    assert not [one for one in heard if isinstance(one, OpenInterest)]
    assert exchange.counters["poll_errors"] == 1


def test_other_kinds_and_unknown_instruments(exchange):
    for kind in ("mark", "liquidations", "open_interest"):
        assert asyncio.run(exchange.fetch_history(NAME, kind, 0, NOW)) is None
    with pytest.raises(UnknownInstrumentError):
        asyncio.run(exchange.fetch_history("ccxt_kucoin:X", "bars", 0, NOW))


def test_a_row_which_is_no_bar_is_refused(exchange, client):
    async def wrong(symbol, step, since=None, limit=None) -> list:
        return [[NOW, 2, 1, 4, 3, 1.0]]

    asyncio.run(exchange._unit(NAME))
    client.fetch_ohlcv = wrong
    with pytest.raises(BadFrameError, match="no bar"):
        asyncio.run(exchange.fetch_history(NAME, "bars", NOW - MINUTE, NOW))


@pytest.mark.parametrize("name", ["bybit", "binanceusdm", "gateio"])
def test_exchanges_of_our_own_are_not_taken_through_ccxt(name):
    with pytest.raises(ConfigError, match="which knows more of it"):
        Ccxt(name, client=Client())


def test_ccxt_not_installed_is_one_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "ccxt.async_support", None)
    with pytest.raises(ConfigError, match=r"needs ccxt: pip install 'liqheat\[ccxt\]'"):
        Ccxt("kucoin")


@pytest.fixture
def stand_in(monkeypatch, client):
    module = SimpleNamespace(exchanges=["kucoin"], kucoin=lambda options: client)
    monkeypatch.setitem(sys.modules, "ccxt.async_support", module)


@pytest.mark.parametrize("written", ["ccxt:kucoin", "ccxt_kucoin"])
def test_settings_open_an_exchange_through_ccxt(stand_in, tmp_path, written):
    config = load_config(
        {"exchanges": f"okx,{written}", "coins": "BTC", "data_dir": str(tmp_path)},
        environ={},
    )
    assert config.exchanges == ("okx", "ccxt_kucoin")
    with contextlib.ExitStack() as stack:
        feed = open_collecting(config, stack)
        exchange = feed.sources["ccxt_kucoin"].exchange
        assert isinstance(exchange, Ccxt)
        [one] = asyncio.run(exchange.fetch_instruments())
        assert one.name == NAME


def test_doctor_asks_an_exchange_through_ccxt(stand_in, tmp_path):
    config = load_config(
        {"exchanges": "ccxt:kucoin", "coins": "BTC", "data_dir": str(tmp_path)}, environ={}
    )
    [row] = probe(config, [])
    assert (row.exchange, row.detail) == ("ccxt_kucoin", "1 instruments of BTC")


@pytest.mark.parametrize(
    ("name", "words"),
    [("ccxt:kucoin", "needs ccxt: pip install 'liqheat[ccxt]'"),
     ("ccxt:", "there is no 'ccxt_'"), ("ccxt:bybit", "use 'bybit', which knows more of it")],
)  # fmt: skip
def test_what_ccxt_cannot_give_is_one_line(monkeypatch, capsys, tmp_path, name, words):
    monkeypatch.setitem(sys.modules, "ccxt.async_support", None)
    monkeypatch.setenv("LIQHEAT_DATA_DIR", str(tmp_path))
    given = ["collect", "--exchanges", name]
    monkeypatch.setattr(sys, "argv", ["liqheat", *given])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == ConfigError.exit_code
    [line] = capsys.readouterr().err.strip().splitlines()
    assert words in line


def test_an_unknown_exchange_of_ccxt_says_the_nearest(stand_in):
    with pytest.raises(ConfigError, match="no exchange 'kukoin'; did you mean kucoin"):
        Ccxt("kukoin")


@pytest.mark.skipif(
    importlib.util.find_spec("ccxt") is None, reason="ccxt is not installed"
)
def test_the_real_ccxt_knows_kucoin():
    exchange = Ccxt("krakenfutures")
    asyncio.run(exchange.close())
    with pytest.raises(ConfigError, match="has no exchange"):
        Ccxt("nowhere")
