"""GET /api/v1/accuracy of a running server."""

from tests.integration.world import World, run
from tests.market import SYMBOL


def test_accuracy_answers_and_is_honest_about_too_little(tmp_path) -> None:
    async def check(w: World) -> None:
        found = await w.http.get("/api/v1/accuracy", params={"instrument": SYMBOL})
        assert found.status_code == 200, found.text
        body = found.json()
        assert (body["mode"], body["model"], body["enough"]) == (
            "simulated", "calibrated", False,
        )  # fmt: skip
        assert body["rho"] is body["cover80"] is None
        assert body["note"]
        again = await w.http.get("/api/v1/accuracy", params={"instrument": SYMBOL})
        assert again.headers["etag"] == found.headers["etag"]
        for query, status in (
            ({"instrument": SYMBOL, "days": "2"}, 422), ({"instrument": SYMBOL, "day": "9"}, 400),
            ({"instrument": "binance:NONE"}, 404), ({}, 422),
            ({"instrument": SYMBOL, "model": "magic"}, 422),
        ):  # fmt: skip
            answer = await w.http.get("/api/v1/accuracy", params=query)
            assert answer.status_code == status, answer.text
            assert answer.headers["content-type"].startswith("application/problem+json")
        document = (await w.http.get("/api/v1/openapi.json")).json()
        given = document["paths"]["/api/v1/accuracy"]["get"]["parameters"]
        assert {one["name"] for one in given} == {"instrument", "model", "days"}

    run(check, tmp_path)
