"""Learn: from bars and realised liquidations to dated ``Weights``, walking forward day by day.

At each UTC midnight the weights are fitted to the blocks of the last ``WINDOW_DAYS`` which had
ended by then, starting from those of the day before. Nothing later is used, so a column drawn
with them could have been drawn at its time.

What is learnt depends on what there is to learn from:

    fitted    shape and scale; a full feed, enough days and events, and both safety trips passed:
              the weights have not collapsed on a few components, and a fit to the first part of
              the window scores the last part better than the prior's shape does
    scaled    the prior's shape with a learnt scale: a sampled or unknown feed, too little data,
              or a trip
    prior     even the scale scored worse than none; ``note`` says why

Several instruments are learnt in one walk (``learn_each``): those with a shape of their own to
learn are lent what their coin and exchange share, and where positions are public the measured
shape is the mean of the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.engine import MODEL_VERSION
from liqheat.engine.band import zone_shape
from liqheat.engine.fit import (
    Posterior,
    Problem,
    component_distance,
    event_size,
    fit,
    fit_scale,
    fit_together,
    prior_covariance,
    scale_score,
    score,
    spread_of,
)
from liqheat.engine.params import HeatmapParams, bank_for
from liqheat.engine.sweeps import swept_components
from liqheat.engine.throttle import corrected
from liqheat.engine.weights import Weights
from liqheat.errors import BadInputError
from liqheat.market.events import Bars, Liquidations
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Length of a block.
BLOCK_MS = 900_000
#: Data used by one fit [days].
WINDOW_DAYS = 60
#: The ledger fills for so long before a block counts [days].
FILL_DAYS = 3
#: Least evidence for a scale, and for a shape: days of blocks, and events.
SCALE_DAYS, SCALE_EVENTS = 1.0, 20
SHAPE_DAYS, SHAPE_EVENTS = 3.0, 200
#: Part of the window which is kept back to judge the fit.
HELD_OUT = 0.2
#: A trip needs a loss of more than this [nats]; less is chance, and would flap from day to day.
TRIP_NATS = 3.0
#: Weights which amount to fewer components than this (exp of their entropy) have collapsed.
LEAST_COMPONENTS = 4.0

CALIBRATED = HeatmapParams("calibrated")


class Evidence(NamedTuple):
    """All that one instrument has to teach: m blocks, k components; see ``gather``."""

    instrument: Instrument
    start_ms: I64  # [m] of the blocks
    features: F64  # [m, 2, k] swept, stable units
    realised: F64  # [m, 2] liquidated, corrected for sampling, stable units
    visible: F64  # [m] as the feed showed it, both sides
    usable: NDArray[np.bool_]  # [m] whole, covered by the feed, after the ledger has filled
    events: Liquidations
    event_qty: F64  # [n] stable units
    prior: F64  # [k]
    log_distance: F64  # [k]
    tau_ms: F64  # [k]
    first_ms: int  # start of the first bar, end of the last
    end_ms: int


class Shape(NamedTuple):
    """A shape as measured on public positions, and since when it is known."""

    as_of_ms: int
    log_gain: F64  # [k] ln(weight / prior); see ``shapes``


def gather(
    bars: Bars,
    instrument: Instrument,
    liquidations: Liquidations,
    covered: Sequence[tuple[int, int]] | None = None,
) -> Evidence:
    """Return what the map swept and what was liquidated, block by block.

    Parameters
    ----------
    bars, instrument
        As for ``build_heatmap``.
    liquidations : Liquidations
        Of this instrument. Events after the last bar are not used.
    covered : sequence of (start_ms, end_ms), optional
        When the feed was recorded: outside, no event means nothing. Everything from the first
        event on where not given.

    Raises
    ------
    BadInputError
        A liquidation's price is impossible, or the bars are longer than a block.
    """
    liquidations.check_prices(bars)
    if BLOCK_MS % bars.interval_ms:
        raise BadInputError(
            "calibration needs bars of at most 15 minutes", where="bars",
            value=f"{bars.interval_ms} ms", do="import bars of 1m, 5m or 15m",
        )  # fmt: skip
    starts, features = swept_components(bars, instrument, CALIBRATED, BLOCK_MS)
    qty = liquidations.notional_usd if instrument.is_inverse else liquidations.qty
    block = np.searchsorted(starts, liquidations.event_ms // BLOCK_MS * BLOCK_MS)
    inside = block < len(starts)
    inside[inside] = starts[block[inside]] == (
        liquidations.event_ms[inside] // BLOCK_MS * BLOCK_MS
    )
    realised, visible = np.zeros((len(starts), 2)), np.zeros(len(starts))
    side = np.where(liquidations.is_long, 0, 1)
    real = corrected(liquidations, qty)
    np.add.at(realised, (block[inside], side[inside]), real[inside])
    np.add.at(visible, block[inside], qty[inside])
    bank, _ = bank_for(instrument, CALIBRATED)
    return Evidence(
        instrument, starts, features, realised, visible,
        _usable(bars, starts, liquidations, covered), liquidations, qty, bank.weight,
        np.log(component_distance(bank)), bank.tau_ms, int(bars.start_ms[0]),
        int(bars.start_ms[-1]) + bars.interval_ms,
    )  # fmt: skip


def _usable(
    bars: Bars,
    starts: I64,
    liquidations: Liquidations,
    covered: Sequence[tuple[int, int]] | None,
) -> NDArray[np.bool_]:
    # A block with a missing bar, or after one, holds a sweep whose time is not known.
    whole = np.diff(bars.start_ms, prepend=bars.start_ms[0]) <= bars.interval_ms
    block_of = np.searchsorted(starts, bars.start_ms, side="right") - 1
    count = np.bincount(block_of, whole, len(starts))
    usable: NDArray[np.bool_] = np.equal(count, BLOCK_MS // bars.interval_ms)
    usable &= starts >= bars.start_ms[0] + FILL_DAYS * DAY_MS
    if covered is None:
        first = liquidations.event_ms[0] if len(liquidations) else starts[-1] + BLOCK_MS
        usable &= starts >= first
        return usable
    heard = np.zeros(len(starts), bool)
    for begin, end in covered:
        heard |= (starts >= begin) & (starts + BLOCK_MS <= end)
    usable &= heard
    return usable


def learn(
    bars: Bars,
    instrument: Instrument,
    liquidations: Liquidations,
    *,
    covered: Sequence[tuple[int, int]] | None = None,
) -> list[Weights]:
    """Return the weights of every day, in order; none before there is enough to learn a scale.

    Parameters
    ----------
    bars, instrument, liquidations, covered
        As for ``gather``.

    Raises
    ------
    BadInputError
        As for ``gather``.
    """
    return learn_each([gather(bars, instrument, liquidations, covered)])[0]


def learn_each(
    evidence: Sequence[Evidence],
    *,
    from_ms: int = 0,
    shapes: Sequence[Sequence[Shape]] | None = None,
) -> list[list[Weights]]:
    """Return the weights of every day of several instruments, learnt together.

    Parameters
    ----------
    evidence : sequence of Evidence
        A dozen instruments at most: a day's solve is cubic in their components.
    from_ms : int
        Nothing is learnt for days before this one.
    shapes : sequence of sequences of Shape, optional
        Measured shapes of each instrument in order of time: a day uses the newest by then.
    """
    out: list[list[Weights]] = [[] for _ in evidence]
    start: list[F64 | None] = [None] * len(evidence)
    first = min(one.first_ms for one in evidence) // DAY_MS * DAY_MS + DAY_MS
    last = max(one.end_ms for one in evidence)
    for as_of in range(max(first, from_ms // DAY_MS * DAY_MS), last + 1, DAY_MS):
        there = [i for i, one in enumerate(evidence) if one.first_ms < as_of <= one.end_ms]
        found = learn_together(
            [evidence[i] for i in there], as_of,
            shapes=[_known(shapes[i] if shapes else (), as_of) for i in there],
            start=[start[i] for i in there],
        )  # fmt: skip
        for i, weights in zip(there, found, strict=True):
            if weights is not None:
                out[i].append(weights)
                start[i] = np.append(weights.log_gain, weights.side_gain)
    return out


def _known(shapes: Sequence[Shape], as_of_ms: int) -> F64 | None:
    by_then = [one.log_gain for one in shapes if one.as_of_ms <= as_of_ms]
    return by_then[-1] if by_then else None


def learn_day(
    evidence: Evidence,
    as_of_ms: int,
    *,
    measured: F64 | None = None,
    start: F64 | None = None,
) -> Weights | None:
    """Return the weights known at one time, or None where there is too little evidence."""
    problem, blocks = problem_at(evidence, as_of_ms, measured)
    days, events = len(blocks) * BLOCK_MS / DAY_MS, _events(evidence, blocks)
    if days < SCALE_DAYS or events < SCALE_EVENTS:
        return None
    scaled = fit_scale(problem)
    why = _no_shape(evidence, days, events)
    if not why:
        found = fit(problem, start)
        why = _tripped(problem, found, start)
        if not why:
            return _weights(evidence, as_of_ms, blocks, problem, found, "fitted", "")
    if _scale_helps(problem):
        return _weights(evidence, as_of_ms, blocks, problem, scaled, "scaled", why)
    kept = Posterior(problem.mean, prior_covariance(problem, problem), scaled.shape, 0)
    why = f"{why}; a learnt scale predicted the last {HELD_OUT:.0%} worse than none"
    return _weights(evidence, as_of_ms, blocks, problem, kept, "prior", why)


def learn_together(
    evidence: Sequence[Evidence],
    as_of_ms: int,
    *,
    shapes: Sequence[F64 | None] | None = None,
    start: Sequence[F64 | None] | None = None,
) -> list[Weights | None]:
    """Return the weights of several instruments, each lent what its coin and exchange share.

    Instruments without enough evidence of their own for a shape keep what ``learn_day`` gives
    them; the others are fitted under one block prior. Safety trips are those of each alone.
    ``shapes`` are measured ones, ``start`` where each fit begins.
    """
    nothing: list[F64 | None] = [None] * len(evidence)
    measured = shapes or nothing
    alone = [
        learn_day(each, as_of_ms, measured=shape, start=begin)
        for each, shape, begin in zip(evidence, measured, start or nothing, strict=True)
    ]
    which = [i for i, one in enumerate(alone) if one is not None and one.method == "fitted"]
    if len(which) < 2:
        return alone
    problems = [problem_at(evidence[i], as_of_ms, measured[i]) for i in which]
    begin = [np.append(alone[i].log_gain, alone[i].side_gain) for i in which]  # type: ignore[union-attr]
    found = fit_together([problem for problem, _ in problems], begin)
    for i, (problem, blocks), posterior in zip(which, problems, found, strict=True):
        alone[i] = _weights(
            evidence[i], as_of_ms, blocks, problem, posterior, "fitted",
            f"together with {len(which) - 1} others",
        )  # fmt: skip
    return alone


def problem_at(
    evidence: Evidence, as_of_ms: int, measured: F64 | None = None
) -> tuple[Problem, I64]:
    """Return the fit's problem as of a time, and the indices of the blocks it holds."""
    low = np.searchsorted(evidence.start_ms, as_of_ms - WINDOW_DAYS * DAY_MS)
    high = np.searchsorted(evidence.start_ms, as_of_ms - BLOCK_MS, side="right")
    blocks = low + np.flatnonzero(evidence.usable[low:high])
    first, stop = np.searchsorted(
        evidence.events.event_ms, [as_of_ms - WINDOW_DAYS * DAY_MS, as_of_ms]
    )
    k = len(evidence.prior)
    mean = np.zeros(k + 1)
    if measured is not None:
        mean[:k] = measured
    problem = Problem(
        evidence.features[blocks], evidence.realised[blocks], evidence.prior,
        evidence.log_distance, evidence.tau_ms, event_size(evidence.event_qty[first:stop]),
        mean, evidence.instrument.coin, evidence.instrument.exchange,
    )  # fmt: skip
    return problem, blocks


