"""Which accounts' positions to ask for next, within a budget; and what their answers tell.

    trades, leaderboard -> see()      accounts, newly seen or seen again
    due()               -> accounts to ask now: never more than the budget allows
    take()              -> Position events of what changed, Liquidation events of what died

An account is asked again after a time which depends on how near to death its nearest position
is: hot, warm or cold. Among those whose time has come, three of four places go by notional /
distance to liquidation * age, the fourth to the one most overdue: so the dangerous come
first, and nobody is forgotten. Pure but for its own state: the clock is an argument.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from liqheat.market.events import Liquidation, Position

#: Least time between two answers of one account [ms]: near liquidation or just seen trading,
#: with a position worth showing, any other.
HOT_MS, WARM_MS, COLD_MS = 60_000, 600_000, 3_600_000
#: Hot is a position nearer to its liquidation price than this [fraction of the mark] ...
HOT_DISTANCE = 0.05
#: ... and of this size at least; smaller ones, and distant ones of it, are warm [USD].
WORTH_USD = 50_000.0
#: What a never-asked account is taken for: 9 in 100 hold 100 thousand USD or more.
UNKNOWN_USD, UNKNOWN_DISTANCE = 10_000.0, 0.1
#: No distance counts as smaller: the mark moves that much between two answers.
LEAST_DISTANCE = 0.002
#: Accounts remembered; beyond, those longest without a position or a trade are dropped.
MOST_ACCOUNTS = 20_000
#: A position which did not change is told again after this [ms], so that its age is known.
REFRESH_MS = 600_000
#: How near the mark must have come to a liquidation price to call a vanished position dead.
TOUCH = 0.002


class Marks:
    """Mark prices of the last hour: newest, and the range since some time."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._minutes: dict[str, dict[int, tuple[float, float]]] = {}

    def note(self, instrument: str, event_ms: int, price: float) -> None:
        """Take a mark price."""
        self._last[instrument] = price
        minutes = self._minutes.setdefault(instrument, {})
        minute = event_ms // 60_000
        low, high = minutes.get(minute, (price, price))
        minutes[minute] = (min(low, price), max(high, price))
        if len(minutes) > 2 * COLD_MS // 60_000:
            for old in sorted(minutes)[: COLD_MS // 60_000]:
                del minutes[old]

    def last(self, instrument: str) -> float | None:
        """Return the newest mark price."""
        return self._last.get(instrument)

    def span(self, instrument: str, since_ms: int) -> tuple[float, float] | None:
        """Return (lowest, highest) in the minutes from ``since_ms`` on, None before any."""
        minutes = self._minutes.get(instrument, {})
        found = [both for minute, both in minutes.items() if minute >= since_ms // 60_000]
        if not found:
            return None
        return min(low for low, _ in found), max(high for _, high in found)


@dataclass(slots=True)
class Account:
    """What is known of one account."""

    #: Asked last; a new account counts as asked a minute before it was seen.
    asked_ms: int
    seen_ms: int
    known: bool = False
    touched: bool = False
    #: Its positions are those of before a restart: what died since, died at an unknown time.
    recalled: bool = False
    positions: dict[str, Position] = field(default_factory=dict)
    told_ms: dict[str, int] = field(default_factory=dict)


class Positions:
    """The accounts of one exchange and the order in which they are asked.

    Parameters
    ----------
    per_minute : float
        Accounts which may be asked a minute.
    """

    def __init__(self, per_minute: float) -> None:
        self._per_ms = per_minute / 60_000
        # Ten seconds' worth at most: in no minute more than 7/6 of a minute's.
        self._most = max(1.0, per_minute / 6)
        self._tokens, self._at_ms = 0.0, 0
        self.accounts: dict[str, Account] = {}

    # -- who is there

    def see(self, address: str, now_ms: int, *, traded: bool = True) -> None:
        """Take an account which was seen trading, or found in a list of large ones."""
        account = self.accounts.get(address)
        if account is None:
            account = self._account(address, now_ms)
            if len(self.accounts) > MOST_ACCOUNTS:
                self._forget()
        account.seen_ms = now_ms
        if traded:
            account.touched = True

    def _account(self, address: str, now_ms: int) -> Account:
        found = self.accounts.get(address)
        if found is None:
            found = self.accounts[address] = Account(now_ms - HOT_MS, now_ms)
        return found

    def _forget(self) -> None:
        # A tenth at once, so that this is rare.
        empty = [
            (one.seen_ms, name) for name, one in self.accounts.items() if not one.positions
        ]
        held = [(one.seen_ms, name) for name, one in self.accounts.items() if one.positions]
        for _, name in (sorted(empty) + sorted(held))[: MOST_ACCOUNTS // 10]:
            del self.accounts[name]

    def recall(self, told: Iterable[Position], now_ms: int) -> None:
        """Take what each account held when it was last told, before a restart.

        They count with the age they have, so that the dangerous and the old are asked first.
        """
        for one in told:
            account = self.accounts.get(one.account)
            if account is not None and not account.recalled:
                continue
            if account is None:
                account = self.accounts[one.account] = Account(
                    one.event_ms, one.event_ms, known=True, recalled=True
                )
            account.asked_ms = account.seen_ms = min(one.event_ms, now_ms)
            if one.qty > 0:
                account.positions[one.instrument] = one
                account.told_ms[one.instrument] = one.event_ms
        while len(self.accounts) > MOST_ACCOUNTS:
            self._forget()

    # -- whom to ask

    def due(self, now_ms: int, marks: Marks) -> list[str]:
        """Return the accounts to ask now, the most urgent first, and spend the budget on them.

        Parameters
        ----------
        now_ms : int
            Exchange's time; never goes back by much.
        marks : Marks
            Mark price of each instrument.
        """
        passed = max(0, now_ms - self._at_ms) if self._at_ms else 60_000
        self._tokens = min(self._most, self._tokens + passed * self._per_ms)
        self._at_ms = now_ms
        places = int(self._tokens)
        if places == 0:
            return []
        late: list[tuple[float, str]] = []
        urgent: list[tuple[float, str]] = []
        for name, account in self.accounts.items():
            score, period_ms = urgency(account, marks)
            age_ms = now_ms - account.asked_ms
            if age_ms >= period_ms:
                late.append((age_ms / period_ms, name))
                urgent.append((score * age_ms, name))
        chosen = [name for _, name in heapq.nlargest(places, urgent)]
        if len(urgent) > places:
            fair = [name for _, name in heapq.nlargest(places, late)]
            keep = places - -(-places // 4)
            rest = [name for name in fair if name not in chosen[:keep]]
            chosen = chosen[:keep] + rest[: places - keep]
        self._tokens -= len(chosen)
        for name in chosen:
            self.accounts[name].asked_ms = now_ms
            self.accounts[name].touched = False
        return chosen

    # -- what they hold

    def take(
        self, address: str, held: Iterable[Position], now_ms: int, marks: Marks
    ) -> list[Position | Liquidation]:
        """Take an account's positions and return what changed.

        A position which is gone is told with quantity 0. Where the mark has been at its
        liquidation price since, a ``Liquidation`` is told too: inferred, so a lower bound.
        """
        account = self._account(address, now_ms)
        now = {one.instrument: one for one in held}
        out: list[Position | Liquidation] = []
        for name, before in account.positions.items():
            after = now.get(name)
            if after is not None and after.position_side != before.position_side:
                after = None
            dead = died(before, after, now_ms, marks.span(name, before.event_ms))
            out += [] if dead is None or account.recalled else [dead]
            if after is None:
                out.append(msgspec.structs.replace(before, event_ms=now_ms, qty=0.0))
        for name, after in now.items():
            old = account.positions.get(name)
            told_ms = account.told_ms.get(name, 0)
            if old is None or now_ms - told_ms >= REFRESH_MS or _differ(old, after):
                out.append(after)
                account.told_ms[name] = now_ms
        account.positions, account.asked_ms, account.known = now, now_ms, True
        account.recalled = False
        return out

    def covered(self, instrument: str) -> tuple[float, float]:
        """Return the quantities (long, short) of all known positions [base units]."""
        both = {"long": 0.0, "short": 0.0}
        for account in self.accounts.values():
            one = account.positions.get(instrument)
            if one is not None:
                both[one.position_side] += one.qty
        return both["long"], both["short"]


def urgency(account: Account, marks: Marks) -> tuple[float, int]:
    """Return how much an account matters [USD], and how old its answer may be [ms].

    The sum over its positions of notional / distance to liquidation.
    """
    if not account.known:
        return UNKNOWN_USD / UNKNOWN_DISTANCE, HOT_MS
    score, period_ms = 0.0, COLD_MS
    for one in account.positions.values():
        mark = marks.last(one.instrument)
        if mark is None:
            continue
        usd, distance = one.qty * mark, 1.0
        if one.liquidation_price is not None:
            distance = max(LEAST_DISTANCE, abs(one.liquidation_price / mark - 1.0))
        score += usd / distance
        if usd >= WORTH_USD:
            period_ms = min(period_ms, HOT_MS if distance < HOT_DISTANCE else WARM_MS)
    return score, HOT_MS if account.touched else period_ms


def died(
    before: Position, after: Position | None, now_ms: int, span: tuple[float, float] | None
) -> Liquidation | None:
    """Return the forced closing which explains that a position is gone or smaller, if one does.

    Parameters
    ----------
    before, after : Position
        As told last, and as it is now; None where it is gone.
    now_ms : int
        When that was found: death lies between the two.
    span : (low, high), optional
        Where the mark was between.
    """
    price, left = before.liquidation_price, 0.0 if after is None else after.qty
    if price is None or span is None or left >= before.qty:
        return None
    low, high = span
    is_long = before.position_side == "long"
    if low > price * (1 + TOUCH) if is_long else high < price * (1 - TOUCH):
        return None
    # Where the mark jumped over the price, it was at its end that the order met the book.
    at = min(price, high) if is_long else max(price, low)
    qty = before.qty - left
    return Liquidation(
        before.instrument, now_ms, before.position_side, price, "mark", qty, qty * at,
        at, "lower_bound",
    )  # fmt: skip


def _differ(old: Position, new: Position) -> bool:
    if (old.position_side, old.leverage) != (new.position_side, new.leverage):
        return True
    if not math.isclose(old.qty, new.qty, rel_tol=1e-6):
        return True
    a, b = old.liquidation_price, new.liquidation_price
    if a is None or b is None:
        return a is not b
    # A cross liquidation price moves with each tick of the account's other positions.
    return not math.isclose(a, b, rel_tol=1e-3)
