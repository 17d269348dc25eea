"""The compiled part of the simulated market: one call of ``run`` passes some seconds.

All of a market is one record (``MARKET``) and two tables: open positions in ``SLOT`` rows, and
the ``LOG``. Each slot is in up to three doubly linked lists whose heads are one array: by the
price of its nearest adverse trigger (liquidation or stop), by its take profit, and by the
second of its next review. Prices fall into buckets of 2 bp, reviews into a wheel of one day, so
putting in, taking out and moving on cost a constant; where the mark price enters a bucket,
every price in it is compared.

Each state of a position that ends (closed, or changed by more margin, more size or a drift) is
a row of the log. Random numbers come from one xorshift state. Nothing here allocates: before
each second the tables are known to be large enough, else ``run`` returns early.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from liqheat.jit import kernel, part

# Constants which are passed on are numpy's: for Python's own, numba would compile a function
# anew for each value.
#: Why a state ended; CHANGED: the position goes on.
OPEN, LIQUIDATED, STOPPED, PROFITED, LEFT, CHANGED = (np.int64(code) for code in range(6))
#: Why ``run`` returned.
DONE, NEED_PLANS, NEED_ROOM = range(3)
#: Lists by region: the even ones lie below the mark price; adverse first, then targets.
LONG_DOWN, SHORT_UP, SHORT_DOWN, LONG_UP = (np.int64(code) for code in range(4))
#: Columns of a plan.
(HOLDING, ISOLATED, LIFE, LEVERAGE, NOTIONAL, STOP, PROFIT, STYLE, SIDE, ROUND, PRICE,
 AGE) = range(12)  # fmt: skip
BUCKET, BUCKETS, STEPS_A_DAY, BATCH = 2e-4, 16_384, 86_400, 8_192
MOST_ARRIVALS, MOST_TIERS = 200, 16
DAY = 86_400.0
# A slot's lists: where in ``links`` each one has next, previous and head (-1: none).
ADVERSE, TARGET, REVIEW = np.int64(0), np.int64(3), np.int64(6)

#: An open position; ``stop`` and ``profit`` are 0 where there is none, ``room`` is the first
#: log distance to liquidation, ``trigger`` the nearer of stop and liquidation price.
SLOT = np.dtype([
    ("entry", "f8"), ("liquidation", "f8"), ("leverage", "f8"), ("stop", "f8"),
    ("profit", "f8"), ("trigger", "f8"), ("room", "f8"), ("side", "i4"), ("lots", "i4"),
    ("holding", "i4"), ("isolated", "i4"), ("opened", "i4"), ("since", "i4"),
    ("number", "i4"), ("leaves", "i4"), ("looked", "i4"), ("links", "i4", (9,)),
])  # fmt: skip
#: A state that ended in step ``until``, at a mark price.
LOG = np.dtype([
    ("entry", "f8"), ("liquidation", "f8"), ("leverage", "f8"), ("mark", "f8"),
    ("side", "i4"), ("lots", "i4"), ("holding", "i4"), ("isolated", "i4"),
    ("opened", "i4"), ("since", "i4"), ("number", "i4"), ("until", "i4"), ("reason", "i4"),
    ("spare", "i4"),
])  # fmt: skip
#: What is written down each second: last and mark price at its end, lots traded and taken by
#: buyers, open interest (lots), local volatility, thinness of depth.
RECORDS = ("price", "mark", "traded", "bought", "interest", "sigma", "thin")
MARKET = np.dtype([
    # numbers of the state; ``down``/``up``: no adverse or target price is beyond them
    ("log_price", "f8"), ("price", "f8"), ("mark", "f8"), ("transient", "f8"),
    ("heat", "f8"), ("thin", "f8"), ("fast", "f8"), ("slow", "f8"), ("led", "f8"),
    ("down", "f8"), ("up", "f8"), ("random", "u8"),
    ("step", "i8"), ("longs", "i8"), ("shorts", "i8"), ("numbers", "i8"),
    ("plan", "i8"), ("plans_drawn", "i8"), ("starting", "i8"), ("free", "i8"),
    ("used", "i8"), ("rows", "i8"), ("flow", "i8"), ("forced", "i8"), ("traded", "i8"),
    ("bought", "i8"),
    # what is given
    ("inverse", "i8"), ("follows", "i8"), ("lot", "f8"), ("impact", "f8"), ("home", "f8"),
    ("sigma_day", "f8"), ("base", "f8"), ("hold", "f8", (4,)), ("n_tiers", "i8"),
    ("tier_cap", "f8", (MOST_TIERS,)), ("tier_rate", "f8", (MOST_TIERS,)),
    ("tier_amount", "f8", (MOST_TIERS,)), ("plans", "f8", (2 * BATCH, 12)),
    # the day as drawn: ``outside`` is the log return of news, or the leader's log price
    ("sigma", "f8", (STEPS_A_DAY,)), ("noise", "f8", (STEPS_A_DAY,)),
    ("arrivals", "f8", (STEPS_A_DAY,)), ("rounding", "f8", (STEPS_A_DAY,)),
    ("mood", "f8", (STEPS_A_DAY,)), ("outside", "f8", (STEPS_A_DAY,)),
    ("records", "f8", (len(RECORDS), STEPS_A_DAY)),
    ("heads", "i4", (4 * BUCKETS + STEPS_A_DAY,)),
])  # fmt: skip
Whole: TypeAlias = int | np.int64
Record: TypeAlias = Any
Slots: TypeAlias = Any
Log: TypeAlias = Any

# Dynamics per second. Share of the impact that stays; decay of the rest (20 min); weight of
# the mark price (30 s); decay of excitement (8 min) and of thin depth (12 min); trends.
PERMANENT = 0.2
TRANSIENT_DECAY = math.exp(-1 / 1_200)
MARK_WEIGHT = 1.0 - math.exp(-1 / 30)
HEAT_WEIGHT = 1.0 - math.exp(-1 / 480)
THIN_DECAY = math.exp(-1 / 720)
TREND_FAST = 1.0 - math.exp(-1 / 1_800)
TREND_SLOW = 1.0 - math.exp(-1 / 43_200)
HEAT_MOST, THIN_MOST, THIN_FORCED = 12.0, 8.0, 300.0
#: Excitement is the mean squared surprise; this share of the variance comes from it.
EXCITED = 0.6
#: A pull back to the first price, so that a year does not end at a tenth of it.
HOME_PULL = 1.0 / (120 * DAY)
#: How much of the distance to the leader's price goes in a second.
ARBITRAGE = 0.02
#: Cross accounts: sd of the log distance to liquidation after a day.
DRIFT_SD = 0.15
#: More margin near death: less than this share of the first distance left; hourly chance.
NEAR_DEATH, TOP_UP_CHANCE, TOP_UP_BUCKETS = 0.3, 0.02, 250
#: Averaging down at a review, of those with a loss of 15-60 % of the margin.
AVERAGING_CHANCE = 0.08
#: Losers defer their planned end with this chance: exits at 0.67 of the winners' rate. Below
#: -30 % of the margin they leave at four times the rate.
DEFER_CHANCE, PAIN, PAIN_RATE = 0.33, -0.3, 3.0
#: Two in five put their stop just beyond a round price, their target on one.
ROUND_SHARE, BEYOND_ROUND = 0.4, 3e-4


@part
def _random(m: Record) -> float:
    x = m.random
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    m.random = x
    return (float(x >> np.uint64(12)) + 0.5) / 4503599627370496.0


@part
def _link(m: Record, slots: Slots, slot: Whole, which: Whole, head: Whole) -> None:
    first, own = m.heads[head], slots[slot].links
    own[which], own[which + 1], own[which + 2] = first, -1, head
    if first >= 0:
        slots[first].links[which + 1] = slot
    m.heads[head] = slot


@part
def _unlink(m: Record, slots: Slots, slot: Whole, which: Whole) -> None:
    own = slots[slot].links
    after, before, head = own[which], own[which + 1], own[which + 2]
    if head < 0:
        return
    if before >= 0:
        slots[before].links[which] = after
    else:
        m.heads[head] = after
    if after >= 0:
        slots[after].links[which + 1] = before
    own[which + 2] = -1


@part
def _bucket(m: Record, price: float) -> int:
    at = int((math.log(price) - m.base) / BUCKET)
    return max(0, min(BUCKETS - 1, at))


@part
def _put(
    m: Record, slots: Slots, slot: Whole, which: Whole, region: Whole, price: float
) -> None:
    _unlink(m, slots, slot, which)
    _link(m, slots, slot, which, region * BUCKETS + _bucket(m, price))
    if region % 2 == 0:
        m.down = max(m.down, price)
    else:
        m.up = min(m.up, price)


@part
def _arm(m: Record, slots: Slots, slot: Whole) -> None:
    # Puts the position where the nearer of stop and liquidation price is.
    own = slots[slot]
    price = own.liquidation
    if own.side > 0:
        price = max(own.stop, price)
    elif own.stop > 0.0:
        price = min(own.stop, price)
    own.trigger = price
    _put(m, slots, slot, ADVERSE, LONG_DOWN if own.side > 0 else SHORT_UP, price)


@part
def _write(m: Record, own: Record, log: Log, reason: Whole) -> None:
    out = log[m.rows]
    m.rows += 1
    out.entry, out.liquidation, out.leverage = own.entry, own.liquidation, own.leverage
    out.side, out.lots, out.number = own.side, own.lots, own.number
    out.holding, out.isolated, out.opened = own.holding, own.isolated, own.opened
    out.since, out.until, out.reason, out.mark = own.since, m.step, reason, m.mark
    own.since = m.step


@part
def _trade(m: Record, side: Whole, lots: Whole, signed: Whole) -> None:
    # ``signed`` lots of position on one side come or go.
    m.traded += lots
    m.flow += side * signed
    if side > 0:
        m.longs += signed
    else:
        m.shorts += signed


@part
def _close(m: Record, slots: Slots, log: Log, slot: Whole, reason: Whole) -> None:
    own = slots[slot]
    lots, side = np.int64(own.lots), np.int64(own.side)
    _write(m, own, log, reason)
    for which in range(0, 9, 3):
        _unlink(m, slots, slot, which)
    own.links[0] = m.free
    own.side = 0
    m.free = slot
    m.used -= 1
    _trade(m, side, lots, -lots)
    if reason == LIQUIDATED:
        m.forced += lots
    # A take profit rests in the book, so its taker is on the other side.
    if (side < 0) != (reason == PROFITED):
        m.bought += lots


@part
def _fire(m: Record, slots: Slots, log: Log, region: Whole, end: float) -> None:
    # Closes whatever lies between the mark price and ``end`` in one region.
    mark, down, adverse = m.mark, region % 2 == 0, region < SHORT_DOWN
    one, other = region * BUCKETS + _bucket(m, mark), region * BUCKETS + _bucket(m, end)
    for head in range(min(one, other), max(one, other) + 1):
        slot = np.int64(m.heads[head])
        while slot >= 0:
            own = slots[slot]
            after = own.links[ADVERSE if adverse else TARGET]
            at = own.trigger if adverse else own.profit
            if (at >= mark) if down else (at <= mark):
                dead = own.liquidation
                reason = PROFITED
                if adverse:
                    reached = (dead >= mark) if down else (dead <= mark)
                    reason = LIQUIDATED if reached else STOPPED
                _close(m, slots, log, slot, reason)
            slot = after


@part
def _fire_all(m: Record, slots: Slots, log: Log) -> None:
    mark = m.mark
    if mark <= m.down:
        _fire(m, slots, log, LONG_DOWN, m.down)
        _fire(m, slots, log, SHORT_DOWN, m.down)
        m.down = mark
    if mark >= m.up:
        _fire(m, slots, log, SHORT_UP, m.up)
        _fire(m, slots, log, LONG_UP, m.up)
        m.up = mark


@part
def _liquidation(
    m: Record, entry: float, leverage: float, lots: float, side: float
) -> float:
    # margin.tiered_liquidation_price on arrays; the tests hold the two equal.
    stable = lots * m.lot
    qty = stable / entry if m.inverse > 0 else stable
    notional, price, before = qty * entry, entry, -1
    for _ in range(m.n_tiers):
        tier = 0
        while tier < m.n_tiers - 1 and notional >= m.tier_cap[tier]:
            tier += 1
        if tier == before:
            break
        rate, amount = m.tier_rate[tier], m.tier_amount[tier]
        if m.inverse > 0:
            room = 1.0 / (entry * leverage) + amount / entry / (qty * entry)
            return float((side + rate) / (side / entry + room))
        price = (side * entry - (entry / leverage + amount / qty)) / (side - rate)
        notional, before = qty * price, tier
    return float(price)


@part
def _target(price: float, distance: float, direction: float, beyond: float) -> float:
    # ``distance`` away; where ``beyond`` >= 0 at a round price, or that much beyond one.
    at = price * math.exp(direction * distance)
    if beyond < 0.0:
        return at
    grid = 10.0 ** math.floor(math.log10(price * distance))
    return math.floor(at / grid + 0.5) * grid + direction * beyond * price


@part
def _open(
    m: Record, slots: Slots, plan: Whole, is_long: bool, price: float, opened: Whole
) -> None:
    p, side = m.plans[plan], 1 if is_long else -1
    lots = int(p[NOTIONAL] / (m.lot * (1.0 if m.inverse > 0 else price)))
    if lots <= 0:
        return
    slot = m.free
    own = slots[slot]
    m.free = own.links[0]
    m.used += 1
    own.side, own.lots, own.holding, own.isolated = side, lots, p[HOLDING], p[ISOLATED]
    own.opened = own.since = opened
    own.number = m.numbers
    m.numbers += 1
    own.entry, own.leverage = price, p[LEVERAGE]
    own.liquidation = _liquidation(m, price, p[LEVERAGE], float(lots), float(side))
    own.room = abs(math.log(own.liquidation / price))
    is_round = p[ROUND] < ROUND_SHARE
    own.stop = own.profit = 0.0
    if p[STOP] > 0.0:
        own.stop = _target(price, p[STOP], -side, BEYOND_ROUND if is_round else -1.0)
    own.links[2] = own.links[5] = -1
    _arm(m, slots, slot)
    if p[PROFIT] > 0.0:
        own.profit = _target(price, p[PROFIT], side, 0.0 if is_round else -1.0)
        _put(m, slots, slot, TARGET, LONG_UP if is_long else SHORT_DOWN, own.profit)
    own.looked = m.step
    own.leaves = m.step + int(min(p[LIFE], 100 * DAY)) + 1
    _plan_review(m, slots, slot)
    _trade(m, side, lots, lots)
    if is_long:
        m.bought += lots


@part
def _plan_review(m: Record, slots: Slots, slot: Whole) -> None:
    # A quarter of its age from now, at least six hours and less than the wheel's day.
    own = slots[slot]
    pause = max(21_600, min(STEPS_A_DAY - 1, (m.step - own.opened) // 4))
    at = min(max(own.leaves, m.step + 1), m.step + pause)
    _link(m, slots, slot, REVIEW, 4 * BUCKETS + at % STEPS_A_DAY)


@part
def _move_liquidation(
    m: Record, slots: Slots, log: Log, slot: Whole, distance: float
) -> None:
    own = slots[slot]
    _write(m, own, log, CHANGED)
    own.liquidation = m.mark * math.exp(-own.side * distance)
    _arm(m, slots, slot)


@part
def _average_down(m: Record, slots: Slots, log: Log, slot: Whole) -> None:
    # More of the same, at the same leverage; only small positions, in the first tier.
    own = slots[slot]
    more = max(1, int(own.lots * (0.3 + 0.7 * _random(m))))
    lots = np.int64(own.lots) + more
    if m.inverse > 0:
        mean, usd = lots / (own.lots / own.entry + more / m.price), 1.0
    else:
        mean, usd = (own.lots * own.entry + more * m.price) / lots, m.price
    if 2.0 * lots * m.lot * usd > m.tier_cap[0]:
        return
    dead = _liquidation(m, mean, own.leverage, float(lots), float(own.side))
    if own.side * (m.mark - dead) <= 0.0:
        return
    _write(m, own, log, CHANGED)
    own.lots, own.entry, own.liquidation = lots, mean, dead
    _arm(m, slots, slot)
    _trade(m, np.int64(own.side), more, more)
    if own.side > 0:
        m.bought += more


@part
def _review(m: Record, slots: Slots, log: Log, slot: Whole) -> None:
    own = slots[slot]
    hold = m.hold[own.holding]
    gain = own.side * (m.price / own.entry - 1.0) * own.leverage
    passed = m.step - own.looked
    own.looked = m.step
    leaves = False
    if m.step >= own.leaves:
        leaves = gain >= 0.0 or gain < PAIN or _random(m) >= DEFER_CHANCE
        own.leaves = m.step + 1 + int(min(-math.log(_random(m)) * hold, 100 * DAY))
    elif gain < PAIN:
        leaves = _random(m) < 1.0 - math.exp(-PAIN_RATE * passed / hold)
    if leaves:
        _close(m, slots, log, slot, LEFT)
        return
    if -0.6 < gain < -0.15 and _random(m) < AVERAGING_CHANCE:
        _average_down(m, slots, log, slot)
    elif own.isolated == 0 and passed > 3_600:
        away = own.side * math.log(m.mark / own.liquidation)
        sd = DRIFT_SD * math.sqrt(passed / DAY)
        turn = math.sqrt(-2.0 * math.log(_random(m))) * math.cos(2 * math.pi * _random(m))
        _move_liquidation(m, slots, log, slot, away * math.exp(sd * turn - 0.5 * sd * sd))
    _plan_review(m, slots, slot)


@part
def _review_due(m: Record, slots: Slots, log: Log) -> None:
    slot = np.int64(m.heads[4 * BUCKETS + m.step % STEPS_A_DAY])
    while slot >= 0:
        after = slots[slot].links[REVIEW]
        _unlink(m, slots, slot, REVIEW)
        _review(m, slots, log, slot)
        slot = after


@part
def _top_up(m: Record, slots: Slots, log: Log) -> None:
    here = _bucket(m, m.mark)
    for region in range(2):
        low = here - TOP_UP_BUCKETS if region == LONG_DOWN else here
        for bucket in range(max(low, 0), min(low + TOP_UP_BUCKETS, BUCKETS)):
            slot = np.int64(m.heads[region * BUCKETS + bucket])
            while slot >= 0:
                own = slots[slot]
                after = own.links[ADVERSE]
                left = own.side * math.log(m.mark / own.liquidation)
                if 0.0 < left < NEAR_DEATH * own.room and _random(m) < TOP_UP_CHANCE:
                    left += own.room * (0.3 + 0.7 * _random(m))
                    _move_liquidation(m, slots, log, slot, left)
                slot = after


@part
def _arrive(m: Record, slots: Slots, index: Whole) -> None:
    expected = m.arrivals[index] * (1.0 - EXCITED + EXCITED * m.heat)
    count = min(int(expected + m.rounding[index]), MOST_ARRIVALS)
    crowd = (m.longs - m.shorts) / max(m.longs, m.shorts, 1)
    mood = 0.5 + m.mood[index] - 0.3 * crowd
    push = 0.2 * math.tanh((m.fast - m.slow) / (1.2 * m.sigma_day))
    for _ in range(count):
        plan = m.plan % (2 * BATCH)
        is_long = m.plans[plan, SIDE] < mood + m.plans[plan, STYLE] * push
        _open(m, slots, plan, is_long, m.price, m.step)
        m.plan += 1


@part
def _move(m: Record, index: Whole) -> None:
    sigma, interest = m.sigma[index], max(m.longs, m.shorts, 1)
    impact = max(-0.01, min(0.01, m.impact * m.thin * m.flow / interest))
    fading = m.transient * TRANSIENT_DECAY + (1.0 - PERMANENT) * impact
    # Excitement, and the disorder of a market pushed away from where it was.
    boost = math.sqrt(1.0 - EXCITED + EXCITED * m.heat) + min(60.0 * abs(m.transient), 4.0)
    move = PERMANENT * impact + fading - m.transient
    if m.follows > 0:
        move += m.outside[index] - m.led - ARBITRAGE * (m.log_price - m.led)
        m.led = m.outside[index]
    else:
        move += m.noise[index] * boost + m.outside[index]
        move -= HOME_PULL * (m.log_price - m.home)
    m.transient = fading
    m.log_price += move
    surprise = min((move / sigma) ** 2, 400.0)
    m.heat = min(m.heat + HEAT_WEIGHT * (surprise - m.heat), HEAT_MOST)
    thin = 1.0 + (m.thin - 1.0) * THIN_DECAY + THIN_FORCED * m.forced / interest
    m.thin = min(thin + 0.002 * max(min(surprise, 60.0) - 12.0, 0.0), THIN_MOST)
    m.fast += TREND_FAST * (m.log_price - m.fast)
    m.slow += TREND_SLOW * (m.log_price - m.slow)
    m.price = math.exp(m.log_price)
    m.mark += MARK_WEIGHT * (m.price - m.mark)
    r = m.records
    r[0, index], r[1, index], r[2, index], r[3, index] = m.price, m.mark, m.traded, m.bought
    r[4, index], r[5, index], r[6, index] = max(m.longs, m.shorts), sigma * boost, m.thin


@kernel
def run(market: Any, slots: Slots, log: Log, target: Whole) -> int:
    """Run to step ``target`` of the current day; return DONE, or what is missing.

    First opens the ``starting`` plans, at the prices and ages in their last two columns.
    """
    m = market[0]
    for plan in range(m.starting):
        p = m.plans[plan]
        _open(m, slots, plan, p[SIDE] < 0.5, p[PRICE], -int(p[AGE]) - 1)
    m.starting = 0
    while m.step < target:
        if m.plan + MOST_ARRIVALS > m.plans_drawn:
            return NEED_PLANS
        # A state may end twice in a second: changed by a review, then by a top-up.
        rows = m.rows + 2 * m.used + MOST_ARRIVALS
        if m.used + MOST_ARRIVALS > len(slots) or rows > len(log):
            return NEED_ROOM
        m.flow = m.forced = m.traded = m.bought = 0
        _fire_all(m, slots, log)
        _review_due(m, slots, log)
        if m.step % 3600 == 0:
            _top_up(m, slots, log)
        _arrive(m, slots, m.step % STEPS_A_DAY)
        _move(m, m.step % STEPS_A_DAY)
        m.step += 1
    return DONE
