"""Leverage: which components a model is made of, how far they die, and how much each weighs.

A **component** is (distance-to-liquidation kernel × lifetime). This module turns an instrument's
margin rules and a leverage mixture into the ``Bank`` the kernels run on:

    sharp    one narrow kernel per leverage (isolated positions at the exchange's formula),
             each with its own lifetime
    zones    narrow kernels for the isolated share, and six broad ones for cross margin, added
             margin and averaging, each with three lifetimes
    calibrated    the components of zones, every kernel with every lifetime, so that there is
             something to learn a weight for

A component belongs to the *tier* whose leverage is nearest to its effective leverage, i.e. to
its distance. Tiers are what the user filters by, and they sum exactly to the whole map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.errors import BadInputError
from liqheat.market.instrument import Instrument
from liqheat.market.margin import liquidation_distance

#: Width of an internal price bin in ln(price): 4 basis points. Finer bins rank recorded
#: liquidations a little better (docs/trials.md) and cost their factor in time and memory.
LOG_BIN = 4e-4
#: Internal bins; the ledger reaches ±102 % in ln(price) around its middle.
N_BINS = 5120

#: Notional shares over leverage where nothing better is known (exchange statements of 2018-25:
#: most notional between 5x and 25x). Never equal 10/25/50/100, never high leverage only.
PRIOR_MIXTURE: dict[float, float] = {
    2: 0.05, 3: 0.07, 5: 0.12, 10: 0.22, 20: 0.20, 25: 0.10, 50: 0.12, 75: 0.04,
    100: 0.06, 125: 0.02,
}  # fmt: skip

#: Mean lifetime of a position over its leverage [(leverage, hours)].
LIFETIME_HOURS = ((5.0, 120.0), (10.0, 33.0), (20.0, 15.0), (25.0, 10.0), (50.0, 5.0),
                  (75.0, 2.0), (100.0, 1.0))  # fmt: skip

#: Relative width of a narrow kernel: fees, partial fills, added margin, funding.
SHARP_SD = 0.05
#: Broad kernels begin at this share of the distance at the largest leverage of the mixture.
#: Whoever opens a position has the initial margin of his leverage at least, in cross margin too.
#: The largest single gain in ranking recorded liquidations: a map which puts a little of
#: everything right beside the price cannot say where nothing is.
NEAREST = 0.7
#: Isolated share of notional; the rest is cross margin, held at ``CROSS_STRETCH`` times the
#: isolated distance, log-normal with ``CROSS_LOG_SD``.
ISOLATED_SHARE = 0.35
CROSS_STRETCH = 2.6
CROSS_LOG_SD = 0.6
#: Broad kernels: centres [log distance] and relative width.
BROAD_DISTANCES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
BROAD_SD = 0.35
#: Kernels end this many standard deviations from their centre. Three instead of four
#: cost 0.013 of rank correlation on recorded liquidations: the tails carry ranks.
KERNEL_REACH = 4.0
#: Lifetimes of ``zones`` [hours].
ZONE_HOURS = (1.0, 10.0, 120.0)
#: Least prior share of each lifetime of a kernel in ``calibrated``: a weight of 0 cannot learn.
PRIOR_FLOOR = 0.05

HOUR_MS = 3_600_000.0


class Bank(NamedTuple):
    """The components of one model on one instrument, as arrays; K components.

    ``values`` holds all kernels end to end, a 0 after each: that of component k and side s (0
    long, 1 short) begins at ``offset[k, s]``, has ``size[k, s]`` bins and lies ``first[k, s]``
    bins from the entry outwards. Components which share a kernel lie together.
    Long kernels are stored farthest bin first, so that both run upwards.
    """

    tau_ms: NDArray[np.float64]  # [k] lifetime
    weight: NDArray[np.float64]  # [k] share of the opened notional; sums to 1
    tier: NDArray[np.int64]  # [k] index into the tiers, ascending
    values: NDArray[np.float64]  # kernels, each summing to 1
    sums: NDArray[np.float64]  # their running sums from 0, one more than bins
    offset: NDArray[np.int64]  # [k, 2]
    first: NDArray[np.int64]  # [k, 2]
    size: NDArray[np.int64]  # [k, 2]


class _Component(NamedTuple):
    distance: tuple[float, float]  # log distance of long, short
    width: float  # standard deviation over distance
    hours: float
    weight: float
    leverage: float  # of its tier


def mixture_for(
    instrument: Instrument, leverage: Mapping[float, float] | None
) -> dict[float, float]:
    """Return shares over leverage, ascending, summing to 1, as the instrument allows them.

    What the prior holds above the instrument's largest leverage is moved to that leverage. A
    mixture given by the user must be allowed as it is.

    Raises
    ------
    BadInputError
        A leverage is not above 1 or above what the instrument allows; shares are negative or
        all zero.
    """
    top = max(tier.max_leverage for tier in instrument.tiers)
    if leverage is None:
        shares: dict[float, float] = {}
        for level, share in PRIOR_MIXTURE.items():
            key = float(min(level, top))
            shares[key] = shares.get(key, 0.0) + share
        return dict(sorted(shares.items()))
    for level, share in leverage.items():
        if not 1.0 < level <= top:
            raise BadInputError(
                f"leverage must lie above 1 and within the {top:g}x {instrument.name} allows",
                where="leverage", value=level, do="drop it from the mixture",
            )  # fmt: skip
        if not (share >= 0.0 and math.isfinite(share)):
            raise BadInputError(
                "a share must be >= 0", where=f"leverage {level:g}x", value=share
            )
    total = sum(leverage.values())
    if total <= 0.0:
        raise BadInputError("no share above 0", where="leverage", value=dict(leverage),
                            do="give at least one, such as 25:1")  # fmt: skip
    return {float(k): v / total for k, v in sorted(leverage.items()) if v > 0}


def build_bank(
    instrument: Instrument, model: str, leverage: Mapping[float, float] | None
) -> tuple[Bank, tuple[float, ...]]:
    """Return the bank of a model and its tiers (leverages, ascending).

    Parameters
    ----------
    instrument : Instrument
        Gives distances by its margin tiers and settlement.
    model : {"sharp", "zones", "calibrated"}
        Which kernels and lifetimes. "calibrated" gives the prior: ``ledger weight = prior *
        exp(log_gain)``, see ``weights``.
    leverage : mapping of leverage to share, or None
        The user's mixture; the prior where None.
    """
    if model == "calibrated":
        return _calibrated(instrument, leverage)
    mixture = mixture_for(instrument, leverage)
    tiers = tuple(mixture)
    distances = {level: liquidation_distance(instrument, level) for level in tiers}
    sharp = model == "sharp"
    parts = _sharp(mixture, distances) if sharp else _zones(mixture, distances)
    parts = sorted((part for part in parts if part.weight > 0), key=lambda c: c.leverage)
    return _pack(parts, tiers, _nearest(mixture, distances)), tiers


def _calibrated(
    instrument: Instrument, leverage: Mapping[float, float] | None
) -> tuple[Bank, tuple[float, ...]]:
    """Return the zones bank with no component left out, a user's mixture acting on top.

    A user's mixture re-weighs whole tiers: a tier's components are multiplied by its share over
    what the prior gives the tier, so the components within a tier keep their learnt ratio.
    """
    mixture = mixture_for(instrument, None)
    tiers = tuple(mixture)
    distances = {level: liquidation_distance(instrument, level) for level in tiers}
    parts = sorted(_zones(mixture, distances, PRIOR_FLOOR), key=lambda c: c.leverage)
    bank = _pack(parts, tiers, _nearest(mixture, distances))
    if leverage is None:
        return bank, tiers
    share = np.zeros(len(tiers))
    for level, part in mixture_for(instrument, leverage).items():
        share[np.argmin(np.abs(np.log(np.array(tiers) / level)))] += part
    prior = np.bincount(bank.tier, bank.weight, len(tiers))
    return bank._replace(weight=bank.weight * (share / prior)[bank.tier]), tiers


def tiers_for(
    instrument: Instrument, model: str, leverage: Mapping[float, float] | None
) -> tuple[float, ...]:
    """Return the tiers of ``build_bank`` without building anything."""
    return tuple(mixture_for(instrument, None if model == "calibrated" else leverage))


def check_tiers(wanted: Sequence[float] | None, tiers: Sequence[float]) -> None:
    """Refuse a leverage which is neither a tier nor one of the prior's.

    One of the prior's which an instrument does not allow shows nothing there; it is no
    mistake, because other instruments of the coin may have it.

    Raises
    ------
    BadInputError
        Names the tiers there are.
    """
    for one in wanted or ():
        if one not in tiers and one not in PRIOR_MIXTURE:
            raise BadInputError(
                "the model has no such leverage tier", where="tiers", value=f"{one:g}",
                do=f"use any of {', '.join(f'{tier:g}' for tier in sorted(tiers))}",
            )  # fmt: skip


def shown_tiers(
    tiers: Sequence[float], wanted: Sequence[float] | None, *, own_mixture: bool = False
) -> NDArray[np.bool_]:
    """Return which tiers are shown where only ``wanted`` are; all of them where None.

    What the prior holds above the largest leverage is moved to that leverage. Where the prior
    does not have it, it is also named by the one nearest to it: 40x by 50x.

    >>> shown_tiers([2, 25, 40], [2, 50]).tolist(), shown_tiers([2, 25], [40]).tolist()
    ([True, False, True], [False, False])
    """
    if wanted is None:
        return np.ones(len(tiers), np.bool_)
    out = []
    for tier in tiers:
        names = {tier}
        if not own_mixture and tier not in PRIOR_MIXTURE:
            names.add(min(PRIOR_MIXTURE, key=lambda v: abs(math.log(v / tier))))
        out.append(not names.isdisjoint(wanted))
    return np.array(out, np.bool_)


def lifetime_hours(leverage: float) -> float:
    """Return the mean lifetime of positions at a leverage, log-log between the table's rows."""
    x = [math.log(level) for level, _ in LIFETIME_HOURS]
    y = [math.log(hours) for _, hours in LIFETIME_HOURS]
    return math.exp(float(np.interp(math.log(leverage), x, y)))


