"""The map as known at a time is the beginning of the map as known later."""

import asyncio

import msgspec
import numpy as np
import pytest

from liqheat.service.query import Query
from liqheat.service.window import build_stored
from liqheat.store import Store
from tests.integration.world import World, run
from tests.market import DAY, SYMBOL, fill
from tests.unit.test_coin import NAMES, bars_of

ROWS = {"bins": "150", "price_min": "40000", "price_max": "90000"}


async def heatmap(w: World, **query: str) -> dict:
    reply = await w.http.get("/api/v1/heatmap", params={**ROWS, **query})
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.mark.parametrize("name", [SYMBOL, "BTC"])
def test_a_reply_as_of_a_column_is_the_first_columns_of_a_later_one(tmp_path, name) -> None:
    async def check(w: World) -> None:
        if name == "BTC":
            for other in NAMES[1:]:
                fill(w.store, bars_of(other, len(w.bars) - 2_000), other)
            await asyncio.sleep(1.2)
        for model in ("sharp", "zones", "calibrated"):
            query = {"instrument": name, "model": model, "range": "12h", "step": "5m"}
            whole = await heatmap(w, **query)
            starts = whole["start_ms"]
            for k in (5, 77, len(starts) - 2):
                end = starts[k] + whole["step_ms"]
                known = await heatmap(w, **query, as_of_ms=str(end))
                shift = len(known["start_ms"]) - (k + 1)
                assert known["start_ms"][shift:] == starts[: k + 1]
                assert known["side_boundary"][shift:] == whole["side_boundary"][: k + 1]
                cells = [[t - shift, *rest] for t, *rest in known["cells"] if t >= shift]
                assert cells == [cell for cell in whole["cells"] if cell[0] <= k]

    run(check, tmp_path, kind="live")


def test_with_more_history_than_a_window_warms_up_with_it_differs_by_next_to_nothing(
    tmp_path,
) -> None:
    # The earlier window is warmed up from an earlier bar on: its oldest levels have more past.
    with Store.open(tmp_path) as store:
        fill(store, bars_of(SYMBOL, 36 * 1440))
        query = Query(SYMBOL, model="zones", range="24h", step="15m", bins=150,
                      price_min=4e4, price_max=9e4)  # fmt: skip
        whole = build_stored(store, query)
        end = int(whole.start_ms[20]) + whole.step_ms
        known = build_stored(store, msgspec.structs.replace(query, as_of_ms=end))
    assert int(whole.start_ms[0]) - int(known.start_ms[0]) < DAY
    for side in ("long_usd", "short_usd"):
        later, earlier = getattr(whole, side)[:21], getattr(known, side)[-21:]
        np.testing.assert_allclose(earlier, later, rtol=0, atol=2e-3 * later.max())