def _events(evidence: Evidence, blocks: I64) -> int:
    at = evidence.events.event_ms // BLOCK_MS * BLOCK_MS
    return int(np.isin(at, evidence.start_ms[blocks]).sum())


def _no_shape(evidence: Evidence, days: float, events: int) -> str:
    """Return why there is too little for a shape; empty where there is enough."""
    feed = evidence.events.completeness
    if feed != "full":
        return f"a feed which is {feed} teaches the scale only"
    if days < SHAPE_DAYS or events < SHAPE_EVENTS:
        return f"{days:.1f} days and {events} events teach the scale only"
    return ""


def _tripped(problem: Problem, found: Posterior, start: F64 | None) -> str:
    """Return which safety trip keeps the prior's shape; empty where none does."""
    share = problem.prior * np.exp(found.gain[:-1] - found.gain[:-1].max())
    share /= share.sum()
    components = float(np.exp(-(share * np.log(share)).sum()))
    if components < LEAST_COMPONENTS:
        return (
            f"the weights collapsed on {components:.1f} components: shape of the prior kept"
        )
    early, late = _split(problem)
    trial, plain = fit(early, start), fit_scale(early)
    loss = score(late, plain.gain, trial.shape) - score(late, trial.gain, trial.shape)
    if loss > TRIP_NATS:
        return (
            f"the fit predicted the last {HELD_OUT:.0%} of the window {loss:.1f} nats worse "
            "than the prior's shape, which is kept"
        )
    return ""


