"""JSON replies of /api/v1 and how they are made of a heatmap; OpenAPI comes from these structs.

Every reply says its ``mode``. Arrays are parallel; absent is null; USD are modelled unless a
name says otherwise (``measured``).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from liqheat.engine.heatmap import Heatmap, Model, Quality
from liqheat.errors import BadInputError
from liqheat.exchanges.base import Mode
from liqheat.market.events import Completeness, Liquidation, PriceKind, Side
from liqheat.serve.venues import VenueRow
from liqheat.serve.wire import encode_picture
from liqheat.service.coin import CoinHeatmap
from liqheat.service.feeds import ExchangeState, InstrumentRow
from liqheat.service.history import History
from liqheat.service.liquidations import LiquidationsFound, LiquidationTotals
from liqheat.service.measured import MeasuredPart, measured_parts, measured_whole
from liqheat.service.picture import Picture, price_scale, scale_top, to_codes
from liqheat.service.query import Query
from liqheat.service.series import Series
from liqheat.study.figures import Rolling

Numbers = list[float | None]

#: More cells than this are refused as JSON: some 40 MB of text, and ten times that in memory.
MAX_JSON_CELLS = 2_000_000


Parts = Annotated[
    Literal["exchange"] | None, Meta(description="exchange: split the answer by exchange")
]


class HeatmapQuery(Query, frozen=True, forbid_unknown_fields=True):
    """Query of /heatmap."""

    format: Annotated[
        Literal["json", "bin"], Meta(description="bin: the binary heat body")
    ] = "json"
    candles: Annotated[
        Literal[0, 1], Meta(description="with format=bin: append the candles")
    ] = 0


class MapQuery(Query, frozen=True, forbid_unknown_fields=True):
    """Query of /map."""

    parts: Parts = None


class ColumnQuery(Query, frozen=True, forbid_unknown_fields=True):
    """Query of /column."""

    parts: Parts = None

    t: Annotated[
        int | None, Meta(description="a time in the column [ms]; the newest when not given")
    ] = None


class EmptyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of routes without parameters."""


class AccuracyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of /accuracy."""

    instrument: Annotated[
        str, Meta(description="exchange:symbol, e.g. binance:BTCUSDT", max_length=80)
    ]
    model: Annotated[Model, Meta(description="whose map is judged")] = "calibrated"
    days: Annotated[int, Meta(ge=3, le=90, description="how far back")] = 30


class HealthReply(msgspec.Struct):
    """Whether it works, and on what."""

    status: Literal["ok", "starting", "stale"]
    mode: Mode
    version: str
    model_version: str
    uptime_s: float
    data_ms: int | None
    instruments: int
    exchanges: list[ExchangeState]
    venues: list[VenueRow]


class InstrumentsReply(msgspec.Struct):
    """Every instrument there are data for, those being collected first."""

    mode: Mode
    instruments: list[InstrumentRow]


class HeatmapReply(msgspec.Struct):
    """A heatmap; ``cells`` are (column, bin, USD long + short) of the non-zero cells.

    A cell belongs to longs when its bin's centre is below ``side_boundary`` of its column.
    """

    mode: Mode
    instrument: str
    model: str
    model_version: str
    step_ms: int
    start_ms: list[int]
    price_edges: list[float]
    cells: list[tuple[int, int, float]]
    side_boundary: Numbers
    max_usd: float
    quality: Quality
    measured_share_long: float
    measured_share_short: float
    measured_age_ms: int | None


class TierProfile(msgspec.Struct):
    """The part of a profile held at one leverage."""

    leverage: float
    long_usd: list[float]
    short_usd: list[float]


class ExchangePart(msgspec.Struct):
    """The part of a profile held at one exchange; the parts sum to the whole."""

    exchange: str
    long_usd: list[float]
    short_usd: list[float]


class MeasuredProfile(msgspec.Struct):
    """Levels read from public positions of one instrument, and how much they cover.

    The shares are of its open interest; these levels stand in the place of so much of its
    modelled ones. They are part of the whole.
    """

    instrument: str
    positions: int
    age_ms: float | None
    long_share: float
    short_share: float
    long_usd: list[float]
    short_usd: list[float]


class MapReply(msgspec.Struct):
    """The current profile over price; cumulative sums run outwards from the last price."""

    mode: Mode
    instrument: str
    model: str
    model_version: str
    as_of_ms: int
    last_price: float
    price: list[float]
    long_usd: list[float]
    short_usd: list[float]
    long_cumulative_usd: list[float]
    short_cumulative_usd: list[float]
    tiers: list[TierProfile]
    quality: Quality
    measured_share_long: float
    measured_share_short: float
    measured_age_ms: int | None
    measured: list[MeasuredProfile]
    parts: list[ExchangePart] | None = None


class BarsReply(msgspec.Struct):
    """The window's bars as stored; ``step_ms`` is the finest interval among them."""

    mode: Mode
    instrument: str
    step_ms: int
    start_ms: list[int]
    end_ms: list[int]
    open: Numbers
    high: Numbers
    low: Numbers
    close: Numbers
    qty: Numbers
    open_interest_qty: Numbers
    gaps: list[tuple[int, int]]


