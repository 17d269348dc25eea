"""Walking forward: what is learnt, when, and why it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from liqheat.engine import learn as learning
from liqheat.engine.heatmap import HeatmapParams
from liqheat.engine.learn import gather, learn, learn_day, learn_together
from liqheat.engine.sweeps import swept
from liqheat.engine.throttle import corrected, curve, throttle
from liqheat.errors import BadInputError
from liqheat.market.events import Bars, Liquidations
from liqheat.market.instrument import instrument
from tests.market import DAY, T0, market

BTC = instrument("simulated:BTCUSDT")
DAYS = 12


def events_of(bars: Bars, share: float = 0.1, seed: int = 1) -> Liquidations:
    """Return liquidations drawn from what the zones map says is swept."""
    rng = np.random.default_rng(seed)
    qty = swept(bars, BTC, HeatmapParams("zones")) / bars.close[:, None] * share
    count = rng.poisson(rng.gamma(2.0, qty / 2.0))
    rows, sides = np.nonzero(count)
    times = count[rows, sides]
    rows, sides = np.repeat(rows, times), np.repeat(sides, times)
    size = rng.exponential(1.0, len(rows)) + 1e-6
    return Liquidations.from_columns(
        {"event_ms": bars.start_ms[rows] + rng.integers(0, 60_000, len(rows)),
         "is_long": sides == 0, "qty": size, "notional_usd": size * bars.close[rows]},
        completeness="full", bars=bars,
    )  # fmt: skip


BARS = market(DAYS * 1440)
EVENTS = events_of(BARS)


def test_a_scale_is_learnt_first_and_a_shape_when_there_is_enough() -> None:
    weights = learn(BARS, BTC, EVENTS)
    assert [each.as_of_ms for each in weights] == [T0 + d * DAY for d in range(4, DAYS + 1)]
    assert weights[0].method == "scaled"
    assert "teach the scale only" in weights[0].note
    assert weights[-1].method == "fitted"
    assert weights[-1].note == ""
    assert weights[-1].data_start_ms >= T0 + 3 * DAY
    paid = swept(BARS, BTC, HeatmapParams("calibrated"), weights=weights)[-3 * 1440 :].sum()
    late = EVENTS.event_ms >= T0 + (DAYS - 3) * DAY
    assert EVENTS.notional_usd[late].sum() / paid == pytest.approx(1, abs=0.25)


def test_nothing_later_is_used() -> None:
    n = 9 * 1440 + 77
    early = EVENTS[: int(np.searchsorted(EVENTS.event_ms, T0 + n * 60_000))]
    whole = learn(BARS, BTC, EVENTS)
    assert learn(BARS[:n], BTC, early) == whole[: len(learn(BARS[:n], BTC, EVENTS))]
    assert learn(BARS[:n], BTC, EVENTS) == learn(BARS[:n], BTC, early)


@pytest.mark.parametrize("feed", ["sampled_1s", "lower_bound", "unknown"])
def test_a_feed_which_is_not_full_teaches_the_scale_only(feed: str) -> None:
    partial = replace(EVENTS, completeness=feed)
    weights = learn(BARS, BTC, partial)
    assert {each.method for each in weights} <= {"scaled", "prior"}
    assert all(np.ptp(each.log_gain) == 0 for each in weights)
    assert feed in weights[-1].note
    assert (weights[-1].feed_share < 1) == (feed == "sampled_1s")


def test_three_days_of_history_teach_nothing() -> None:
    assert learn(BARS[: 3 * 1440], BTC, EVENTS) == []


def test_a_feed_with_no_event_teaches_nothing() -> None:
    assert learn(BARS, BTC, EVENTS[:0]) == []
    assert learn(BARS, BTC, EVENTS[:0], covered=[(T0, T0 + DAYS * DAY)]) == []


def test_only_what_was_covered_counts() -> None:
    half = gather(BARS, BTC, EVENTS, [(T0 + 5 * DAY, T0 + 6 * DAY)])
    assert half.usable.sum() == 96
    assert half.start_ms[half.usable].min() == T0 + 5 * DAY


def test_a_block_with_a_hole_or_after_one_does_not_count() -> None:
    keep = np.ones(len(BARS), bool)
    keep[7 * 1440 + 3 : 7 * 1440 + 40] = False
    names = [n for n in BARS.__dataclass_fields__ if n != "interval_ms"]
    broken = replace(BARS, **{n: getattr(BARS, n)[keep] for n in names})
    whole, holed = gather(BARS, BTC, EVENTS), gather(broken, BTC, EVENTS)
    lost = set(whole.start_ms[whole.usable]) - set(holed.start_ms[holed.usable])
    assert sorted(lost) == [T0 + 7 * DAY + i * 900_000 for i in range(3)]


def test_collapsed_weights_keep_the_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "LEAST_COMPONENTS", 49.0)
    weights = learn_day(gather(BARS, BTC, EVENTS), T0 + DAYS * DAY)
    assert weights is not None
    assert weights.method == "scaled"
    assert "collapsed" in weights.note


def test_a_fit_which_predicts_worse_keeps_the_prior(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learning, "TRIP_NATS", -1e9)
    weights = learn_day(gather(BARS, BTC, EVENTS), T0 + DAYS * DAY)
    assert weights is not None
    assert weights.method == "prior"
    assert "nats worse" in weights.note
    assert "worse than none" in weights.note
    assert not any(weights.log_gain)


def test_instruments_are_learnt_together() -> None:
    evidence = gather(BARS, BTC, EVENTS)
    other = evidence._replace(instrument=instrument("binance:BTCUSDT"))
    small = gather(BARS[: 3 * 1440], BTC, EVENTS)
    found = learn_together([evidence, other, small], T0 + DAYS * DAY)
    assert found[2] is None
    assert found[0] is not None
    assert found[0].note == "together with 1 others"


def test_impossible_liquidations_and_long_bars_are_refused() -> None:
    wrong = replace(EVENTS, notional_usd=EVENTS.notional_usd * 10)
    with pytest.raises(BadInputError, match="more than half away"):
        learn(BARS, BTC, wrong)
    hourly = Bars.from_columns({
        "start_ms": T0 + np.arange(48) * 3_600_000, **{n: np.full(48, 6e4) for n in
        ("open", "high", "low", "close", "qty")},
    })  # fmt: skip
    with pytest.raises(BadInputError, match="at most 15 minutes"):
        learn(hourly, BTC, EVENTS)


def first_minutes(events: Liquidations, minutes: int) -> Liquidations:
    keep = events.event_ms < T0 + minutes * 60_000
    return Liquidations(
        events.event_ms[keep], events.is_long[keep], events.qty[keep],
        events.notional_usd[keep], events.mark_price[keep], events.completeness,
    )  # fmt: skip


def test_throttling_keeps_one_a_second_and_the_curve_restores_the_sum() -> None:
    rng = np.random.default_rng(2)
    bursts = np.repeat(np.sort(rng.integers(0, 5000, 900)), rng.geometric(0.2, 900))
    size = rng.exponential(1.0, len(bursts))
    full = Liquidations.from_columns(
        {"event_ms": T0 + bursts * 1000 + rng.integers(0, 1000, len(bursts)),
         "is_long": rng.random(len(bursts)) < 0.5, "qty": size, "notional_usd": size},
        completeness="full",
    )  # fmt: skip
    largest, last = (throttle(full, c) for c in ("sampled_1s_largest", "sampled_1s"))  # type: ignore[arg-type]
    assert len(largest) == len(last) == len(np.unique(bursts))
    assert largest.notional_usd.sum() > last.notional_usd.sum()
    factor = curve(full, "sampled_1s")
    assert (np.diff(factor) >= 0).all()
    assert factor[0] >= 1
    few = curve(first_minutes(full, 9), "sampled_1s")
    np.testing.assert_array_equal(few, 1.0)  # too few minutes to measure anything
    assert corrected(full, full.qty) is full.qty
    assert corrected(last, last.qty).sum() > 1.5 * last.qty.sum()
    with pytest.raises(BadInputError, match="no sampled feed"):
        throttle(full, "full")
