"""Studies: measures, nulls, markets, scores; what is refused and in which words."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from liqheat.errors import BadInputError, UnavailableError
from liqheat.market.events import Bars, Liquidations
from liqheat.market.instrument import instrument
from liqheat.market.units import DAY_MS
from liqheat.store import Store
from liqheat.study import metrics, nulls, score
from liqheat.study.forecast import Forecast, snapshots
from liqheat.study.market import Market, covered_intervals, simulated, stored, sweep_prices
from liqheat.study.report import Report, summarise, write_report
from tests.conftest import refused

BTC = "binance:BTCUSDT"
T0 = 1_767_225_600_000  # 2026-01-01
STEP = 300_000


def walk(n: int, seed: int = 1, sigma: float = 0.0015) -> Bars:
    rng = np.random.default_rng(seed)
    close = 64_000 * np.exp(np.cumsum(rng.normal(0, sigma, n)))
    opened = np.concatenate([[64_000.0], close[:-1]])
    return Bars.from_columns({
        "start_ms": T0 + STEP * np.arange(n), "open": opened, "close": close,
        "high": np.maximum(opened, close) * (1 + rng.uniform(0, 0.001, n)),
        "low": np.minimum(opened, close) * (1 - rng.uniform(0, 0.001, n)),
        "qty": rng.gamma(2, 60, n),
        "open_interest_qty": 80_000 + np.cumsum(rng.normal(0, 40, n)),
    })  # fmt: skip


def events(bars: Bars, n: int = 4_000, seed: int = 2) -> Liquidations:
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, len(bars), n))
    long = bars.close[at] < bars.open[at]
    price = np.where(long, bars.low[at], bars.high[at])
    qty = rng.gamma(1, 0.5, n) + 1e-3
    return Liquidations.from_columns({
        "event_ms": bars.start_ms[at] + rng.integers(0, STEP, n), "is_long": long,
        "qty": qty, "notional_usd": qty * price, "mark_price": price,
    }, completeness="full")  # fmt: skip


def market(n: int = 6_000, seed: int = 1, **more: object) -> Market:
    bars = walk(n, seed)
    given = {
        "name": BTC, "instrument": instrument(BTC), "bars": bars, "liquidations": events(bars),
        "covered": ((T0, T0 + n * STEP),), "score_from_ms": T0 + 5 * DAY_MS,
        "source": "recorded",
    }  # fmt: skip
    given |= more
    given.setdefault("exchanges", np.full(len(given["liquidations"]), "binance"))
    return Market(**given)


@pytest.fixture(scope="module")
def base():
    return simulated("base", 1, 27)


# -- measures ------------------------------------------------------------------------------


def test_measures_of_a_map_with_itself_are_perfect():
    true = np.random.default_rng(1).gamma(0.5, 1, 200)
    assert metrics.pearson(true, true) == pytest.approx(1)
    assert metrics.earth_mover(true, true) == 0
    assert metrics.peak_hits(true, true) == 1
    assert metrics.top_hits(true, true) == 1
    assert metrics.captured(true, true) > 0.5
    maps = np.random.default_rng(2).gamma(0.5, 1, (50, 200))
    anomalies = metrics.log_anomalies(maps)
    assert anomalies.shape == (50, 40)
    assert np.abs(anomalies.mean(axis=0)).max() < 1e-12


def test_earth_mover_is_the_distance_mass_is_moved():
    a, b = np.zeros(200), np.zeros(200)
    a[50], b[60] = 3.0, 8.0
    assert metrics.earth_mover(a, b) == pytest.approx(10 * 0.1)
    assert np.isnan(metrics.earth_mover(a, np.zeros(200)))


def test_peaks_are_apart_and_ordered():
    values = np.zeros(200)
    values[[20, 22, 90, 150]] = [5, 4, 9, 7]
    assert metrics.peaks(values).tolist()[:3] == [90, 150, 20]
    shifted = np.roll(values, 2)
    assert metrics.peak_hits(values, shifted) == 1
    assert metrics.peak_hits(values, np.roll(values, 8)) == 0


def test_top_rows_may_lie_side_by_side():
    values = np.zeros(200)
    values[50:55] = 1.0
    assert metrics.top_hits(values, np.roll(values, 2)) == 1
    assert metrics.top_hits(values, np.roll(values, 8)) == 0
    assert np.isnan(metrics.top_hits(values, np.zeros(200)))


def test_location_score_is_zero_for_uniform_and_rewards_the_right_place():
    realised = np.array([0.0, 10.0, 0.0, 0.0])
    assert metrics.location_score(np.ones(4), realised)[0] == pytest.approx(0)
    good, usd = metrics.location_score(realised, realised)
    assert good / usd == pytest.approx(np.log(0.95 * 4 + 0.05))
    assert metrics.location_score(np.zeros(4), realised) == (0.0, 10.0)


def test_partial_correlation_equals_the_one_of_residuals():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(500, 2))
    y = z @ [1.0, 2.0] + rng.normal(size=500)
    x = y + z @ [3.0, -1.0] + rng.normal(size=500)
    full = np.column_stack([np.ones(500), z])
    rest = [v - full @ np.linalg.lstsq(full, v, rcond=None)[0] for v in (y, x)]
    assert metrics.partial(y, x, [z[:, 0], z[:, 1]]) == pytest.approx(
        np.corrcoef(*rest)[0, 1]
    )
    assert np.isnan(metrics.partial(y, z[:, 0], [z[:, 0]]))


def test_first_draw_of_a_bootstrap_is_the_data_and_blocks_stay_together():
    times = T0 + np.arange(3_000) * 3_600_000  # 125 days
    blocks = metrics.make_blocks(times, seed=1)
    values = np.random.default_rng(1).normal(size=(3_000, 2))
    np.testing.assert_allclose(blocks.sums(values)[0], values.sum(axis=0))
    moments = blocks.moments(values)
    full = np.column_stack([np.ones(3_000), values])
    np.testing.assert_allclose(moments[0], full.T @ full)
    assert blocks.days == 3
    assert np.unique(blocks.of[:72]).size <= 2
    assert metrics.make_blocks(times[:200], seed=1).days == 1
    again = metrics.make_blocks(times, seed=1)
    np.testing.assert_array_equal(again.draws, blocks.draws)


def test_block_intervals_hold_the_true_mean_about_as_often_as_they_say():
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        # Days are alike inside: independent bars would give far too narrow an interval.
        values = np.repeat(rng.normal(size=60), 24)[:, None]
        blocks = metrics.make_blocks(T0 + np.arange(1_440) * 3_600_000, seed=seed)
        low, high = metrics.interval(blocks.sums(values)[:, 0] / 1_440)[1:]
        held += low <= 0 <= high
    assert held >= 50


def test_slope_of_a_power_law_is_its_exponent():
    x = np.random.default_rng(1).gamma(2, 1, 400)
    y = 3 * x**0.7
    y[:20] = 0
    blocks = metrics.make_blocks(T0 + np.arange(400) * DAY_MS, seed=1)
    assert metrics.log_slope(x, y, blocks)[0] == pytest.approx(0.7)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_gamma_forecasts_which_are_right_are_covered_as_often_as_they_say(level):
    rng = np.random.default_rng(4)
    mean, spread = rng.gamma(2, 1e6, 20_000), 0.7
    realised = rng.gamma(1 / spread**2, mean * spread**2)
    floor = np.full(20_000, 5e4)
    result, low, high = metrics.gamma_score(realised, mean, (spread * mean) ** 2, floor)
    assert metrics.inside(low, high, level).mean() == pytest.approx(level, abs=0.015)
    worse = metrics.gamma_score(realised, mean * 3, (spread * mean * 3) ** 2, floor)[0]
    assert result.mean() > worse.mean()


# -- markets -------------------------------------------------------------------------------


def test_realised_usd_fall_into_their_bars_and_sides():
    one = market()
    usd = one.realised()
    assert usd.sum() == pytest.approx(one.liquidations.notional_usd.sum())
    first = one.liquidations
    index = (first.event_ms[0] - T0) // STEP
    assert usd[index, 0 if first.is_long[0] else 1] >= first.notional_usd[0]
    assert one.realised("bybit").sum() == 0


def test_only_bars_inside_covered_intervals_after_a_bar_are_scored():
    one = market(covered=((T0 + 6 * DAY_MS + 1, T0 + 7 * DAY_MS),))
    starts = one.bars.start_ms[one.scored()]
    assert starts[0] == T0 + 6 * DAY_MS + STEP
    assert starts[-1] == T0 + 7 * DAY_MS - STEP
    names = ("start_ms", "open", "high", "low", "close", "qty")
    keep = np.arange(6_000) != 2_000
    holed = Bars.from_columns({name: getattr(one.bars, name)[keep] for name in names})
    scored = replace(market(), bars=holed).scored()
    assert not scored[holed.start_ms == T0 + 2_001 * STEP].any()


def test_covered_intervals_are_what_gaps_leave():
    from liqheat.market.events import Gap

    gaps = [Gap(BTC, a, b, "liquidations", "x") for a, b in ((50, 60), (0, 10), (55, 70))]
    assert covered_intervals(5, 100, gaps) == ((10, 50), (70, 100))
    assert covered_intervals(5, 100, []) == ((5, 100),)
    assert covered_intervals(0, 10, gaps) == ()


def test_a_simulated_market_is_the_same_twice_and_knows_its_truth(base):
    again = simulated("base", 1, 27)
    np.testing.assert_array_equal(base.bars.close, again.bars.close)
    assert (base.name, base.source) == ("base-1", "simulated")
    edges = np.exp(np.linspace(10.5, 11.7, 1_000))
    long_usd, short_usd = base.truth(edges, base.end_ms)
    assert long_usd.sum() > 0
    assert short_usd.sum() > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("wild", 1, 30), "no such regime"), (("base", 1, 20), "too few days"),
     (("base", 1, float("nan")), "too few days")],
)  # fmt: skip
def test_a_simulated_market_which_cannot_be_is_refused(arguments, words):
    refused(simulated, *arguments, words=words)


def write(store: Store, bars: Bars, tape: Liquidations | None) -> None:
    n = len(bars)
    names = ("start_ms", "open", "high", "low", "close", "qty")
    store.write("bars", pa.table({
        "instrument": [BTC] * n, "interval_ms": [STEP] * n, "source": ["x"] * n,
        **{name: getattr(bars, name) for name in names},
    }))  # fmt: skip
    if tape is not None:
        m = len(tape)
        store.write("liquidations", pa.table({
            "instrument": [BTC] * m, "event_ms": tape.event_ms, "exchange": ["binance"] * m,
            "position_side": np.where(tape.is_long, "long", "short"), "price": tape.mark_price,
            "price_kind": ["order"] * m, "qty": tape.qty, "notional_usd": tape.notional_usd,
            "mark_price": tape.mark_price, "completeness": ["sampled_1s"] * m,
        }))  # fmt: skip


def test_a_stored_market_is_what_was_stored_and_nothing_after_the_end(tmp_path):
    bars = walk(2_000)
    tape = events(bars)
    with Store.open(tmp_path) as store:
        write(store, bars, tape)
        store.write("gaps", pa.table({
            "instrument": [BTC], "event_ms": [T0 + DAY_MS], "end_ms": [T0 + 2 * DAY_MS],
            "kind": ["liquidations"], "reason": ["off"],
        }))  # fmt: skip
        whole = stored(store, BTC)
        half = stored(store, BTC, T0 + 3 * DAY_MS, T0 + 4 * DAY_MS)
    assert whole.realised().sum() == pytest.approx(tape.notional_usd.sum())
    assert whole.covered[0][1] == T0 + DAY_MS
    assert half.end_ms == T0 + 4 * DAY_MS
    assert half.liquidations.event_ms.max() < T0 + 4 * DAY_MS
    assert half.bars.start_ms[half.scored()].min() == T0 + 3 * DAY_MS


def test_a_stray_liquidation_of_an_impossible_price_is_left_out_and_many_are_refused(
    tmp_path,
):
    bars = walk(2_000)
    tape = events(bars)
    factor = np.where(np.arange(len(tape)) == 7, 10.0, 1.0)
    with Store.open(tmp_path / "one") as store:
        write(store, bars, replace(tape, notional_usd=tape.notional_usd * factor))
        found = stored(store, BTC)
    assert found.left_out == 1
    assert len(found.liquidations) == len(found.exchanges) == len(tape) - 1
    assert "1 liquidations of an impossible price" in "".join(score.caveats(found))
    with Store.open(tmp_path / "all") as store:
        write(store, bars, replace(tape, notional_usd=tape.notional_usd * 10))
        assert "more than half away" in refused(
            stored, store, BTC, words="price is more than half away"
        )


def test_a_store_without_liquidations_is_refused_in_one_line(tmp_path):
    with Store.open(tmp_path) as store:
        write(store, walk(50), None)
        assert "import a recorded tape" in refused(
            stored, store, BTC, words="no liquidations"
        )
        refused(stored, store, BTC, 5, 5, words="range is empty")
        with pytest.raises(UnavailableError, match="no bars"):
            stored(store, "binance:ETHUSDT")


# -- nulls ---------------------------------------------------------------------------------


def test_fresh_range_is_what_lies_beyond_each_windows_extremes():
    one = market(800)
    found = nulls.fresh_range(one, snapshots(one)).swept
    low, high = sweep_prices(one.bars)
    for t in (1, 5, 300, 799):
        want = np.zeros(2)
        for window in nulls.FRESH_MS:
            past = slice(max(0, t - window // STEP), t)
            want[0] += max(0.0, np.log(low[past].min() / low[t]))
            want[1] += max(0.0, np.log(high[t] / high[past].max()))
        np.testing.assert_allclose(found[t], want, atol=1e-12)


def test_no_null_knows_the_future():
    one = market()
    cut = 4_000
    keep = one.liquidations.event_ms < T0 + cut * STEP
    early = replace(
        one, bars=one.bars[:cut], exchanges=one.exchanges[keep],
        liquidations=one.liquidations[: int(keep.sum())],
        covered=((T0, T0 + cut * STEP),),
    )  # fmt: skip
    whole, part = (nulls.all_nulls(m, snapshots(m)) for m in (one, early))
    t = len(snapshots(early).time_ms)
    assert t > 20
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_allclose(a.swept[:cut], b.swept, err_msg=a.name)
        if a.maps is not None:
            np.testing.assert_allclose(a.maps[:t], b.maps, err_msg=a.name)


def test_the_price_path_knows_nothing_of_volume_and_open_interest():
    one = market(2_000)
    rng = np.random.default_rng(3)
    other = replace(
        one, bars=replace(one.bars, qty=rng.permutation(one.bars.qty),
                          open_interest_qty=np.full(2_000, np.nan)),
    )  # fmt: skip
    first, second = (nulls.price_path(m, snapshots(m)) for m in (one, other))
    assert (first.swept > 0).any()
    np.testing.assert_array_equal(first.swept, second.swept)
    np.testing.assert_array_equal(first.maps, second.maps)


def test_common_levels_lie_at_the_distance_of_their_leverage_and_are_removed_when_swept():
    n = 400
    flat = np.full(n, 50_000.0)
    low = flat.copy()
    low[300] = 49_700.0  # through 100x and the far side of 150x, not through 50x
    bars = Bars.from_columns({
        "start_ms": T0 + STEP * np.arange(n), "open": flat, "close": flat, "high": flat,
        "low": low, "qty": np.full(n, 10.0), "open_interest_qty": 1_000.0 + np.arange(n),
    })  # fmt: skip
    one = market(n, bars=bars, liquidations=events(walk(n)), score_from_ms=T0)
    snaps = snapshots(one)
    found = next(f for f in nulls.all_nulls(one, snaps) if f.name == "coinglass")
    distance = np.log(50_000 / 49_700)
    from liqheat.market.margin import liquidation_distance

    inside = [
        x for x in nulls.COMMON_LEVERAGES
        if liquidation_distance(instrument(BTC), x)[0] < distance
    ]  # fmt: skip
    assert found.swept[300, 0] == pytest.approx(
        len(inside) * 299 * 0.25 * 50_000, rel=0.01, abs=1
    )
    assert found.swept[301:, 0].sum() == 0
    assert found.swept[:, 1].sum() == 0


def test_climatology_never_falls_with_distance():
    one = market()
    found = nulls.climatology(one, snapshots(one)).swept
    went = nulls.distance(one)
    day = slice(5_184, 5_472)  # one UTC day: one fit
    order = np.argsort(went[day, 0])
    assert (np.diff(found[day, 0][order]) >= -1e-6).all()
    assert found[: DAY_MS // STEP].sum() == 0


# -- scores --------------------------------------------------------------------------------


def test_a_forecast_which_is_the_outcome_scores_one_and_noise_scores_nothing():
    one = market()
    scored = one.scored()
    truth = one.realised()
    noise = np.random.default_rng(5).gamma(1, 1, truth.shape)
    forecasts = [
        Forecast("perfect", "model", "", truth), Forecast("noise", "model", "", noise),
        *nulls.all_nulls(one, snapshots(one)),
    ]  # fmt: skip
    table = score.score_happened(one, forecasts, scored, "all")
    perfect, blind = table.row("perfect").figures, table.row("noise").figures
    assert perfect["rho"].value == pytest.approx(1)
    assert perfect["hard"].value == pytest.approx(1)
    assert perfect["rp"].value == pytest.approx(1)
    assert perfect["slope"].value == pytest.approx(1)
    assert abs(blind["rho"].value) < 0.03
    assert blind["top10"].value == pytest.approx(0.1, abs=0.03)
    assert perfect["rho - coinglass"].low > 0
    assert table.realised_usd == pytest.approx(truth[scored].sum())


def test_hours_hold_whole_hours_only():
    one = market(score_from_ms=T0 + 5 * DAY_MS + 7 * STEP)
    scored = one.scored()
    of, start = score.hours_of(one, scored)
    assert start[0] == T0 + 5 * DAY_MS + 3_600_000
    assert (of >= 0).sum() == 12 * len(start)
    ones = score.by_hour(np.ones((int(scored.sum()), 2)), (of, start))
    np.testing.assert_array_equal(ones, 12.0)


def test_a_simulated_market_is_scored_against_its_truth_and_twice_the_same(base, tmp_path):
    first, _, snaps = score.score_market(base, ["sharp", "calibrated"])
    again = score.score_market(base, ["sharp", "calibrated"])[0]
    assert len(snaps.time_ms) >= 6
    r = first.truth.row("sharp").figures["r"].value
    assert r > first.truth.row("profile").figures["r"].value
    assert first.truth.row("oracle distance").figures["usd"].value == pytest.approx(
        1, abs=0.1
    )
    learnt = first.happened.row("calibrated").figures
    assert 0.3 < learnt["rp"].value < 3
    assert 0.6 < learnt["cover80"].value < 0.97
    assert learnt["cover50"].value < learnt["cover80"].value < learnt["cover90"].value
    reports = [Report(models=["sharp"], seed=1, made_ms=T0) for _ in range(2)]
    for report, result in zip(reports, (first, again), strict=True):
        report.add(result)
    assert reports[0].json() == reports[1].json()
    paths = write_report(reports[0], tmp_path / "out")
    assert [p.name for p in paths] == ["accuracy.json", "accuracy.md", "accuracy.html"]
    page = paths[2].read_text()
    assert "<table>" in page
    assert "http" not in page.replace("http-equiv", "")
    assert b"NaN" not in paths[0].read_bytes()


def test_the_oracle_for_maps_has_the_best_correlation(base):
    snaps = snapshots(base)
    true = np.array([
        sum(base.truth(snaps.edges(t), int(snaps.time_ms[t]))) for t in range(len(snaps.time_ms))
    ])  # fmt: skip
    perfect = Forecast("perfect", "model", "", np.zeros((len(base.bars), 2)), true)
    figures = score.score_truth(base, [perfect], snaps).row("perfect").figures
    assert figures["r"].value == pytest.approx(1)
    assert figures["acc"].value == pytest.approx(1)
    assert figures["emd"].value == pytest.approx(0, abs=1e-9)
    assert figures["top5"].value == pytest.approx(1)
    assert figures["usd"].value == pytest.approx(1)


def test_too_little_to_score_is_said(base):
    with pytest.raises(UnavailableError, match="100 are needed"):
        score.score_market(replace(base, covered=((T0, T0 + 1),)), ["sharp"])


def test_no_simulated_market_gives_no_summary():
    assert summarise([]) is None


def test_study_errors_are_one_line_with_their_exit_code(tmp_path):
    from click.testing import CliRunner

    from liqheat.cli import cli

    def error(*words: str) -> Exception:
        found = CliRunner().invoke(
            cli, ["--data-dir", str(tmp_path), "study", "score", *words]
        )
        return found.exception

    for words, kind in (
        (["--models", "magic"], BadInputError), (["--markets", "wild"], BadInputError),
        (["--days", "3"], BadInputError), (["--start", "2026-01-01"], BadInputError),
        (["--instrument", BTC], UnavailableError),
    ):  # fmt: skip
        assert isinstance(error(*words), kind), words