class SeriesReply(msgspec.Struct):
    """Figures beside the heatmap, one a column of the same window; null: not known.

    ``taker_*`` are of the instruments and bars which tell buys from sells.
    """

    mode: Mode
    instrument: str
    lead: str
    step_ms: int
    start_ms: list[int]
    open_interest_usd: Numbers
    open_interest_of: list[int]
    funding_rate: Numbers
    funding_interval_ms: int | None
    qty_usd: Numbers
    taker_buy_usd: Numbers
    taker_sell_usd: Numbers
    liquidated_long_usd: Numbers
    liquidated_short_usd: Numbers
    liquidations_completeness: Completeness | None
    notes: list[str]


class LiquidationRow(msgspec.Struct, frozen=True):
    """A position closed by force, as told in the page's frames too."""

    event_ms: int
    instrument: str
    position_side: Side
    price: float
    qty: float
    notional_usd: float
    price_kind: PriceKind


class LiquidationsReply(msgspec.Struct):
    """Realised liquidations, newest first, and what they sum to, of all sizes and sides.

    ``more``: there are older rows of those asked for. ``completeness`` is by exchange; null
    where one publishes none.
    """

    mode: Mode
    instrument: str
    as_of_ms: int
    rows: list[LiquidationRow]
    more: bool
    totals: dict[str, LiquidationTotals]
    completeness: dict[str, Completeness | None]


class AccuracyReply(Rolling, kw_only=True):
    """How right the map was here, by the liquidations recorded here."""

    mode: Mode


class ColumnReply(msgspec.Struct):
    """One column, not quantised."""

    mode: Mode
    instrument: str
    model: str
    model_version: str
    start_ms: int
    end_ms: int
    price_edges: list[float]
    long_usd: list[float]
    short_usd: list[float]
    open_interest_usd: float | None
    residual_long_usd: float | None
    residual_short_usd: float | None
    outside_long_usd: float
    outside_short_usd: float
    close: float | None
    measured_share_long: float
    measured_share_short: float
    measured_age_ms: int | None
    measured: list[MeasuredProfile]
    parts: list[ExchangePart] | None = None


def numbers(values: NDArray[Any]) -> Numbers:
    """Return a list with null for NaN."""
    return [None if value != value else value for value in values.tolist()]


def _usd(values: NDArray[Any]) -> list[float]:
    # Cents are far below what the model knows, and short to write.
    return [float(v) for v in np.round(values.astype(np.float64), 2)]


def health_reply(
    service_rows: list[InstrumentRow], states: list[ExchangeState], **fields: Any
) -> HealthReply:
    """Return health: ok if any source is live or late."""
    newest = max((row.end_ms for row in service_rows if row.end_ms), default=None)
    fresh = any(state.state in ("live", "late") for state in states)
    status: Literal["ok", "starting", "stale"] = (
        "starting" if newest is None else "ok" if fresh else "stale"
    )
    return HealthReply(
        status=status,
        data_ms=newest,
        instruments=len(service_rows),
        exchanges=states,
        **fields,
    )