def _sharp(
    mixture: dict[float, float], distances: dict[float, tuple[float, float]]
) -> list[_Component]:
    return [
        _Component(distances[level], SHARP_SD, lifetime_hours(level), share, level)
        for level, share in mixture.items()
    ]


def _zones(
    mixture: dict[float, float],
    distances: dict[float, tuple[float, float]],
    floor: float = 0.0,
) -> list[_Component]:
    parts: list[_Component] = []
    broad = dict.fromkeys(BROAD_DISTANCES, 0.0)
    for level, share in mixture.items():
        for hours, part in _lifetime_split(lifetime_hours(level), floor):
            parts.append(
                _Component(
                    distances[level], SHARP_SD, hours, share * ISOLATED_SHARE * part, level
                )
            )
        middle = math.log(CROSS_STRETCH * sum(distances[level]) / 2)
        for distance, part in zip(BROAD_DISTANCES, _cross_split(middle), strict=True):
            broad[distance] += share * (1 - ISOLATED_SHARE) * part
    for distance, weight in broad.items():
        nearest = min(
            mixture, key=lambda v: abs(math.log(sum(distances[v]) / 2 / distance))
        )
        for hours, part in _lifetime_split(lifetime_hours(1.0 / distance), floor):
            pair = (distance, distance)
            parts.append(_Component(pair, BROAD_SD, hours, weight * part, nearest))
    return parts


