"""A heatmap as a picture: heat, candles, the profile of now, a legend, and what it is not.

The caption is burnt in: model, version, data span and the hour it was drawn, because a picture
travels without its page. matplotlib is imported only when a picture is drawn, and only its
Agg canvas: no display, no global state, safe in a thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from liqheat.errors import BadInputError
from liqheat.market.units import interval_name
from liqheat.serve.export import replace_file
from liqheat.serve.ticks import colour_marks, money, price_ticks, stamp, time_ticks, usd

if TYPE_CHECKING:
    import pyarrow as pa

    from liqheat.engine.heatmap import Heatmap

F64 = NDArray[np.float64]

#: Heat above this quantile of the non-empty cells is drawn as the brightest.
CLIP_QUANTILE = 0.995
#: Share of the brightest below which a cell fades out.
THRESHOLD = 0.012
#: Where in the palette the median of the non-empty cells lies at most.
MIDDLE_COLOUR = 0.45
#: More candles than this cannot be told apart.
MAX_CANDLES = 220
#: Realised liquidations are summed by candle and this many rows; the largest are drawn.
BUBBLE_ROWS = 60
MAX_BUBBLES = 250
DPI = 100


class _Look(msgspec.Struct, frozen=True):
    back: str
    panel: str
    grid: str
    text: str
    faint: str
    up: str
    down: str
    long: str
    short: str
    warn: str


_DARK = _Look(
    back="#07090d", panel="#0b0e14", grid="#1b2230", text="#e6eaf2", faint="#8b95a7",
    up="#f8fafc", down="#ff4d8d", long="#56b4f9", short="#ff9f43", warn="#ffc53d",
)  # fmt: skip
_LIGHT = _Look(
    back="#ffffff", panel="#fbfbfd", grid="#e3e7ee", text="#10141c", faint="#5b6577",
    up="#10141c", down="#c2185b", long="#0b6bcb", short="#c25700", warn="#9a6700",
)  # fmt: skip


@dataclass(frozen=True)
class _View:
    """What of the heatmap is in the picture: heights in plot units, which are even."""

    heatmap: Heatmap
    heat: F64  # [t, p] USD, both sides
    edges: F64  # [p+1] plot units: ln(price), or price on a linear grid
    low: float
    high: float
    top_usd: float
    power: float  # colour = (usd / top_usd) ** power

    def height(self, price: Any) -> Any:
        return np.log(price) if self.heatmap.params.price_scale == "log" else price

    def price(self, height: float) -> float:
        return math.exp(height) if self.heatmap.params.price_scale == "log" else height


def save_png(
    heatmap: Heatmap,
    path: Path,
    *,
    liquidations: pa.Table | None = None,
    title: str | None = None,
    width: int = 1600,
    height: int = 900,
    dark: bool = True,
    now_ms: int | None = None,
) -> Path:
    """Draw a heatmap into a PNG file and return its path.

    Parameters
    ----------
    heatmap : Heatmap
        What to draw; all its columns, the prices where something happens.
    path : Path
        The file; replaced whole.
    liquidations : pyarrow.Table, optional
        Realised liquidations (the store's columns), drawn as bubbles at their mark price
        where known, else at the price given.
    title : str, optional
        Instead of the instrument's name.
    width, height : int
        Pixels.
    dark : bool
        Dark or light colours.
    now_ms : int, optional
        Stamped as the time of drawing; left out where not given.

    Raises
    ------
    BadInputError
        The name ends in something else than ``.png``, or the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.suffix.lower() != ".png":
        raise BadInputError(
            "unknown picture format", where=str(path), value=path.suffix,
            do="end the name in .png",
        )  # fmt: skip
    look = _DARK if dark else _LIGHT
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=look.back)
    FigureCanvasAgg(figure)
    view = _view(heatmap)
    left, right, bottom, top = 104 / width, 1 - 236 / width, 92 / height, 1 - 84 / height
    main = figure.add_axes((left, bottom, right - left, top - bottom), facecolor=look.panel)
    side = figure.add_axes(
        (right + 68 / width, bottom, 150 / width, top - bottom),
        sharey=main,
        facecolor=look.panel,
    )
    bar = figure.add_axes((30 / width, bottom, 12 / width, top - bottom))
    _draw_heat(
        main, view, dark=dark, pixels=(right - left) * width, rows=(top - bottom) * height
    )
    _draw_candles(main, view, look)
    largest = _draw_bubbles(main, view, look, liquidations)
    _draw_axes(main, view, look)
    _draw_profile(side, view, look, dark=dark)
    _draw_legend(bar, view, look, dark=dark)
    _draw_title(figure, view, look, title, now_ms)
    _draw_caption(figure, view, look, largest, now_ms)
    _label_sides(main, look)
    return replace_file(path, lambda part: figure.savefig(part, format="png", dpi=DPI))


