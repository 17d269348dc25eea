"""The user's own figures: the same as the score's, and honest where there is too little."""

import msgspec
import pytest

from liqheat.errors import UnavailableError
from liqheat.serve.replies import accuracy_json
from liqheat.store import Store
from liqheat.study import score
from liqheat.study.market import stored
from liqheat.study.rolling import NEED_EVENTS, rolling
from tests.unit.test_study import BTC, events, walk, write


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    bars = walk(288 * 14)
    with Store.open(tmp_path_factory.mktemp("rolling")) as store:
        write(store, bars, events(bars))
        yield store


@pytest.mark.parametrize("model", ["sharp", "calibrated"])
def test_rolling_figures_are_those_of_the_score(store, model):
    found = rolling(store, BTC, model, 7)
    assert found.enough
    market = stored(store, BTC, found.start_ms)
    whole = score.score_market(market, [model])[0].happened.row(model).figures
    for name, key in (("rho", "rho"), ("partial", "partial"), ("hard", "hard"),
                      ("realised_over_predicted", "rp")):  # fmt: skip
        assert getattr(found, name) == pytest.approx(whole[key])
    assert found.covered_days == pytest.approx(7, abs=0.1)
    assert [one.exchange for one in found.exchanges] == ["binance"]
    assert (found.cover80 is None) == (model == "sharp")
    assert found.completeness == "sampled_1s"
    assert "lower bound" in found.note
    if model == "calibrated":
        assert found.method == "scaled"
        assert found.calibrated_ms <= found.end_ms
        assert 0 < found.feed_share <= 1
    assert found.realised_over_predicted.value == pytest.approx(
        found.realised_usd / found.predicted_usd, rel=0.01
    )


def test_too_little_is_said_with_how_much_is_needed(tmp_path):
    bars = walk(2_000)
    with Store.open(tmp_path) as store:
        write(store, bars, None)
        none = rolling(store, BTC, "calibrated", 30)
        write(store, bars, events(bars, NEED_EVENTS - 50))
        few = rolling(store, BTC, "calibrated", 30)
        with pytest.raises(UnavailableError, match="no bars"):
            rolling(store, "binance:ETHUSDT", "sharp", 30)
    assert not none.enough
    assert (none.events, few.events) == (0, NEED_EVENTS - 50)
    assert f"{NEED_EVENTS} in 2 days are needed" in few.note
    body = msgspec.json.decode(accuracy_json(few, "live"))
    assert body["rho"] is None
    assert body["mode"] == "live"
    assert body["events_needed"] == NEED_EVENTS