def _lifetime_split(hours: float, floor: float) -> list[tuple[float, float]]:
    """Spread a lifetime over the two nearest of ``ZONE_HOURS``, linear in ln(hours).

    None is given less than ``floor``; the shares sum to 1.
    """
    x = [math.log(h) for h in ZONE_HOURS]
    weights = [float(np.interp(math.log(hours), x, row)) for row in np.eye(len(x))]
    weights = [floor + (1.0 - len(x) * floor) * weight for weight in weights]
    return list(zip(ZONE_HOURS, weights, strict=True))


def _cross_split(middle: float) -> list[float]:
    """Shares of a log-normal of distances which fall nearest to each broad kernel."""
    centres = np.log(BROAD_DISTANCES)
    density = np.exp(-0.5 * ((centres - middle) / CROSS_LOG_SD) ** 2)
    shares: list[float] = (density / density.sum()).tolist()
    return shares


def _nearest(
    mixture: dict[float, float], distances: dict[float, tuple[float, float]]
) -> tuple[float, float]:
    """Return the log distances (long, short) within which no broad kernel has anything."""
    long, short = distances[max(level for level, share in mixture.items() if share > 0)]
    return NEAREST * long, NEAREST * short


def _pack(
    parts: list[_Component], tiers: tuple[float, ...], nearest: tuple[float, float]
) -> Bank:
    offset = np.zeros((len(parts), 2), np.int64)
    first, size = np.zeros_like(offset), np.zeros_like(offset)
    values: list[NDArray[np.float64]] = []
    places: dict[tuple[float, float, int], tuple[int, int, int]] = {}
    used = 0
    for k, part in enumerate(parts):
        for side in (0, 1):
            key = (part.distance[side], part.width, side)
            if key not in places:  # lifetimes share their kernel
                edge = nearest[side] if part.width == BROAD_SD else 0.0
                start, kernel = _kernel(part.distance[side], part.width, edge)
                places[key] = used, start, len(kernel)
                values.append(kernel[::-1] if side == 0 else kernel)
                used += len(kernel) + 1
            offset[k, side], first[k, side], size[k, side] = places[key]
    return Bank(
        tau_ms=np.array([part.hours * HOUR_MS for part in parts]),
        weight=np.array([part.weight for part in parts]),
        tier=np.array([tiers.index(part.leverage) for part in parts], np.int64),
        values=np.concatenate([np.append(kernel, 0.0) for kernel in values]),
        sums=np.concatenate([np.r_[0.0, np.cumsum(kernel)] for kernel in values]),
        offset=offset,
        first=first,
        size=size,
    )


def _kernel(
    distance: float, width: float, nearest: float
) -> tuple[int, NDArray[np.float64]]:
    """Return (bins from the entry, masses per bin) of a normal around ``distance``, sum 1.

    Nothing lies nearer than ``nearest``; a kernel centred nearer than that is centred there.
    """
    centre = max(distance, nearest) / LOG_BIN
    sd = max(width * centre, 0.25)
    start = max(1, math.floor(centre - KERNEL_REACH * sd), math.ceil(nearest / LOG_BIN))
    stop = max(start + 1, math.ceil(centre + KERNEL_REACH * sd))
    edges = (np.arange(start, stop + 1) - 0.5 - centre) / (sd * math.sqrt(2.0))
    mass = np.diff([math.erf(edge) for edge in edges])
    return start, mass / mass.sum()
