"""Random queries and messages never give anything but a query, a map or a ``LiqheatError``."""

import os
import random
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from liqheat.errors import LiqheatError
from liqheat.serve import replies
from liqheat.service import Query
from liqheat.service.query import parse_query
from liqheat.service.window import build_stored
from liqheat.store import Store
from tests.market import SYMBOL, T0, fill, market

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0.7"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
WORDS = (
    "", " ", "nan", "inf", "-inf", "1e400", "1e308", "1e-320", "-0", "0x1", "1_0", "²", "\x00",
    "\n",
    "9" * 50, "x" * 3000, "true", "null", "\U0001f600", "\udcff", "%00", "1e3", "+5",
)  # fmt: skip
GOOD: dict[str, tuple[str, ...]] = {
    "instrument": (SYMBOL, "okx:BTC-USDT-SWAP", "x:y"),
    "model": ("sharp", "zones", "calibrated"),
    "range": ("12h", "24h", "3d", "1w", "1Y"),
    "step": ("1m", "5m", "1h", "1d"),
    "bins": ("50", "51", "400"),
    "price_min": ("1e-12", "59000", "60000", "1e12", "0.1"),
    "price_max": ("1e-12", "59000", "60000", "1e12", "61000.5"),
    "scale": ("log", "linear"),
    "leverage": ("25:.5,50:.3", "1.0001:1", "125:1e-9", "2:1", "150:1"),
    "as_of_ms": ("0", "1", str(T0 + 1), str(T0 + 60_000), str(T0 + 9 * 10**7), str(10**14)),
    "format": ("json", "bin", "xml"),
    "candles": ("0", "1"),
    "t": (str(T0), str(10**19), "-1"),
}


def any_value(name: str, rng: random.Random) -> Any:
    match rng.randrange(12):
        case 0:
            return rng.choice(WORDS)
        case 1:
            return rng.choice(
                (None, True, [], {}, 10**30, -(10**30), 1e308, 5e-324, 1.5, -1)
            )
        case 2:
            return str(rng.choice(GOOD[name])) + rng.choice(WORDS)
        case _:
            return rng.choice(GOOD.get(name, WORDS))


@pytest.fixture(scope="module")
def store(tmp_path_factory: Any) -> Any:
    folder: Path = tmp_path_factory.mktemp("queries")
    with Store.open(folder) as out:
        fill(out, market(1500))
        yield out


@pytest.mark.filterwarnings("error")
def test_random_queries(store: Store) -> None:
    rng = random.Random(SEED)
    end, runs, maps = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end or runs < 10:
        runs += 1
        names = rng.sample(list(GOOD), rng.randrange(6))
        raw = {name: any_value(name, rng) for name in names}
        if rng.randrange(9):
            raw["instrument"] = SYMBOL
        if rng.randrange(12) == 0:
            raw[rng.choice(WORDS)] = "1"
        kind = rng.choice((Query, replies.HeatmapQuery, replies.ColumnQuery))
        try:
            query = parse_query(raw, kind)
            heatmap = build_stored(store, query)
            bodies = [
                replies.heatmap_json(heatmap, "replay"), replies.map_json(heatmap, "replay"),
                replies.column_json(heatmap, "replay", getattr(query, "t", None)),
            ]  # fmt: skip
            replies.heatmap_bytes(heatmap, "replay", candles=True)
        except LiqheatError as error:
            text = str(error)
            assert "\n" not in text
            assert len(text) < 2000
            continue
        except Exception:
            print(raw)
            raise
        maps += 1
        assert np.isfinite(heatmap.long_usd).all()
        assert (np.diff(heatmap.price_edges) > 0).all(), raw
        for body in bodies:
            msgspec.json.decode(body)
    print(f"{runs} queries, {maps} maps")
