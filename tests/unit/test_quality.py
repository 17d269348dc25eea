"""Odd input is used as the model says, and named in the quality of the map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from liqheat.engine.heatmap import HeatmapParams, Quality, build_heatmap
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from tests.market import market

BTC = instrument("simulated:BTCUSDT")
#: Enough volume that open interest never moves more.
BARS = replace(market(2880), qty=market(2880).qty + 60)


def quality(bars: Bars, model: str = "zones") -> Quality:
    return build_heatmap(bars, BTC, HeatmapParams(model), step_ms=3_600_000).quality  # type: ignore[arg-type]


def said(found: Quality, words: str) -> bool:
    return any(words in note for note in found.notes)


def test_a_good_market_has_nothing_to_say_but_its_age() -> None:
    found = quality(BARS)
    assert found.open_interest_frozen_share == found.open_interest_suspect_share == 0
    assert found.gap_share == found.price_jumps == found.volume_suspect_bars == 0
    assert len(found.notes) == 1


def test_open_interest_missing_for_hours() -> None:
    interest = BARS.open_interest_qty.copy()
    interest[600:1000] = np.nan
    found = quality(replace(BARS, open_interest_qty=interest))
    assert found.open_interest_share == pytest.approx(1 - 400 / 2880)
    none = quality(replace(BARS, open_interest_qty=np.full(2880, np.nan)))
    assert said(none, "no open interest")


def test_open_interest_frozen() -> None:
    interest = BARS.open_interest_qty.copy()
    interest[600:1200] = interest[600]
    found = quality(replace(BARS, open_interest_qty=interest))
    assert found.open_interest_frozen_share == pytest.approx(540 / 2880, rel=0.02)
    assert said(found, "stood still")


def test_open_interest_of_zero_is_missing_and_does_not_empty_the_map() -> None:
    interest = BARS.open_interest_qty.copy()
    interest[[1000, 2879]] = 0.0
    missing = np.where(interest > 0, interest, np.nan)
    zero, absent = (
        build_heatmap(replace(BARS, open_interest_qty=q), BTC, HeatmapParams("zones"))
        for q in (interest, missing)
    )
    assert zero.long_usd[-1].sum() > 0
    np.testing.assert_array_equal(zero.long_usd, absent.long_usd)
    np.testing.assert_array_equal(zero.open_interest_qty, absent.open_interest_qty)
    assert said(zero.quality, "2 open-interest readings of 0 are taken as missing")
    assert zero.quality.open_interest_share == absent.quality.open_interest_share


def test_open_interest_doubled() -> None:
    interest = BARS.open_interest_qty.copy()
    interest[1500:] *= 2
    found = quality(replace(BARS, open_interest_qty=interest))
    assert found.open_interest_suspect_share > 0
    assert said(found, "jumped by a factor of 2")


def test_open_interest_of_another_market_moves_more_than_was_traded() -> None:
    rng = np.random.default_rng(1)
    wild = replace(BARS, open_interest_qty=80_000 + rng.normal(0, 2_000, 2880))
    found = quality(wild)
    assert found.open_interest_suspect_share > 0.5
    assert said(found, "more than was traded")


@pytest.mark.parametrize(
    ("interest", "says"), [(-1.0, "open_interest_qty is not >= 0"), (5e9, "looks like USD")]
)
def test_open_interest_negative_or_in_usd_is_refused(interest: float, says: str) -> None:
    columns = {name: getattr(BARS, name) for name in
               ("start_ms", "open", "high", "low", "close", "qty")}  # fmt: skip
    with pytest.raises(BadInputError, match=says):
        Bars.from_columns({**columns, "open_interest_qty": np.full(2880, interest)})


def test_volume_zero_or_absurd() -> None:
    quiet = quality(replace(BARS, qty=np.zeros(2880)))
    assert said(quiet, "no volume at all")
    thin = np.where(np.arange(2880) % 3 == 0, BARS.qty, 0)
    assert said(quality(replace(BARS, qty=thin)), "67% of bars traded nothing")
    spike = BARS.qty.copy()
    spike[500] = 1e12
    found = quality(replace(BARS, qty=spike))
    assert found.volume_suspect_bars == 1
    assert said(found, "1 bars traded more than 1000 times")


def test_a_price_gap_of_a_fifth_is_swept_and_named() -> None:
    low = np.arange(2880) >= 2000
    names = ("open", "high", "low", "close")
    fallen = replace(BARS, **{n: np.where(low, 0.8, 1.0) * getattr(BARS, n) for n in names})
    found = quality(fallen)
    assert found.price_jumps == 1
    assert said(found, "jumped by -20%")
    heat = build_heatmap(fallen, BTC, HeatmapParams("sharp"))
    price = np.sqrt(heat.price_edges[1:] * heat.price_edges[:-1])
    between = (price > fallen.high[2000]) & (price < fallen.low[1999])
    assert heat.long_usd[1999, between].sum() > 0
    assert heat.long_usd[2000, between].sum() == 0


def test_a_hole_is_counted_in_time() -> None:
    keep = np.ones(2880, bool)
    keep[1000:1288] = False
    names = [n for n in BARS.__dataclass_fields__ if n != "interval_ms"]
    holed = replace(BARS, **{n: getattr(BARS, n)[keep] for n in names})
    assert quality(holed).gap_share == pytest.approx(0.1)


def test_the_calibrated_model_says_where_it_draws_the_prior() -> None:
    found = quality(BARS, "calibrated")
    assert found.prior_steps == 48
    assert found.weights_method is None
    assert said(found, "no weights were known for 48 of 48 columns")
    assert quality(BARS).prior_steps == 0