def heatmap_json(heatmap: Heatmap, mode: Mode) -> bytes:
    """Return the JSON twin of the binary body.

    Raises
    ------
    BadInputError
        It has more cells than JSON is good for.
    """
    usd = heatmap.long_usd + heatmap.short_usd
    t, p = np.nonzero(usd)
    if len(t) > MAX_JSON_CELLS:
        raise BadInputError(
            f"{len(t)} cells are too many for JSON", where="format", value="json",
            do="use format=bin, fewer bins or a longer step",
        )  # fmt: skip
    cells = zip(t.tolist(), p.tolist(), _usd(usd[t, p]), strict=True)
    return msgspec.json.encode(
        HeatmapReply(
            mode=mode, instrument=heatmap.instrument.name, model=heatmap.params.model,
            model_version=heatmap.model_version, step_ms=heatmap.step_ms,
            start_ms=heatmap.start_ms.tolist(), price_edges=heatmap.price_edges.tolist(),
            cells=list(cells), side_boundary=numbers(heatmap.close),
            max_usd=round(float(usd.max(initial=0.0)), 2), quality=heatmap.quality,
            **_measured_fields(heatmap, -1),
        )
    )  # fmt: skip


def heatmap_bytes(heatmap: Heatmap, mode: Mode, *, candles: bool) -> bytes:
    """Return the binary heat body of a heatmap."""
    usd = heatmap.long_usd + heatmap.short_usd
    v_max = scale_top(float(usd.max(initial=0.0)))
    log_scale = heatmap.params.price_scale == "log"
    low, step = price_scale(heatmap.price_edges, log_scale=log_scale)
    rows = np.stack([heatmap.open, heatmap.high, heatmap.low, heatmap.close, heatmap.qty])
    return encode_picture(
        Picture(
            codes=to_codes(usd, v_max), candles=rows.astype(np.float32) if candles else None,
            t0_ms=int(heatmap.start_ms[0]), step_ms=heatmap.step_ms, p_lo=low, p_step=step,
            v_min=v_max / 1e5, v_max=v_max, log_scale=log_scale, mode=mode,
            model=heatmap.params.model,
        )
    )  # fmt: skip


def _parts(heatmap: Heatmap, wanted: str | None, t: int) -> list[ExchangePart] | None:
    if wanted is None:
        return None
    whole = {heatmap.instrument.exchange: (heatmap.long_usd, heatmap.short_usd)}
    parts = heatmap.parts if isinstance(heatmap, CoinHeatmap) else whole
    return [
        ExchangePart(name, _usd(long_usd[t]), _usd(short_usd[t]))
        for name, (long_usd, short_usd) in parts.items()
    ]


def _measured(part: MeasuredPart) -> MeasuredProfile:
    return MeasuredProfile(
        instrument=part.instrument, positions=part.positions,
        age_ms=round(part.age_ms) if np.isfinite(part.age_ms) else None,
        long_share=round(part.share[0], 4), short_share=round(part.share[1], 4),
        long_usd=_usd(part.long_usd), short_usd=_usd(part.short_usd),
    )  # fmt: skip


def _measured_fields(heatmap: Heatmap, t: int) -> dict[str, Any]:
    found = measured_parts(heatmap, t)
    long, short, age = measured_whole(found, float(heatmap.open_interest_usd[t]))
    return {
        "measured_share_long": round(long, 4), "measured_share_short": round(short, 4),
        "measured_age_ms": None if age is None else round(age),
    }  # fmt: skip


def _measured_profiles(heatmap: Heatmap, t: int) -> list[MeasuredProfile]:
    return [_measured(one) for one in measured_parts(heatmap, t)]


def map_json(heatmap: Heatmap, mode: Mode, parts: str | None = None) -> bytes:
    """Return the last column as a profile over price, by tier, and by exchange if asked."""
    long_usd, short_usd = heatmap.long_usd[-1], heatmap.short_usd[-1]
    edges = heatmap.price_edges
    known = heatmap.close[np.isfinite(heatmap.close)]
    tiers = {t: heatmap.tier_usd(heatmap.tiers.index(t)) for t in heatmap.shown_tiers}
    return msgspec.json.encode(
        MapReply(
            mode=mode, instrument=heatmap.instrument.name, model=heatmap.params.model,
            model_version=heatmap.model_version, as_of_ms=heatmap.end_ms(-1),
            last_price=float(known[-1]), price=((edges[1:] + edges[:-1]) / 2).tolist(),
            long_usd=_usd(long_usd), short_usd=_usd(short_usd),
            long_cumulative_usd=_usd(np.cumsum(long_usd[::-1], dtype=np.float64)[::-1]),
            short_cumulative_usd=_usd(np.cumsum(short_usd, dtype=np.float64)),
            tiers=[
                TierProfile(leverage, _usd(one[0][-1]), _usd(one[1][-1]))
                for leverage, one in tiers.items()
            ],
            quality=heatmap.quality, parts=_parts(heatmap, parts, -1),
            measured=_measured_profiles(heatmap, -1),
            **_measured_fields(heatmap, -1),
        )
    )  # fmt: skip