def _scale_helps(problem: Problem) -> bool:
    early, late = _split(problem)
    plain = fit_scale(early)
    spread = spread_of(early, plain.gain)
    won = scale_score(late, plain.gain, spread) - scale_score(late, problem.mean, spread)
    return won >= -TRIP_NATS


def _split(problem: Problem) -> tuple[Problem, Problem]:
    cut = round(len(problem.realised) * (1 - HELD_OUT))
    return (
        problem._replace(features=problem.features[:cut], realised=problem.realised[:cut]),
        problem._replace(features=problem.features[cut:], realised=problem.realised[cut:]),
    )


def _weights(
    evidence: Evidence, as_of_ms: int, blocks: I64, problem: Problem, found: Posterior,
    method: str, note: str,
) -> Weights:  # fmt: skip
    lower = np.tril_indices(len(found.gain))
    real = problem.realised.sum()
    return Weights(
        instrument=evidence.instrument.name,
        model_version=MODEL_VERSION,
        as_of_ms=as_of_ms,
        data_start_ms=int(evidence.start_ms[blocks[0]]),
        method=method,
        completeness=evidence.events.completeness,
        events=_events(evidence, blocks),
        log_gain=tuple(np.round(found.gain[:-1], 9).tolist()),
        side_gain=round(float(found.gain[-1]), 9),
        covariance=tuple(np.round(found.covariance[lower], 7).tolist()),
        event_size=problem.event_size,
        shape=found.shape,
        zone_shape=zone_shape(problem, found.gain, found.covariance),
        feed_share=round(float(evidence.visible[blocks].sum() / real), 9) if real else 1.0,
        note=note,
    )
