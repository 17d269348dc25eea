"""The fit on problems whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from liqheat.engine.fit import (
    Problem,
    component_distance,
    event_size,
    expected,
    fit,
    fit_scale,
    fit_together,
    prior_covariance,
    score,
)
from liqheat.engine.leverage import BROAD_DISTANCES, build_bank
from liqheat.market.instrument import instrument

BANK, _ = build_bank(instrument("simulated:BTCUSDT"), "calibrated", None)
K = len(BANK.weight)


def problem(seed: int, blocks: int, scale: float = 0.2, coin: str = "BTC") -> Problem:
    """Return a problem drawn from the model itself, with weights off by ``true(seed)``."""
    rng = np.random.default_rng(seed)
    # Sweeps are correlated: a block reaches some distance, and takes what lies nearer.
    reach = rng.exponential(0.01, (blocks, 2, 1))
    features = np.exp(rng.normal(3, 1, (blocks, 2, K)))
    features *= np.exp(-component_distance(BANK) / (reach + 1e-3))
    empty = Problem(
        features, np.zeros((blocks, 2)), BANK.weight, np.log(component_distance(BANK)),
        BANK.tau_ms, 2.0, np.zeros(K + 1), coin, "simulated",
    )  # fmt: skip
    m = expected(empty, true(seed, scale))
    events = rng.poisson(rng.gamma(2.0, m / 2.0))
    sizes = rng.gamma(np.maximum(events, 1e-9), 1.0)  # exponential sizes: E[q^2] / E[q] = 2
    return empty._replace(realised=np.where(events > 0, sizes, 0.0))


def true(seed: int, scale: float) -> np.ndarray:
    rng = np.random.default_rng(1000 + seed)
    near = 0.8 * np.sin(2 * np.log(component_distance(BANK)) + rng.uniform(0, 6))
    return np.append(np.log(scale) + near, 0.4)


def test_the_truth_is_found_again() -> None:
    p = problem(1, 5760)
    found = fit(p)
    m, best = expected(p, found.gain), expected(p, true(1, 0.2))
    assert np.corrcoef(np.log(m.ravel()), np.log(best.ravel()))[0, 1] > 0.995
    assert m.sum() / best.sum() == pytest.approx(1, abs=0.05)
    assert found.gain[-1] == pytest.approx(0.4, abs=0.1)
    assert found.shape == pytest.approx(2.0, rel=0.35)
    assert score(p, found.gain, 2.0) > score(p, fit_scale(p).gain, 2.0) + 20


def test_what_is_not_known_is_covered_by_the_covariance() -> None:
    worst = []
    for seed in range(6):
        found = fit(problem(seed, 1500))
        z = (found.gain - true(seed, 0.2)) / np.sqrt(np.diag(found.covariance))
        worst.append(np.abs(z).mean())
    assert np.mean(worst) < 1.5
    assert np.linalg.eigvalsh(found.covariance).min() > 0


def test_without_events_the_prior_shape_stays() -> None:
    p = problem(3, 60)
    found = fit(p._replace(realised=np.zeros((60, 2))))
    spread = found.gain[:-1] - found.gain[:-1].mean()
    assert found.gain[:-1].max() < 0  # nothing happened: less than modelled
    assert np.abs(spread).max() < 2.0
    assert np.isfinite(found.covariance).all()


def test_the_fit_is_deterministic_and_a_warm_start_ends_at_the_same_place() -> None:
    p = problem(4, 2000)
    first, second = fit(p), fit(p)
    assert first.gain.tobytes() == second.gain.tobytes()
    warm = fit(p, first.gain + 0.3)
    np.testing.assert_allclose(warm.gain, first.gain, atol=0.02)


def test_a_single_absurd_block_moves_little() -> None:
    p = problem(5, 3000)
    wild = p.realised.copy()
    wild[100, 0] = 1e9
    np.testing.assert_allclose(fit(p._replace(realised=wild)).gain, fit(p).gain, atol=0.5)


def test_the_scale_alone_keeps_the_shape() -> None:
    p = problem(6, 3000, scale=0.05)
    found = fit_scale(p)
    assert np.ptp(found.gain[:-1]) == 0
    total = expected(p, found.gain).sum()
    assert total / p.realised.sum() == pytest.approx(1, abs=0.25)
    shape = found.covariance[0, 0] + found.covariance[20, 20] - 2 * found.covariance[0, 20]
    prior = prior_covariance(p, p)
    assert shape == pytest.approx(prior[0, 0] + prior[20, 20] - 2 * prior[0, 20])


def test_single_events_where_nothing_was_modelled_do_not_rule_the_shape() -> None:
    p = problem(10, 3000)
    stray = p.features.copy()
    stray[::20] = 0.0  # the map has nothing there, and yet one event came
    realised = p.realised.copy()
    realised[::20] = p.event_size
    for found in (fit(p._replace(features=stray, realised=realised)), fit(p)):
        assert found.shape == pytest.approx(2.0, rel=0.4)


def test_a_map_which_promises_too_much_in_large_blocks_is_scaled_to_the_sum() -> None:
    p = problem(11, 3000)
    m = expected(p, p.mean)
    realised = p._replace(realised=np.sqrt(m * np.median(m)))
    found = fit_scale(realised)
    total = expected(realised, found.gain).sum()
    assert realised.realised.sum() / total == pytest.approx(1, abs=0.1)


def test_a_coin_lends_its_shape_to_one_with_little_data() -> None:
    rich, poor = problem(7, 5000), problem(7, 120)
    alone, _ = fit(poor), None
    rich_found, together = fit_together([rich, poor._replace(exchange="other")])
    far = np.abs(alone.gain - true(7, 0.2)).mean()
    near = np.abs(together.gain - true(7, 0.2)).mean()
    assert near < far
    np.testing.assert_allclose(rich_found.gain, fit(rich).gain, atol=0.1)


def test_strangers_share_nothing() -> None:
    a, b = problem(8, 800), problem(9, 800)._replace(coin="ETH", exchange="other")
    for mine, alone in zip(fit_together([a, b]), (fit(a), fit(b)), strict=True):
        np.testing.assert_allclose(mine.gain, alone.gain, atol=5e-3)


def test_the_prior_covariance_is_positive_and_joins_neighbours() -> None:
    p = problem(1, 4)
    own, shared = prior_covariance(p, p), prior_covariance(p, p._replace())
    joint = np.block([[own, shared], [shared.T, own]])
    assert np.linalg.eigvalsh(joint).min() > 0
    order = np.argsort(p.log_distance)
    assert own[order[0], order[1]] > own[order[0], order[-1]]


def test_event_size_is_the_second_moment_over_the_first() -> None:
    assert event_size(np.array([])) == 0
    assert event_size(np.full(10, 3.0)) == pytest.approx(3.0)
    heavy = np.append(np.ones(1000), 1e6)
    assert event_size(heavy) < 2  # the one absurd size is cut


def test_distances_of_components_are_those_of_their_kernels() -> None:
    distance = component_distance(BANK)
    for broad in BROAD_DISTANCES:
        assert (np.abs(distance / broad - 1) < 0.15).any()
