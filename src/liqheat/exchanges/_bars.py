"""One-minute bars of one instrument, built from its trades or taken from its klines.

The minute of a trade is that of the exchange's time. Trades may come in any order while their
minute is open: first and last are told by time, not by arrival. A minute is given away once,
in order: closed, replaced by what REST says, or skipped.
"""

from __future__ import annotations

import msgspec

from liqheat.market.events import Bar

MINUTE_MS = 60_000


class _Minute:
    """What is known of one minute."""

    __slots__ = (
        "buy", "close", "first_ms", "high", "kline", "last_ms", "low", "mark_high",
        "mark_low", "open", "qty",
    )  # fmt: skip

    def __init__(self) -> None:
        self.open = self.close = self.qty = self.buy = 0.0
        self.high, self.low = 0.0, float("inf")
        self.first_ms, self.last_ms = 1 << 62, 0
        self.mark_high: float | None = None
        self.mark_low: float | None = None
        self.kline: Bar | None = None


class BarBuilder:
    """The bars of one instrument.

    Parameters
    ----------
    instrument : str
        ``exchange:symbol``.
    next_ms : int
        Start of the first minute to give away.

    Attributes
    ----------
    next_ms : int
        Start of the minute to be given away next; what is older comes too late.
    last_close : float or None
        Close of the last bar given away: that of a minute without a trade.
    newest_ms : int
        Time of the newest trade or kline, 0 before the first.
    built_ms : int
        Start of the newest minute given away as it was built here, 0 before the first.
    changed : bool
        Whether something came since ``growing`` was last called.
    """

    def __init__(self, instrument: str, next_ms: int) -> None:
        self.instrument, self.next_ms = instrument, next_ms
        self.last_close: float | None = None
        self.newest_ms = self.built_ms = 0
        self.changed = False
        self._minutes: dict[int, _Minute] = {}
        self._at_ms, self._now = -1, _Minute()

    def _minute(self, start_ms: int) -> _Minute:
        if start_ms != self._at_ms:
            self._now = self._minutes.setdefault(start_ms, _Minute())
            self._at_ms = start_ms
        return self._now

    def add_trade(self, event_ms: int, price: float, qty: float, is_buy: bool) -> bool:
        """Take one trade [USD, base units]; False where its minute was given away already."""
        start_ms = event_ms - event_ms % MINUTE_MS
        if start_ms < self.next_ms:
            return False
        minute = self._now if start_ms == self._at_ms else self._minute(start_ms)
        minute.qty += qty
        if is_buy:
            minute.buy += qty
        if price > minute.high:
            minute.high = price
        if price < minute.low:
            minute.low = price
        if event_ms >= minute.last_ms:
            minute.last_ms, minute.close = event_ms, price
        if event_ms < minute.first_ms:
            minute.first_ms, minute.open = event_ms, price
        if event_ms > self.newest_ms:
            self.newest_ms = event_ms
        self.changed = True
        return True

    def add_kline(self, bar: Bar) -> bool:
        """Take the exchange's own bar, growing or closed; False where it comes too late."""
        if bar.event_ms < self.next_ms:
            return False
        minute = self._minute(bar.event_ms)
        # Frames may be out of order: a closed bar does not grow again, and volume never falls.
        known = minute.kline
        if known is None or (not known.closed and (bar.closed or bar.qty >= known.qty)):
            minute.kline = bar
        self.newest_ms = max(self.newest_ms, bar.event_ms)
        self.changed = True
        return True

    def add_mark(self, event_ms: int, price: float) -> None:
        """Take a mark price [USD] for the range of its minute."""
        start_ms = event_ms - event_ms % MINUTE_MS
        if start_ms < self.next_ms:
            return
        minute = self._minute(start_ms)
        if minute.mark_high is None or price > minute.mark_high:
            minute.mark_high = price
        if minute.mark_low is None or price < minute.mark_low:
            minute.mark_low = price

    def is_final(self) -> bool:
        """Whether the exchange's own closed bar of the next minute is here."""
        minute = self._minutes.get(self.next_ms)
        return minute is not None and minute.kline is not None and minute.kline.closed

    def is_empty(self) -> bool:
        """Whether the next minute has had no trade so far."""
        minute = self._minutes.get(self.next_ms)
        return minute is None or (minute.qty == 0.0 and minute.kline is None)

    def qty(self) -> float:
        """Return the next minute's quantity so far."""
        minute = self._minutes.get(self.next_ms)
        if minute is None:
            return 0.0
        return minute.qty if minute.kline is None else minute.kline.qty

    def growing(self) -> Bar | None:
        """Return the next minute's bar as it is now; None where nothing was traded yet."""
        self.changed = False
        minute = self._minutes.get(self.next_ms)
        return None if minute is None else self._bar(minute, closed=False)

    def close(self) -> Bar | None:
        """Give the next minute's bar away.

        Without a trade it has quantity 0 and the last close; None where there is none yet.
        """
        minute = self._minutes.get(self.next_ms, _Minute())
        bar = self._bar(minute, closed=True)
        if bar is None and self.last_close is not None:
            last = self.last_close
            bar = Bar(
                self.instrument, self.next_ms, MINUTE_MS, last, last, last, last, 0.0, 0.0,
                minute.mark_high, minute.mark_low,
            )  # fmt: skip
        self.built_ms = self.next_ms
        self._given(bar)
        return bar

    def replace(self, bar: Bar, *, seen_all: bool) -> Bar:
        """Give the next minute away as REST has it.

        Where we were listening all the while, the range of the mark price is ours.
        """
        minute = self._minutes.get(self.next_ms)
        if seen_all and minute is not None and bar.mark_high is None:
            bar = msgspec.structs.replace(
                bar, mark_high=minute.mark_high, mark_low=minute.mark_low
            )
        self._given(bar)
        return bar

    def skip(self) -> None:
        """Give the next minute up."""
        self._given(None)

    def _bar(self, minute: _Minute, *, closed: bool) -> Bar | None:
        if minute.kline is not None:
            return msgspec.structs.replace(
                minute.kline, mark_high=minute.mark_high, mark_low=minute.mark_low,
                closed=closed,
            )  # fmt: skip
        if minute.qty == 0.0:
            return None
        return Bar(
            self.instrument, self.next_ms, MINUTE_MS, minute.open, minute.high, minute.low,
            minute.close, minute.qty, min(minute.buy, minute.qty),
            minute.mark_high, minute.mark_low, closed,
        )  # fmt: skip

    def _given(self, bar: Bar | None) -> None:
        self._minutes.pop(self.next_ms, None)
        self._at_ms = -1
        self.next_ms += MINUTE_MS
        if bar is not None:
            self.last_close = bar.close