def _view(heatmap: Heatmap) -> _View:
    heat = heatmap.long_usd.astype(np.float64) + heatmap.short_usd
    log = heatmap.params.price_scale == "log"
    edges = np.log(heatmap.price_edges) if log else np.asarray(heatmap.price_edges)
    held = heat[heat > 0]
    top = float(np.quantile(held, CLIP_QUANTILE)) if len(held) else 1.0
    low, high = _span(heatmap, heat, edges)
    return _View(heatmap, heat, edges, low, high, top, _power(held, top))


def _power(held: F64, top: float) -> float:
    # The square root; nearer to linear where most cells are large and all would be bright.
    if len(held) == 0:
        return 0.5
    middle = min(float(np.median(held)) / top, 0.99)
    return min(max(math.log(MIDDLE_COLOUR) / math.log(middle), 0.5), 1.5)


def _span(heatmap: Heatmap, heat: F64, edges: F64) -> tuple[float, float]:
    # The user's own limits, else the candles and the middle of the mass; never beyond the grid.
    if heatmap.params.price_min is not None or heatmap.params.price_max is not None:
        return float(edges[0]), float(edges[-1])
    log = heatmap.params.price_scale == "log"
    known = np.isfinite(heatmap.close)
    low, high = float(edges[0]), float(edges[-1])
    if known.any():
        floor, ceiling = float(heatmap.low[known].min()), float(heatmap.high[known].max())
        low, high = (math.log(floor), math.log(ceiling)) if log else (floor, ceiling)
    margin = max(0.12 * (high - low), 1e-3 * (1.0 if log else high))
    low, high = low - margin, high + margin
    mass = heat.sum(axis=0)
    if mass.sum() > 0:
        share = np.cumsum(mass) / mass.sum()
        low = min(low, float(edges[np.searchsorted(share, 0.06)]))
        high = max(high, float(edges[np.searchsorted(share, 0.94)]))
    return max(low, float(edges[0])), min(high, float(edges[-1]))


