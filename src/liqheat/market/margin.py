"""Margin rules: from a position to the mark price at which it is liquidated.

Owns the closed formulas the whole package rests on. A position is liquidated when the margin
left equals the margin required. With side ``s`` = +1 for a long, -1 for a short, quantity
``q``, entry ``E``, isolated margin ``M``, maintenance rate ``m``, the exchange's closing fee
``c`` and maintenance amount ``A``::

    linear    M + s*q*(P - E)        = q*P*(m + c) - A          margin in quote
    inverse   M + s*N*(1/E - 1/P)    = N/P*(m + c) - A          margin in base, N = notional

A long dies BELOW its entry and a short ABOVE. Many public tools add the maintenance margin
where it must be subtracted; then a 100x long dies 1 % away instead of 0.6 %.

Sources: the exchanges' help pages; Binance's cross formula; checked against each other in
``tests/unit/test_margin.py``. Knows nothing of time, disk or network.
"""

from __future__ import annotations

import math

from liqheat.market.instrument import Instrument, MarginTier

#: Notional-weighted position sizes: log-normal, median [USD] and log-sd. An assumption,
#: chosen because it gives the effective rate of about 0.45 % seen on BTCUSDT below 50x.
POSITION_MEDIAN_USD = 100_000.0
POSITION_LOG_SD = 1.5


def liquidation_price(
    entry_price: float,
    leverage: float,
    maintenance_margin_rate: float,
    *,
    is_long: bool,
    inverse: bool = False,
    qty: float = 1.0,
    maintenance_amount: float = 0.0,
    extra_margin: float = 0.0,
    fee_rate: float = 0.0,
) -> float:
    """Return the mark price at which an isolated position is liquidated.

    Parameters
    ----------
    entry_price : float
        Mean entry price [USD]; positive.
    leverage : float
        Notional over initial margin, at least 1.
    maintenance_margin_rate : float
        Fraction of notional, 0.004 for 0.4 %; with ``fee_rate`` less than ``1/leverage``.
    is_long : bool
        Side of the *position*, not of the order which closes it.
    inverse : bool
        Coin-margined contract: margin, extra margin and amount are in base units.
    qty : float
        Position size, base units; only matters with an amount or extra margin.
    maintenance_amount, extra_margin : float
        The tier's deduction, and margin added by hand; quote (linear) or base (inverse).
    fee_rate : float
        Closing fee the exchange reserves (Binance 0; OKX, Gate, Bitget, Bybit: taker fee).

    Returns
    -------
    float
        Price [USD]; 0.0 for a long, ``inf`` for a short that cannot be liquidated.

    Raises
    ------
    ValueError
        The position is born liquidated: the rate leaves no room under ``1/leverage``.

    Examples
    --------
    A 10x long at 60 000 may lose 10 % less the 0.4 % it must keep:

    >>> round(liquidation_price(60_000, 10, 0.004, is_long=True), 2)
    54216.87
    """
    rate = maintenance_margin_rate + fee_rate
    slack = extra_margin + maintenance_amount
    if not (entry_price > 0 and leverage >= 1 and qty > 0 and 0 <= rate < 1):
        msg = (
            f"no position: entry {entry_price!r}, {leverage!r}x, qty {qty!r}, rate {rate!r}"
        )
        raise ValueError(msg)
    if rate >= 1.0 / leverage and slack <= 0:
        msg = f"{leverage:g}x leaves no room over a maintenance rate of {rate:g}"
        raise ValueError(msg)
    side = 1.0 if is_long else -1.0
    if inverse:
        # Per USD of notional; the amount and the extra margin are coins.
        room = 1.0 / (entry_price * leverage) + slack / (qty * entry_price)
        denominator = side / entry_price + room
        price = (side + rate) / denominator if denominator * side > 0 else math.inf
    else:
        room = entry_price / leverage + slack / qty
        price = (side * entry_price - room) / (side - rate)
    if is_long:
        return max(price, 0.0)
    return price


def cross_liquidation_price(
    entry_price: float,
    qty: float,
    wallet_balance: float,
    maintenance_margin_rate: float,
    *,
    is_long: bool,
    maintenance_amount: float = 0.0,
    other_maintenance: float = 0.0,
    other_unrealised: float = 0.0,
) -> float:
    """Return the liquidation price of a linear cross-margin position, other legs frozen.

    P = (WB - TMM_other + UPNL_other + A - s*q*E) / (q*m - s*q), Binance one-way mode. It does
    not depend on the leverage setting: only on what is in the account.

    Returns 0.0 (long) or ``inf`` (short) when the account survives any price.

    >>> round(cross_liquidation_price(60_000, 1.0, 6_000, 0.004, is_long=True), 2)
    54216.87
    """
    side = 1.0 if is_long else -1.0
    account = wallet_balance - other_maintenance + other_unrealised + maintenance_amount
    price = (account - side * qty * entry_price) / (qty * (maintenance_margin_rate - side))
    if is_long:
        return max(price, 0.0)
    return price if price > 0 else math.inf


