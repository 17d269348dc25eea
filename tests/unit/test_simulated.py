"""The simulated market: traps which would make its ground truth a lie."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqheat.errors import BadInputError
from liqheat.exchanges import _kernel as k
from liqheat.exchanges._agents import REGIMES, STEP_MS, STEPS_A_DAY, draw_plans
from liqheat.exchanges._kernel import CHANGED, LEFT, LIQUIDATED
from liqheat.exchanges._market import Market
from liqheat.exchanges.simulated import SimulatedExchange
from liqheat.market.events import Bar, Bars, DepthSnapshot
from liqheat.market.instrument import SHIPPED
from liqheat.market.margin import tiered_liquidation_price

MINUTE = 60_000
MIDNIGHT = 1_789_948_800_000
NOW = MIDNIGHT + 86_400_000 + 5 * 3_600_000
LINEAR, INVERSE = "simulated:BTCUSDT", "simulated:BTCUSD"
KINDS = ("bars", "open_interest", "mark", "funding", "liquidations")


def exchange(**given) -> SimulatedExchange:
    return SimulatedExchange(**{"history_days": 1, "now_ms": lambda: NOW} | given)


def fetch(source: SimulatedExchange, kind: str, name: str = LINEAR):
    return asyncio.run(source.fetch_history(name, kind, 0, NOW))


@pytest.fixture(scope="module")
def retail() -> SimulatedExchange:
    return exchange(regime="retail", seed=5)


@pytest.fixture(scope="module")
def market() -> Market:
    made = Market(SHIPPED[LINEAR], REGIMES["retail"], 9, 64_000.0, 7e8)
    made.advance(STEPS_A_DAY // 2)
    return made


def digest(source: SimulatedExchange, name: str) -> str:
    whole = hashlib.sha256()
    for kind in KINDS:
        for column in fetch(source, kind, name).columns:
            for chunk in column.chunks:
                for buffer in chunk.buffers():
                    whole.update(b"" if buffer is None else buffer)
    return whole.hexdigest()


def test_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    def made(seed: int) -> SimulatedExchange:
        return exchange(seed=seed, history_days=0)

    first = made(4)
    assert digest(first, LINEAR) == digest(made(4), LINEAR)
    assert digest(first, LINEAR) != digest(made(5), LINEAR)
    assert digest(first, "simulated:ETHUSDT") != digest(first, LINEAR)


def test_bytes_do_not_depend_on_when_it_is_asked() -> None:
    late, early = exchange(start_ms=MIDNIGHT), exchange(start_ms=MIDNIGHT)
    early._now_ms = lambda: early._origin_ms - 40_000_123
    asyncio.run(early.fetch_history(LINEAR, "bars", 0, NOW))
    early._now_ms = lambda: early._origin_ms
    assert digest(late, LINEAR) == digest(early, LINEAR)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=8))
def test_portions_of_time_do_not_matter(portions: list[int]) -> None:
    one, other = (
        Market(SHIPPED[LINEAR], REGIMES["alt"], 5, 64_000.0, 7e8) for _ in range(2)
    )
    one.advance(sum(portions))
    for last in itertools.accumulate(portions):
        other.advance(last)
    n = one.step
    for name, column in one.records(0, n).items():
        assert (column == other.records(0, n)[name]).all()
    a, b = one.states(), other.states()
    for name in a.__dataclass_fields__:
        assert (getattr(a, name) == getattr(b, name)).all()


def test_positions_sum_to_zero_and_open_interest_is_one_sided(market: Market) -> None:
    every = market.positions()
    alive = every[every.closed < 0]
    longs = int(alive.lots[alive.side > 0].sum())
    shorts = int(alive.lots[alive.side < 0].sum())
    assert (longs, shorts) == (market.long_lots, market.short_lots)
    makers = shorts - longs  # what the market makers hold, net
    long_side, short_side = longs + max(makers, 0), shorts + max(-makers, 0)
    interest = int(market.records(0, market.step)["interest"][-1])
    assert long_side == short_side == interest


def test_open_interest_of_every_step_is_that_of_the_positions(market: Market) -> None:
    states = market.states()
    interest = market.records(0, market.step)["interest"]
    for step in (1, 100, 1000, 7_201, 30_000, market.step):
        alive = states[states.open_at(step)]
        sides = [int(alive.lots[alive.side == side].sum()) for side in (1, -1)]
        assert max(sides) == interest[step - 1]
        assert len(np.unique(alive.number)) == len(alive)


def test_volume_holds_openings_and_closings_alike(market: Market) -> None:
    every = market.positions()
    opened = every.lots[every.opened >= 0].sum()
    grown = every.lots.sum() - market.states(0).lots.sum()
    closed = every.lots[every.closed >= 0].sum()
    records = market.records(0, market.step)
    assert records["traded"].sum() == grown + closed
    assert opened <= grown  # some was added to positions which had been open
    assert (records["bought"] <= records["traded"]).all()


def test_states_of_a_position_follow_each_other(market: Market) -> None:
    states = market.states()
    order = np.lexsort((states.since, states.number))
    states = states[order]
    same = states.number[1:] == states.number[:-1]
    assert (states.since[1:][same] == states.closed[:-1][same]).all()
    assert (states.reason[:-1][same] == CHANGED).all()
    assert (states.reason[:-1][~same] != CHANGED).all()
    assert (np.diff(states.lots)[same] >= 0).all()
    changes = states[states.reason == CHANGED]
    assert (changes.isolated.sum() > 0) & (~changes.isolated).any()
    more = np.diff(states.lots)[same] > 0
    assert 0 < more.sum() < 0.2 * same.sum()


def test_drift_of_cross_accounts_is_as_stated() -> None:
    made = Market(SHIPPED[LINEAR], REGIMES["cross"], 3, 64_000.0, 7e8)
    made.advance(2 * STEPS_A_DAY)
    states = made.states()
    states = states[np.lexsort((states.since, states.number))]
    pair = np.flatnonzero(
        (states.number[1:] == states.number[:-1]) & (np.diff(states.lots) == 0)
    )
    mark = made.records(0, STEPS_A_DAY)["mark"]
    at = states.since[pair + 1]
    pair, at = pair[at > STEPS_A_DAY], at[at > STEPS_A_DAY]
    mark = mark[at - STEPS_A_DAY - 1]
    old, new = (
        np.abs(np.log(states.liquidation_price[i] / mark)) for i in (pair, pair + 1)
    )
    days = (at - np.maximum(states.since[pair], 0)) / STEPS_A_DAY
    ratio = np.log(new / old) / np.sqrt(days)
    # Quartiles, for a top-up moves a few of them much further.
    low, high = np.quantile(ratio[days > 0.2], [0.25, 0.75])
    assert (high - low) / 1.349 == pytest.approx(0.15, rel=0.1)


def test_only_a_mark_beyond_its_price_liquidates(market: Market) -> None:
    every = market.positions()
    marks = np.concatenate(([64_000.0], market.records(0, market.step)["mark"]))
    dead = every[every.reason == LIQUIDATED]
    assert (dead.side > 0).sum() > 5
    assert (dead.side < 0).sum() > 5
    at = marks[dead.closed]
    assert (at[dead.side > 0] <= dead.liquidation_price[dead.side > 0]).all()
    assert (at[dead.side < 0] >= dead.liquidation_price[dead.side < 0]).all()
    fresh = dead[dead.since == dead.opened]
    assert (fresh.side * (fresh.entry_price - fresh.liquidation_price) > 0).all()


def test_nobody_outlives_his_liquidation_price(market: Market) -> None:
    marks = np.concatenate(([64_000.0], market.records(0, market.step)["mark"]))
    fresh = market.states()
    fresh = fresh[fresh.since >= 0]
    for i in range(0, len(fresh), 97):
        end = fresh.closed[i] if fresh.closed[i] >= 0 else market.step
        held = marks[fresh.since[i] + 1 : end]
        if len(held) and fresh.side[i] > 0:
            assert held.min() > fresh.liquidation_price[i]
        elif len(held):
            assert held.max() < fresh.liquidation_price[i]


def test_targets_are_round_for_two_in_five() -> None:
    made = Market(SHIPPED[LINEAR], REGIMES["base"], 3, 64_000.0, 7e8)
    made.advance(3600)
    profit = made._slots["profit"][(made._slots["side"] != 0) & (made._slots["opened"] > 0)]
    profit = profit[profit > 0]
    assert 0.3 < (profit % 10 == 0).mean() < 0.5


@pytest.mark.parametrize("name", [LINEAR, INVERSE])
def test_liquidation_prices_are_those_of_the_margin_rules(name: str) -> None:
    instrument = SHIPPED[name]
    made = Market(instrument, REGIMES["retail"], 2, 64_000.0, 7e10)
    every = made.positions()
    tiers = set()
    for i in range(0, len(every), 61):
        leverage, qty = float(every.leverage[i]), float(every.qty[i])
        expected = tiered_liquidation_price(
            instrument,
            float(every.entry_price[i]),
            leverage,
            qty,
            is_long=every.side[i] > 0,
        )
        assert every.liquidation_price[i] == pytest.approx(expected, rel=1e-12)
        tiers.add(bool(every.notional_usd[i] > instrument.tiers[0].notional_cap))
    assert tiers == {True, False}


def test_plans_are_within_the_rules() -> None:
    instrument = SHIPPED[LINEAR]
    plans = draw_plans(
        REGIMES["base"], instrument, 1e4, np.random.default_rng(1), 20_000, largest_usd=7e6
    )
    leverage, notional, stop = (plans[:, i] for i in (k.LEVERAGE, k.NOTIONAL, k.STOP))
    caps = np.array([tier.notional_cap for tier in instrument.tiers])
    most = np.array([tier.max_leverage for tier in instrument.tiers])
    assert (leverage <= most[np.searchsorted(caps, notional, side="right")]).all()
    assert (stop < 1 / leverage).all()
    assert notional.max() <= 7e6
    # A few hold much of it, and yet nobody holds a bin of the map on his own.
    assert 10 < (notional**2).sum() / notional.sum() / notional.mean() < 30


def test_feed_tells_each_liquidated_position_at_its_mark(retail: SimulatedExchange) -> None:
    feed = fetch(retail, "liquidations")
    every = retail.positions(LINEAR)
    dead = every[(every.reason == LIQUIDATED) & (every.closed * STEP_MS < NOW - MIDNIGHT)]
    whole_days = feed["event_ms"].to_numpy() < NOW - STEP_MS
    told = feed["qty"].to_numpy()[whole_days].sum()
    assert told == pytest.approx(dead.qty.sum(), rel=0.02)
    bars = fetch(retail, "bars")
    starts = bars["start_ms"].to_numpy()
    at = (feed["event_ms"].to_numpy() - starts[0]) // MINUTE
    known = at < len(starts)
    for side, column, sign in (("long", "mark_low", 1), ("short", "mark_high", -1)):
        chosen = known & (np.array(feed["position_side"].to_pylist()) == side)
        extreme = bars[column].to_numpy()[at[chosen]]
        assert (sign * (feed["mark_price"].to_numpy()[chosen] - extreme) >= -0.11).all()
    high, low = (bars[key].to_numpy()[at[known]] for key in ("high", "low"))
    price = feed["price"].to_numpy()[known]
    assert ((price <= high) & (price >= low)).all()


def test_sampled_feed_shows_less_than_the_full_one_and_one_a_second(
    retail: SimulatedExchange,
) -> None:
    full = fetch(retail, "liquidations")
    seen = fetch(
        exchange(regime="retail", seed=5, liquidation_feed="sampled_1s_largest"),
        "liquidations",
    )
    assert 0 < seen.num_rows < full.num_rows
    assert (
        seen["notional_usd"].to_numpy().sum() < 0.8 * full["notional_usd"].to_numpy().sum()
    )
    seconds = seen["event_ms"].to_numpy() // 1000
    assert (np.diff(seconds) > 0).all()
    assert set(seen["completeness"].to_pylist()) == {"sampled_1s_largest"}
    largest = {}
    for at, usd in zip(
        full["event_ms"].to_pylist(), full["notional_usd"].to_pylist(), strict=True
    ):
        largest[at // 1000] = max(largest.get(at // 1000, 0.0), usd)
    assert [largest[at] for at in seconds.tolist()] == seen["notional_usd"].to_pylist()


@pytest.mark.parametrize("name", [LINEAR, "simulated:ETHUSDT", INVERSE])
def test_bars_are_what_the_engine_takes(retail: SimulatedExchange, name: str) -> None:
    table = fetch(retail, "bars", name)
    columns = {key: table[key].to_numpy() for key in table.column_names if key != "source"}
    bars = Bars.from_columns(columns)
    interest = fetch(retail, "open_interest", name)
    bars = bars.with_open_interest(
        interest["event_ms"].to_numpy(), interest["open_interest_qty"].to_numpy()
    )
    for column in ("taker_buy_qty", "mark_high", "mark_low", "open_interest_qty"):
        assert np.isfinite(getattr(bars, column)[:-1]).all()
    assert (bars.open[1:] == bars.close[:-1]).all()
    assert not bars.gaps()
    assert (bars.qty > 0).all()


def test_inverse_quantities_are_whole_contracts_at_the_close(
    retail: SimulatedExchange,
) -> None:
    bars = fetch(retail, "bars", INVERSE)
    contracts = bars["qty"].to_numpy() * bars["close"].to_numpy() / 100.0
    assert np.abs(contracts - np.rint(contracts)).max() < 1e-6
    feed = fetch(retail, "liquidations", INVERSE)
    usd = feed["notional_usd"].to_numpy()
    assert np.abs(usd % 100.0).max() == 0.0
    assert feed["qty"].to_numpy() * feed["price"].to_numpy() == pytest.approx(usd)


def test_two_contracts_on_one_coin_have_one_price(retail: SimulatedExchange) -> None:
    one, two = (
        fetch(retail, "bars", name)["close"].to_numpy() for name in (LINEAR, INVERSE)
    )
    basis = np.abs(np.log(two / one))
    assert 0 < np.median(basis) < 0.001
    assert basis.max() < 0.03
    usd = fetch(retail, "liquidations", INVERSE)["notional_usd"].to_numpy()
    assert (
        usd.sum() != fetch(retail, "liquidations", LINEAR)["notional_usd"].to_numpy().sum()
    )


def test_history_is_the_truth_of_each_moment(retail: SimulatedExchange) -> None:
    edges = 64_000 * np.exp(np.linspace(-0.3, 0.3, 601))
    times = [NOW - 40_000_000, NOW - 3_600_123, NOW]
    longs, shorts = retail.history(LINEAR, edges, times)
    for t, at in enumerate(times):
        truth = retail.truth(LINEAR, edges, at)
        assert longs[t] == pytest.approx(truth.long_usd)
        assert shorts[t] == pytest.approx(truth.short_usd)
        alive = truth.positions
        usd = np.histogram(
            alive.liquidation_price, edges, weights=alive.qty * alive.liquidation_price
        )[0]
        assert longs[t] + shorts[t] == pytest.approx(usd)
    with pytest.raises(BadInputError, match="ascend"):
        retail.history(LINEAR, edges, times[::-1])


def test_a_market_which_forgets_says_so_and_publishes_the_same() -> None:
    forgets, keeps = exchange(remember=False), exchange()
    assert digest(forgets, LINEAR) == digest(keeps, LINEAR)
    with pytest.raises(BadInputError, match="forgets"):
        forgets.truth(LINEAR, np.array([1.0, 2.0]))


def test_truth_counts_the_open_positions_by_side(retail: SimulatedExchange) -> None:
    edges = 64_000 * np.exp(np.linspace(-2, 2, 4001))
    truth = retail.truth(LINEAR, edges, NOW - 3_600_000)
    assert truth.long_usd[edges[1:] > truth.price * 1.01].sum() == 0
    assert truth.short_usd[edges[:-1] < truth.price * 0.99].sum() == 0
    assert (truth.positions.closed[truth.positions.closed >= 0] * STEP_MS).min() >= (
        NOW - 3_600_000 - MIDNIGHT
    )
    longs = truth.positions[truth.positions.side > 0]
    within = (longs.liquidation_price >= edges[0]) & (longs.liquidation_price < edges[-1])
    usd = (longs.qty * longs.liquidation_price)[within].sum()
    assert truth.long_usd.sum() == pytest.approx(usd)


def test_growing_bar_ends_as_the_closed_one() -> None:
    at = [NOW]

    async def sleep(seconds: float) -> None:
        at[0] += int(seconds * 1000)
        await asyncio.sleep(0)

    source = exchange(now_ms=lambda: at[0], sleep=sleep, depth=True)

    async def run() -> tuple[list[Bar], int]:
        bars: list[Bar] = []
        books = 0
        async for event in source.stream([LINEAR], NOW):
            books += isinstance(event, DepthSnapshot)
            if isinstance(event, Bar):
                bars.append(event)
            if at[0] > NOW + 3 * MINUTE:
                return bars, books
        raise AssertionError

    bars, books = asyncio.run(run())
    assert books == 4  # one at the start's own minute end
    for closed in (bar for bar in bars if bar.closed):
        growing = [
            bar for bar in bars if not bar.closed and bar.event_ms == closed.event_ms
        ]
        assert len(growing) == 59
        for early, late in zip(growing, [*growing[1:], closed], strict=True):
            assert early.open == closed.open
            assert early.high <= late.high
            assert early.low >= late.low
            assert early.qty <= late.qty + 1e-9
            assert early.mark_high <= late.mark_high
        assert abs(growing[-1].close / closed.close - 1) < 0.002


def test_market_goes_on_over_midnight_while_streaming() -> None:
    midnight = MIDNIGHT + 86_400_000
    at = [midnight - 90_000]

    async def sleep(seconds: float) -> None:
        at[0] += int(seconds * 1000)
        await asyncio.sleep(0)

    source = exchange(now_ms=lambda: at[0], sleep=sleep)

    async def run() -> list[Bar]:
        bars = []
        async for event in source.stream([LINEAR], at[0]):
            if isinstance(event, Bar):
                bars.append(event)
            if at[0] > midnight + 2 * MINUTE:
                return bars
        raise AssertionError

    bars = asyncio.run(run())
    closed = [bar for bar in bars if bar.closed]
    assert [bar.event_ms - midnight for bar in closed] == [-MINUTE, 0, MINUTE]
    for one, two in itertools.pairwise(bars):
        assert abs(math.log(two.close / one.close)) < 0.01


def test_prices_look_like_a_perp_and_not_like_white_noise(
    retail: SimulatedExchange,
) -> None:
    close = fetch(retail, "bars")["close"].to_numpy()
    moves = np.diff(np.log(close))
    kurtosis = ((moves - moves.mean()) ** 4).mean() / moves.var() ** 2
    sizes = np.abs(moves)
    assert kurtosis > 5
    assert np.corrcoef(sizes[:-1], sizes[1:])[0, 1] > 0.1
    assert 0.01 < moves.std() * 1440**0.5 < 0.15


def test_agents_leave_by_time_too(market: Market) -> None:
    every = market.positions()
    assert (every.reason == LEFT).sum() > (every.reason == LIQUIDATED).sum()


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(BadInputError, match="regime"):
        exchange(regime="bull")
    with pytest.raises(BadInputError, match="speed"):
        exchange(speed=0)
    with pytest.raises(BadInputError, match="simulated:BTCUSDT"):
        asyncio.run(exchange().fetch_history("simulated:DOGE", "bars", 0, NOW))


def test_history_of_the_minute_in_progress_is_empty_not_an_error() -> None:
    # A restart within a minute of the last stored bar asks for exactly this.
    exchange = SimulatedExchange(history_days=1.0, now_ms=lambda: NOW + 30_000)
    table = asyncio.run(
        exchange.fetch_history("simulated:BTCUSDT", "bars", NOW, NOW + 30_000)
    )
    assert table is not None
    assert table.num_rows == 0