def _pool(heat: F64, columns: int, rows: int) -> F64:
    # The largest cell of each pixel: a thin line must not vanish when it is made smaller.
    def starts(n: int, limit: int) -> NDArray[np.intp]:
        return (np.arange(min(n, limit)) * n // min(n, limit)).astype(np.intp)

    by_time = np.maximum.reduceat(heat, starts(heat.shape[0], columns), axis=0)
    return np.maximum.reduceat(by_time, starts(heat.shape[1], rows), axis=1)


def _colours(usd_values: F64, view: _View, *, dark: bool) -> NDArray[np.float64]:
    """Return RGBA: viridis over a power of USD, fading to nothing under the threshold."""
    from matplotlib import colormaps

    share = np.clip(usd_values / view.top_usd, 0.0, 1.0)
    palette = colormaps["viridis" if dark else "viridis_r"]
    rgba: NDArray[np.float64] = np.array(palette(share**view.power))
    rgba[..., 3] = np.clip(share / THRESHOLD, 0.0, 1.0)
    return rgba


def _draw_heat(axes: Any, view: _View, *, dark: bool, pixels: float, rows: float) -> None:
    inside = (view.edges[1:] > view.low) & (view.edges[:-1] < view.high)
    first, last = int(np.argmax(inside)), len(inside) - int(np.argmax(inside[::-1]))
    heat = _pool(view.heat[:, first:last], int(pixels), int(rows))
    axes.imshow(
        _colours(heat.T, view, dark=dark), aspect="auto", origin="lower",
        interpolation="nearest", zorder=1,
        extent=(0.0, len(view.heat), view.edges[first], view.edges[last]),
    )  # fmt: skip
    axes.set_xlim(0, len(view.heat))
    axes.set_ylim(view.low, view.high)


def _draw_candles(axes: Any, view: _View, look: _Look) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    heatmap = view.heatmap
    group = max(1, math.ceil(len(heatmap.close) / MAX_CANDLES))
    wicks, boxes, colours = [], [], []
    for first in range(0, len(heatmap.close), group):
        part = slice(first, first + group)
        known = np.flatnonzero(np.isfinite(heatmap.close[part])) + first
        if len(known) == 0:
            continue
        opened, closed, high, low = view.height(
            np.array([
                heatmap.open[known[0]], heatmap.close[known[-1]],
                heatmap.high[known].max(), heatmap.low[known].min(),
            ])
        )  # fmt: skip
        last = min(first + group, len(heatmap.close))
        middle, half = (first + last) / 2, 0.34 * (last - first)
        top, bottom = max(opened, closed), min(opened, closed)
        wicks += [[(middle, top), (middle, high)], [(middle, bottom), (middle, low)]]
        boxes.append([
            (middle - half, bottom), (middle + half, bottom),
            (middle + half, top), (middle - half, top),
        ])  # fmt: skip
        colours.append(look.up if closed >= opened else look.down)
    twice = [colour for colour in colours for _ in range(2)]
    axes.add_collection(LineCollection(wicks, colors=twice, linewidths=0.9, zorder=4))
    axes.add_collection(
        PolyCollection(
            boxes, edgecolors=colours, facecolors=look.panel, linewidths=0.9, zorder=5
        )
    )


def _draw_bubbles(
    axes: Any, view: _View, look: _Look, liquidations: pa.Table | None
) -> float:
    """Draw realised liquidations and return the largest circle [USD]; 0.0 without any."""
    bubbles = _bubbles(view, liquidations)
    if not bubbles:
        return 0.0
    column, height, notional, is_long = map(np.array, zip(*bubbles, strict=True))
    # Areas by USD, up to the large ones: one giant must not make dots of all others.
    large = max(float(np.quantile(notional, 0.9)), 1e-9)
    size = 8 + 110 * np.minimum(notional / large, 2.5)
    for side, colour in ((True, look.long), (False, look.short)):
        of_side = is_long == side
        axes.scatter(
            column[of_side], height[of_side], s=size[of_side], facecolors=colour + "59",
            edgecolors=colour, linewidths=0.9, zorder=6,
        )  # fmt: skip
    return float(notional.max())


def _bubbles(
    view: _View, liquidations: pa.Table | None
) -> list[tuple[float, float, float, bool]]:
    # (column, height, USD, is long) of the largest: summed where circles would overlap.
    if liquidations is None or liquidations.num_rows == 0:
        return []
    heatmap = view.heatmap
    rows = liquidations.to_pydict()
    marks = rows.get("mark_price") or [None] * len(rows["price"])
    wide = len(heatmap.close) / MAX_CANDLES
    tall = (view.high - view.low) / BUBBLE_ROWS
    sums: dict[tuple[int, int, bool], tuple[float, float, float]] = {}
    for event_ms, side, price, mark, amount in zip(
        rows["event_ms"], rows["position_side"], rows["price"], marks, rows["notional_usd"],
        strict=True,
    ):  # fmt: skip
        column = (event_ms - int(heatmap.start_ms[0])) / heatmap.step_ms
        if not 0 <= column <= len(heatmap.close) or amount <= 0:
            continue
        height = float(view.height(price if mark is None else mark))
        place = (int(column / wide), int((height - view.low) / tall), side == "long")
        x, y, total = sums.get(place, (0.0, 0.0, 0.0))
        sums[place] = (x + column * amount, y + height * amount, total + amount)
    circles = [(x / total, y / total, total, key[2]) for key, (x, y, total) in sums.items()]
    return sorted(circles, key=lambda circle: -circle[2])[:MAX_BUBBLES]


def _draw_axes(axes: Any, view: _View, look: _Look) -> None:
    heatmap = view.heatmap
    _plain(axes, look)
    last = _last_close(heatmap)
    prices = price_ticks(view.price(view.low), view.price(view.high))
    if last is not None:  # its own label stands there
        room = 0.022 * (view.high - view.low)
        prices = [p for p in prices if abs(view.height(p) - view.height(last)) > room]
    axes.set_yticks([view.height(price) for price in prices], [money(p) for p in prices])
    axes.yaxis.tick_right()
    axes.set_ylim(view.low, view.high)
    places, names = time_ticks(heatmap.start_ms, heatmap.step_ms)
    axes.set_xticks(places, names)
    axes.grid(visible=True, color=look.text, alpha=0.05, linewidth=0.7, zorder=2)
    if last is None:
        return
    height = view.height(last)
    axes.axhline(
        height, color=look.text, linewidth=0.8, dashes=(3, 3), alpha=0.75, zorder=3
    )
    axes.annotate(
        money(last), (1.0, height), xycoords=("axes fraction", "data"), xytext=(4, 0),
        textcoords="offset points", va="center", ha="left", color=look.back, fontsize=9,
        fontweight="bold", zorder=9,
        bbox={"facecolor": look.text, "edgecolor": "none", "boxstyle": "square,pad=0.28"},
    )  # fmt: skip


def _draw_profile(axes: Any, view: _View, look: _Look, *, dark: bool) -> None:
    from matplotlib.collections import PolyCollection

    heatmap = view.heatmap
    long, short = heatmap.long_usd[-1].astype(float), heatmap.short_usd[-1].astype(float)
    inside = (view.edges[1:] > view.low) & (view.edges[:-1] < view.high)
    now = long + short
    widest = max(float(now[inside].max(initial=0.0)), 1e-9)
    at = np.flatnonzero(inside & (now > 0))
    boxes = [
        [(0, view.edges[p]), (now[p], view.edges[p]), (now[p], view.edges[p + 1]),
         (0, view.edges[p + 1])] for p in at
    ]  # fmt: skip
    axes.add_collection(
        PolyCollection(
            boxes, facecolors=_bar_colours(now[at], view, dark=dark), linewidths=0
        )
    )
    _plain(axes, look)
    axes.tick_params(labelleft=False, labelright=False, left=False, right=False)
    _end_ticks(axes, widest)
    middle = (view.edges[1:] + view.edges[:-1]) / 2
    below = np.cumsum(long[::-1])[::-1]
    above = np.cumsum(short)
    most = max(
        float(below[inside].max(initial=0)), float(above[inside].max(initial=0)), 1e-9
    )
    curves = axes.twiny()
    _plain(curves, look)
    last = _last_close(heatmap)
    edge = view.height(last) if last else 0.0
    for curve, colour, side in (
        (below, look.long, middle <= edge),
        (above, look.short, middle >= edge),
    ):
        curves.plot(curve[side], middle[side], color=colour, linewidth=1.6)
    _end_ticks(curves, most)
    if last:
        axes.axhline(edge, color=look.text, linewidth=0.8, dashes=(3, 3), alpha=0.75)
    curves.set_xlabel("cumulative from the price", color=look.faint, fontsize=8, labelpad=4)
    axes.set_xlabel("per bin, now", color=look.faint, fontsize=8, labelpad=2)


def _end_ticks(axes: Any, most: float) -> None:
    axes.set_xticks([0, most * 1.06], ["0", usd(most)])
    axes.set_xlim(0, most * 1.06)
    first, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def _bar_colours(values: F64, view: _View, *, dark: bool) -> NDArray[np.float64]:
    rgba = _colours(values, view, dark=dark)
    rgba[..., 3] = 1.0
    return rgba


def _draw_legend(axes: Any, view: _View, look: _Look, *, dark: bool) -> None:
    ramp = np.linspace(0.0, 1.0, 256) ** (1 / view.power) * view.top_usd
    axes.set_facecolor(look.panel)
    axes.imshow(
        _colours(ramp[:, None], view, dark=dark), aspect="auto", origin="lower",
        extent=(0, 1, 0, 1),
    )  # fmt: skip
    axes.set_xticks([])
    marks = colour_marks(view.top_usd, view.power)
    names = [*(usd(mark) for mark in marks), f"≥ {usd(view.top_usd)}"]
    marks.append(view.top_usd)
    axes.set_yticks([(mark / view.top_usd) ** view.power for mark in marks], names)
    axes.set_ylim(0, 1)
    axes.set_title("USD\nper bin", color=look.faint, fontsize=8, loc="left", pad=7)
    axes.yaxis.tick_right()
    axes.tick_params(colors=look.faint, labelsize=7.5, length=0, pad=3)
    for spine in axes.spines.values():
        spine.set_color(look.grid)


def _draw_title(
    figure: Any, view: _View, look: _Look, title: str | None, now_ms: int | None
) -> None:
    heatmap = view.heatmap
    wide, high = figure.get_size_inches() * DPI
    y = 1 - 34 / high
    name = title or f"{heatmap.instrument.symbol} · {heatmap.instrument.exchange}"
    text = figure.text(
        30 / wide, y, name, color=look.text, fontsize=16, fontweight="bold", va="center"
    )
    x = text.get_window_extent().x1 / wide + 16 / wide
    if heatmap.instrument.exchange == "simulated":
        badge = figure.text(
            x, y, "SIMULATED", color=look.back, fontsize=9, fontweight="bold", va="center",
            bbox={"facecolor": look.warn, "edgecolor": "none", "boxstyle": "round,pad=0.35"},
        )  # fmt: skip
        x = badge.get_window_extent().x1 / wide + 20 / wide
    end_ms = int(heatmap.start_ms[-1]) + heatmap.step_ms
    if now_ms is not None:
        end_ms = min(end_ms, now_ms)  # the last step may be under way
    facts = (
        f"liquidation heatmap · model {heatmap.params.model} {heatmap.model_version} · "
        f"{interval_name(heatmap.step_ms)} steps · "
        f"{stamp(int(heatmap.start_ms[0]))} to {stamp(end_ms)} UTC"
    )
    figure.text(x, y - 1 / high, facts, color=look.faint, fontsize=10, va="center")


def _draw_caption(
    figure: Any, view: _View, look: _Look, largest_usd: float, now_ms: int | None
) -> None:
    wide, high = figure.get_size_inches() * DPI
    simulated = view.heatmap.instrument.exchange == "simulated"
    words = [
        f"Modelled from {'a simulated market' if simulated else 'public market data'}: "
        "an estimate, not a prediction.",
        "Colour: notional liquidated per price bin.",
    ]
    if view.heatmap.quality.usd_scale == "relative":
        words.append("Read sizes as relative: they are not calibrated.")
    if largest_usd > 0:
        words.append(f"Circles: realised liquidations, up to {usd(largest_usd)}.")
    style = {"color": look.faint, "fontsize": 8.5, "va": "center"}
    figure.text(30 / wide, 26 / high, "  ".join(words), **style)
    drawn = f"liqheat · drawn {stamp(now_ms)} UTC" if now_ms is not None else "liqheat"
    figure.text(1 - 18 / wide, 26 / high, drawn, ha="right", **style)


def _label_sides(axes: Any, look: _Look) -> None:
    words = (
        (0.985, "top", "▲ shorts are liquidated above the price", look.short),
        (0.015, "bottom", "▼ longs are liquidated below the price", look.long),
    )
    for height, anchor, text, colour in words:
        axes.text(
            0.008, height, text, transform=axes.transAxes, color=colour, fontsize=9, va=anchor,
            zorder=10, bbox={"facecolor": look.back, "edgecolor": "none", "alpha": 0.7,
                             "boxstyle": "round,pad=0.3"},
        )  # fmt: skip


def _plain(axes: Any, look: _Look) -> None:
    for spine in axes.spines.values():
        spine.set_color(look.grid)
    axes.tick_params(colors=look.faint, labelsize=9, length=0, pad=5)


def _last_close(heatmap: Heatmap) -> float | None:
    known = np.flatnonzero(np.isfinite(heatmap.close))
    return float(heatmap.close[known[-1]]) if len(known) else None
