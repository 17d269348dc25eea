import numpy as np
import pyarrow as pa
import pytest
from matplotlib.image import imread

from liqheat.engine.heatmap import HeatmapParams, build_heatmap
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from liqheat.serve import plot


@pytest.fixture(scope="module")
def bars():
    rng = np.random.default_rng(3)
    n = 600
    close = 60_000 * np.exp(np.cumsum(rng.normal(0, 0.001, n)))
    opened = np.concatenate([[60_000.0], close[:-1]])
    keep = np.r_[0:400, 420:n]
    return Bars.from_columns(
        {
            "start_ms": (1_700_000_100_000 + 300_000 * np.arange(n))[keep],
            "open": opened[keep],
            "high": np.maximum(opened, close)[keep] * 1.0005,
            "low": np.minimum(opened, close)[keep] * 0.9995,
            "close": close[keep],
            "qty": rng.gamma(2, 50, n)[keep],
        }
    )


def build(bars, name="simulated:BTCUSDT", **params):
    return build_heatmap(
        bars,
        instrument(name),
        HeatmapParams(bins=200, **params),
        start_ms=int(bars.start_ms[200]),
    )


def texts(monkeypatch, heatmap, path, **options):
    """All words in the picture."""
    from matplotlib.figure import Figure

    seen = []
    save = Figure.savefig

    def remember(figure, *args, **kwargs):
        figure.canvas.draw()
        seen.extend(t.get_text() for t in figure.findobj(lambda o: hasattr(o, "get_text")))
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", remember)
    plot.save_png(heatmap, path, **options)
    return " | ".join(seen)


def test_picture_has_the_size_asked_for_and_is_not_empty(bars, tmp_path):
    path = plot.save_png(build(bars), tmp_path / "map.png", width=1000, height=600)
    pixels = imread(path)
    assert pixels.shape[:2] == (600, 1000)
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 500


def test_picture_says_what_it_is_and_what_it_is_not(bars, tmp_path, monkeypatch):
    heatmap = build(bars)
    words = texts(monkeypatch, heatmap, tmp_path / "map.png", now_ms=1_700_000_000_000)
    for wanted in (
        "SIMULATED", "BTCUSDT", heatmap.model_version, "sharp", "not a prediction",
        "longs are liquidated below", "shorts are liquidated above", "relative",
        "drawn 2023-11-14 22:13 UTC", "5m steps",
    ):  # fmt: skip
        assert wanted in words, wanted


def test_real_exchange_is_not_called_simulated(bars, tmp_path, monkeypatch):
    words = texts(monkeypatch, build(bars, "binance:BTCUSDT"), tmp_path / "map.png")
    assert "SIMULATED" not in words
    assert "drawn" not in words


@pytest.mark.parametrize(
    "params",
    [
        {"model": "zones", "price_scale": "linear"},
        {"price_min": 50_000.0, "price_max": 70_000.0},
        {"price_min": 10.0, "price_max": 20.0},
        {"leverage": {25: 1.0}},
    ],
)
@pytest.mark.parametrize("dark", [True, False])
def test_any_grid_is_drawn_without_warning(bars, tmp_path, params, dark):
    assert plot.save_png(build(bars, **params), tmp_path / "map.png", dark=dark).exists()


def test_one_column_is_drawn(bars, tmp_path):
    heatmap = build_heatmap(
        bars[:1], instrument("simulated:BTCUSDT"), HeatmapParams(bins=2)
    )
    assert plot.save_png(heatmap, tmp_path / "map.png").exists()


def test_liquidations_are_drawn_and_named(bars, tmp_path, monkeypatch):
    heatmap = build(bars)
    rows = pa.table(
        {
            "event_ms": [int(heatmap.start_ms[5]), int(heatmap.start_ms[9]), 0],
            "position_side": ["long", "short", "long"],
            "price": [60_000.0, 60_100.0, 60_000.0],
            "mark_price": [60_010.0, None, None],
            "notional_usd": [1_500_000.0, 20_000.0, 9e9],
        }
    )
    words = texts(monkeypatch, heatmap, tmp_path / "map.png", liquidations=rows)
    assert "realised liquidations, up to $1.5M" in words  # the third is not in the window


def test_unwritable_place_is_refused_with_a_reason(bars, tmp_path):
    with pytest.raises(BadInputError, match="cannot write"):
        plot.save_png(build(bars), tmp_path / "nowhere" / "map.png")


def test_thin_line_survives_pooling():
    heat = np.zeros((1000, 3000))
    heat[500, 1234] = 7.0
    assert plot._pool(heat, 200, 300).max() == 7.0
    assert plot._pool(heat, 5000, 5000).shape == heat.shape
