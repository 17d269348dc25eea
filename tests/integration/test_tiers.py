"""Some leverage tiers alone, over HTTP and the WebSocket."""

import asyncio

import numpy as np
import websockets

from tests.integration.test_coin import fill_others
from tests.integration.world import Viewer, World, run, viewer
from tests.market import SYMBOL

HERE = f"instrument={SYMBOL}&range=12h&step=15m&bins=80"


def test_every_route_draws_the_tiers_asked_for(tmp_path) -> None:
    async def check(w: World) -> None:
        async def ask(route: str, more: str = "", query: str = HERE):
            answer = await w.http.get(f"/api/v1/{route}?{query}{more}")
            assert answer.status_code == 200, answer.text
            return answer

        names = [one["leverage"] for one in (await ask("map")).json()["tiers"]]
        every = "&tiers=" + ",".join(f"{one:g}" for one in names)
        for route in ("map", "column", "heatmap", "heatmap&format=bin"):
            route, _, more = route.partition("&")
            more = f"&{more}" if more else ""
            assert (await ask(route, more + every)).content == (
                await ask(route, more)
            ).content
        whole = (await ask("column")).json()
        parts = [
            (await ask("column", f"&tiers={t}")).json()
            for t in ("2,3,5", "10,20,25", "50,75,100,125")
        ]
        total = np.sum([one["long_usd"] for one in parts], axis=0)
        np.testing.assert_allclose(total, whole["long_usd"], rtol=1e-5, atol=0.05)
        assert parts[0]["residual_long_usd"] == whole["residual_long_usd"]
        few = (await ask("heatmap", "&tiers=10")).json()
        assert 0 < few["max_usd"] <= (await ask("heatmap")).json()["max_usd"]
        bars, series = (await ask("bars", "&tiers=10")), (await ask("series", "&tiers=10"))
        assert bars.status_code == series.status_code == 200

    run(check, tmp_path)


def test_an_unknown_tier_names_those_there_are(tmp_path) -> None:
    async def check(w: World) -> None:
        fill_others(w)
        await asyncio.sleep(1.1)
        for who, last in ((SYMBOL, "100, 125"), ("BTC", "100, 125")):
            for route in ("heatmap", "map", "column"):
                answer = await w.http.get(f"/api/v1/{route}?instrument={who}&tiers=10,7")
                body = answer.json()
                assert (answer.status_code, body["field"], body["value"]) == (
                    422,
                    "tiers",
                    "7",
                )
                assert "use any of 2, 3, 5, 10, 20, 25, " in body["detail"]
                assert body["detail"].endswith(last)
        async with websockets.connect(w.ws) as socket:
            v = Viewer(socket)
            for who in (SYMBOL, "BTC"):
                await v.send(op="subscribe", instrument=who, range="12h", tiers="7")
                error = await v.text("error")
                assert (error["status"], error["field"]) == (422, "tiers")
                assert "use any of 2, 3" in error["detail"]

    run(check, tmp_path, kind="real")


def test_a_socket_draws_the_tiers_asked_for_and_goes_on_with_them(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="5m", tiers="10,50") as v:
            assert v.texts[0]["tiers"][:4] == [2, 3, 5, 10]
            for _ in range(12):
                w.play(1, progress=True)
                await asyncio.sleep(0.05)
            await v.quiet()
            [watched] = w.service.markets[SYMBOL].views.values()
            v.state.assert_equals(watched.view.picture())
            url = (
                f"/api/v1/column?instrument={SYMBOL}&range=12h&step=5m&bins=100&tiers=10,50"
            )
            view = watched.view
            low, high = float(view.price_edges[0]), float(view.price_edges[-1])
            t = view.columns - 3
            url += f"&price_min={low}&price_max={high}&t={view.t0_ms + t * view.step_ms}"
            exact = (await w.http.get(url)).json()
            shown = view.lead.usd[t].copy()
            both = np.array(exact["long_usd"]) + exact["short_usd"]
            np.testing.assert_allclose(shown, both, rtol=1e-3, atol=1.0)
            before = v.kinds.count("snapshot")
            await v.subscribe(step="5m")
            await v.until(lambda: v.kinds.count("snapshot") > before)
            views = {
                one.view.query.tiers: one.view
                for one in w.service.markets[SYMBOL].views.values()
            }
            whole = views[None]
            assert whole.lead.usd[whole.columns - 3].sum() > 1.5 * shown.sum()

    run(check, tmp_path)