def bars_json(history: History, instrument: str, mode: Mode) -> bytes:
    """Return bars as parallel arrays."""
    bars = history.bars
    names = ("open", "high", "low", "close", "qty", "open_interest_qty")
    return msgspec.json.encode(
        BarsReply(
            mode=mode, instrument=instrument, step_ms=bars.interval_ms,
            start_ms=history.start_ms.tolist(), end_ms=history.end_ms.tolist(),
            gaps=history.gaps(),
            **{name: numbers(getattr(bars, name)) for name in names},
        )
    )  # fmt: skip


def series_json(series: Series, instrument: str, mode: Mode) -> bytes:
    """Return the figures beside a heatmap as parallel arrays."""
    names = ("open_interest_usd", "qty_usd", "taker_buy_usd", "taker_sell_usd",
             "liquidated_long_usd", "liquidated_short_usd")  # fmt: skip
    return msgspec.json.encode(
        SeriesReply(
            mode=mode, instrument=instrument, lead=series.lead, step_ms=series.step_ms,
            start_ms=series.start_ms.tolist(),
            open_interest_of=series.open_interest_of.tolist(),
            funding_rate=numbers(series.funding_rate),
            funding_interval_ms=series.funding_interval_ms,
            liquidations_completeness=series.liquidations_completeness,
            notes=list(series.notes),
            **{name: numbers(np.round(getattr(series, name), 2)) for name in names},
        )
    )  # fmt: skip


def liquidation_row(row: Liquidation) -> LiquidationRow:
    """Return what is told of a liquidation."""
    names = LiquidationRow.__struct_fields__
    return LiquidationRow(**{name: getattr(row, name) for name in names})


def liquidations_json(found: LiquidationsFound, instrument: str, mode: Mode) -> bytes:
    """Return realised liquidations and their sums."""
    return msgspec.json.encode(
        LiquidationsReply(
            mode=mode, instrument=instrument, as_of_ms=found.as_of_ms,
            rows=[liquidation_row(row) for row in found.rows], more=found.more,
            totals=found.totals, completeness=found.completeness,
        )
    )  # fmt: skip


def accuracy_json(found: Rolling, mode: Mode) -> bytes:
    """Return the user's own figures; an unknown one is null."""
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    return msgspec.json.encode(AccuracyReply(**fields, mode=mode))


def column_json(
    heatmap: Heatmap, mode: Mode, time_ms: int | None, parts: str | None = None
) -> bytes:
    """Return the exact column which holds a time; the newest when None.

    Raises
    ------
    BadInputError
        The time lies outside the heatmap.
    """
    start, step = int(heatmap.start_ms[0]), heatmap.step_ms
    t = len(heatmap.start_ms) - 1 if time_ms is None else (time_ms - start) // step
    if not 0 <= t < len(heatmap.start_ms):
        raise BadInputError(
            "outside the heatmap", where="t", value=time_ms,
            do=f"it spans {start} to {heatmap.end_ms(-1)}",
        )  # fmt: skip
    names = ("open_interest_usd", "residual_long_usd", "residual_short_usd", "close")
    one: dict[str, Any] = {
        name: numbers(getattr(heatmap, name)[t : t + 1])[0] for name in names
    }
    return msgspec.json.encode(
        ColumnReply(
            mode=mode, instrument=heatmap.instrument.name, model=heatmap.params.model,
            model_version=heatmap.model_version, start_ms=start + t * step,
            end_ms=start + (t + 1) * step, price_edges=heatmap.price_edges.tolist(),
            long_usd=_usd(heatmap.long_usd[t]), short_usd=_usd(heatmap.short_usd[t]),
            outside_long_usd=round(float(heatmap.outside_long_usd[t]), 2),
            outside_short_usd=round(float(heatmap.outside_short_usd[t]), 2),
            parts=_parts(heatmap, parts, t), measured=_measured_profiles(heatmap, t),
            **_measured_fields(heatmap, t), **one,
        )
    )  # fmt: skip