def tier_at(tiers: tuple[MarginTier, ...], notional_usd: float) -> MarginTier:
    """Return the tier of a notional; the last one above the table's end.

    Tiers are half-open ``[floor, cap)``: at a cap exactly the higher rate is charged.
    """
    for tier in tiers:
        if notional_usd < tier.notional_cap:
            return tier
    return tiers[-1]


def tiered_liquidation_price(
    instrument: Instrument,
    entry_price: float,
    leverage: float,
    qty: float,
    *,
    is_long: bool,
) -> float:
    """Return the isolated liquidation price under the instrument's own tiers.

    The tier at the *liquidation* price decides, so the tier is found again until it stays.
    ``qty`` is in base units at entry. For inverse contracts the notional does not move.

    Raises
    ------
    ValueError
        The tier of this size does not allow the leverage.
    """
    entry_notional = qty * entry_price
    tier = tier_at(instrument.tiers, entry_notional)
    if leverage > tier.max_leverage:
        msg = f"{leverage:g}x on {entry_notional:,.0f} USD; at most {tier.max_leverage:g}x"
        raise ValueError(msg)
    price = entry_price
    for _ in instrument.tiers:
        # The amount is quote; an inverse position owes it in base, at its entry's worth.
        amount = tier.maintenance_amount
        price = liquidation_price(
            entry_price, leverage, tier.maintenance_margin_rate,
            is_long=is_long, inverse=instrument.is_inverse, qty=qty,
            maintenance_amount=amount / entry_price if instrument.is_inverse else amount,
        )  # fmt: skip
        if instrument.is_inverse or not math.isfinite(price):
            break
        new = tier_at(instrument.tiers, qty * price)
        if new == tier:
            break
        tier = new
    return price


def _normal_cdf(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def effective_rate(tiers: tuple[MarginTier, ...], leverage: float) -> float:
    """Return the notional-weighted maintenance rate of positions held at ``leverage``.

    Positions are log-normal in size (see ``POSITION_MEDIAN_USD``), cut off where the tiers
    no longer allow the leverage; within a tier the rate less amount/notional counts, taken at
    the geometric middle of the tier.

    Raises
    ------
    ValueError
        No tier allows the leverage.
    """
    total = weighted = 0.0
    for tier in tiers:
        if leverage > tier.max_leverage:
            break
        low = max(tier.notional_floor, 1e3)
        cdf = [
            _normal_cdf(math.log(edge / POSITION_MEDIAN_USD) / POSITION_LOG_SD)
            for edge in (low, tier.notional_cap)
        ]
        share = cdf[1] - cdf[0]
        middle = math.sqrt(low * tier.notional_cap)
        total += share
        weighted += share * (
            tier.maintenance_margin_rate - tier.maintenance_amount / middle
        )
    if total <= 0.0:
        msg = f"no margin tier allows {leverage:g}x (at most {tiers[0].max_leverage:g}x)"
        raise ValueError(msg)
    return min(weighted / total, 0.99 / leverage)


def liquidation_distance(instrument: Instrument, leverage: float) -> tuple[float, float]:
    """Return the log distances (long, short) from entry to liquidation, both positive.

    ``ln(entry/price)`` for the long, ``ln(price/entry)`` for the short: the two differ, and
    differ again between linear and inverse contracts.

    Raises
    ------
    ValueError
        ``leverage`` is not above 1, or no tier allows it.

    >>> from liqheat.market.instrument import instrument
    >>> long, short = liquidation_distance(instrument("binance:BTCUSDT"), 25)
    >>> round(long, 4), round(short, 4)
    (0.0366, 0.035)
    """
    if leverage <= 1.0:
        msg = f"a position at {leverage:g}x has no liquidation level; use more than 1x"
        raise ValueError(msg)
    rate = effective_rate(instrument.tiers, leverage)
    kind = instrument.is_inverse
    below = liquidation_price(1.0, leverage, rate, is_long=True, inverse=kind)
    above = liquidation_price(1.0, leverage, rate, is_long=False, inverse=kind)
    return -math.log(below), math.log(above)
