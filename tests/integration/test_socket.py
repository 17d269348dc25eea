"""The WebSocket of a running server: what a viewer holds is what a snapshot would say."""

import asyncio
import contextlib
import gzip

import numpy as np
import pytest
import websockets

from liqheat.market.events import Bar, Liquidation
from liqheat.serve import push
from liqheat.serve.wire import decode_picture
from tests.integration.world import FIRST, Viewer, World, assert_fresh, run, viewer, world
from tests.market import DAY, MINUTE, SYMBOL, bar, fill, market


def test_snapshot_then_deltas_equal_a_fresh_snapshot(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="5m") as v:
            assert v.texts[0]["type"] == "status"
            assert v.texts[0]["mode"] == "simulated"
            for _ in range(40):
                w.play(1, progress=True)
                await asyncio.sleep(0.06)
            await v.quiet()
            assert {"append", "sparse"} <= set(v.kinds)
            assert_fresh(w, v)
            await v.subscribe(step="5m")
            before = v.kinds.count("snapshot")
            await v.until(lambda: v.kinds.count("snapshot") > before)
            assert_fresh(w, v)
            async with viewer(w, step="5m") as other:
                np.testing.assert_array_equal(other.state.codes, v.state.codes)

    run(check, tmp_path)


def test_live_bars_of_another_interval_continue_the_picture(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w) as v:
            end, last = int(w.bars.start_ms[w.next]), float(w.bars.close[w.next - 1])
            assert v.picture.step_ms == MINUTE
            for k in range(3):
                start = end + 5 * k * MINUTE
                w.bus.publish(Bar(SYMBOL, start, 5 * MINUTE, last, last, last, last, 9.0))
            # No column may be shorter than the bars it is made of.
            await v.until(lambda: v.picture.step_ms == 5 * MINUTE)
            await v.quiet()
            assert v.picture.candles[3, -1] == np.float32(last)
            [watched] = w.service.markets[SYMBOL].views.values()
            assert watched.view.end_ms == end + 15 * MINUTE
            assert_fresh(w, v)

    run(check, tmp_path)


def test_two_viewers_get_the_same_bytes(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w) as a, viewer(w) as b:
            for _ in range(5):
                w.play(1, progress=True)
                await asyncio.sleep(0.06)
            await asyncio.gather(a.quiet(), b.quiet())
            assert a.frames == b.frames
            assert a.kinds.count("append") >= 5
            views = w.service.markets[SYMBOL].views
            assert len(views) == 1

    run(check, tmp_path)


def test_price_leaving_the_rows_redraws(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w) as v:
            high = v.picture.p_lo * np.exp(v.picture.p_step * v.picture.codes.shape[1])
            w.play(1)
            at = int(w.bars.start_ms[w.next])
            price = float(high) * 0.98
            event = bar(w.bars, w.next)
            jump = type(event)(
                SYMBOL, at, MINUTE, event.open, price, event.low, price, 10.0
            )  # fmt: skip
            w.bus.publish(jump)
            await v.until(lambda: v.picture.p_lo * np.exp(
                v.picture.p_step * v.picture.codes.shape[1]) > high * 1.01)  # fmt: skip
            await v.quiet()
            assert_fresh(w, v)

    run(check, tmp_path)


def test_hole_in_the_stream_is_built_again(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="1m") as v:
            w.play(2)
            w.next += 7
            w.play(2)
            await v.until(lambda: v.kinds.count("snapshot") >= 2)
            await v.quiet()
            assert_fresh(w, v)
            assert np.isnan(v.picture.candles[3][-9:-2]).all()

    run(check, tmp_path)


def test_rows_written_by_another_process_are_followed(tmp_path) -> None:
    async def check(w: World) -> None:
        w.bus._source.attached = False
        async with viewer(w, step="1m") as v:
            fill(w.store, w.bars[FIRST : FIRST + 3])
            await v.until(lambda: v.kinds.count("append") >= 3)
            fill(w.store, w.bars[FIRST + 3 : FIRST + 600])
            await v.until(lambda: v.kinds.count("snapshot") >= 2)
            await v.quiet()
            assert_fresh(w, v)

    run(check, tmp_path, kind="real")


def test_slow_viewer_gets_a_snapshot(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="1m") as v:
            hub_viewer = next(iter(_channel(w).viewers))
            hub_viewer.write_to = None
            # The socket is not read and the writer is held up: frames pile up, bounded.
            for _ in range(push.MAX_WAITING + 20):
                _channel(w).send_status()
            assert len(hub_viewer.waiting) <= push.MAX_WAITING
            w.play(3)
            before = v.kinds.count("snapshot")
            await v.until(lambda: v.kinds.count("snapshot") > before)
            await v.quiet()
            assert_fresh(w, v)

    run(check, tmp_path)


def _channel(w: World) -> push.Channel:
    views = w.service.markets[SYMBOL].views
    return next(iter(views.values())).listeners[0]  # type: ignore[return-value]


def test_client_that_does_not_read_does_not_hold_up_others(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="1m") as slow, viewer(w, step="1m") as quick:
            slow.socket.transport.pause_reading()
            for _ in range(300):
                w.play(1, stored=False)
                await asyncio.sleep(0.05)
                if quick.kinds.count("append") > 50:
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await quick.step()
            await quick.quiet()
            assert_fresh(w, quick)
            waiting = [len(one.waiting) for one in _channel(w).viewers]
            assert max(waiting) <= push.MAX_WAITING
            slow.socket.transport.resume_reading()
            await slow.quiet()
            assert_fresh(w, slow)

    run(check, tmp_path)


GARBAGE = [
    ("{", "message"),
    ("[]", "message"),
    ('"x"', "message"),
    ("null", "message"),
    ('{"op":"dance"}', "op"),
    ("{}", "op"),
    ('{"op":"subscribe"}', "instrument"),
    ('{"op":"subscribe","instrument":5}', "instrument"),
    ('{"op":"subscribe","instrument":"nope:NOPE"}', "instrument"),
    (f'{{"op":"subscribe","instrument":"{SYMBOL}","bins":1e400}}', None),
    (f'{{"op":"subscribe","instrument":"{SYMBOL}","bins":7}}', "bins"),
    (f'{{"op":"subscribe","instrument":"{SYMBOL}","modle":"x"}}', "modle"),
    (f'{{"op":"subscribe","instrument":"{SYMBOL}","as_of_ms":1}}', "as_of_ms"),
    ("[" * 5000, "message"),
    (b"\x00\x01", "message"),
]


def test_garbage_gets_an_error_frame_and_the_socket_stays(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(push, "BURST", 1000)

    async def check(w: World) -> None:
        async with viewer(w) as v:
            for raw, field in GARBAGE:
                await v.socket.send(raw)
                error = await v.text("error")
                assert error["status"] in (400, 404, 422), (raw, error)
                assert {"title", "detail"} <= set(error)
                if field is not None:
                    assert error["field"] == field, (raw, error)
            await v.send(op="ping")
            await v.text("pong")
            await v.subscribe()
            w.play(1)
            await v.quiet()
            assert_fresh(w, v)
        assert (await w.http.get("/api/v1/health")).status_code == 200

    run(check, tmp_path)


def test_too_large_message_closes_the_socket_only(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w) as v:
            await v.socket.send("x" * 100_000)
            with pytest.raises(websockets.ConnectionClosed):
                await v.quiet(5)
        async with viewer(w) as v:
            assert v.picture is not None

    run(check, tmp_path)


def test_too_many_messages_are_slowed_down(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w) as v:
            for _ in range(push.BURST + 5):
                await v.send(op="ping")
            error = await v.text("error")
            assert error["status"] == 429

    run(check, tmp_path)


def test_heartbeat_and_status_come_when_nothing_happens(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(push, "BEAT_S", 1.0)

    async def check(w: World) -> None:
        async with viewer(w) as v:
            seen = len(v.texts)
            await v.until(lambda: v.kinds.count("heartbeat") >= 2)
            assert any(text["type"] == "status" for text in v.texts[seen:])
            assert v.texts[-1]["columns"] == len(v.state.codes)

    run(check, tmp_path)


def test_liquidations_of_the_window_and_live_ones(tmp_path) -> None:
    async def check(w: World) -> None:
        def liquidation(i: int) -> Liquidation:
            at = int(w.bars.start_ms[i]) + 5
            return Liquidation(SYMBOL, at, "long", 6e4, "order", 0.5, 3e4)

        w.bus.publish(liquidation(FIRST - 10))
        async with viewer(w) as v:
            await v.quiet()
            [rows] = [t["rows"] for t in v.texts if t["type"] == "liquidations"]
            assert [row["event_ms"] for row in rows] == [
                int(w.bars.start_ms[FIRST - 10]) + 5
            ]
            w.bus.publish(liquidation(FIRST))
            rows = (await v.text("liquidations"))["rows"]
            assert rows == [{
                "event_ms": int(w.bars.start_ms[FIRST]) + 5, "instrument": SYMBOL,
                "position_side": "long", "price": 6e4, "qty": 0.5, "notional_usd": 3e4,
                "price_kind": "order",
            }]  # fmt: skip

    run(check, tmp_path)


def test_symbol_without_data_says_so_and_appears_when_there_are(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(push, "RETRY_S", 0.2)

    async def check(w: World) -> None:
        async with websockets.connect(w.ws, max_size=None) as socket:
            v = Viewer(socket)
            await v.send(op="subscribe", instrument="binance:ETHUSDT", range="12h")
            status = await v.text("status")
            assert (status["columns"], status["instrument"]) == (0, "binance:ETHUSDT")
            assert v.picture is None
            fill(w.store, market(2000, price=2000.0), "binance:ETHUSDT")
            await v.until(lambda: v.picture is not None)

    run(check, tmp_path)


def test_recorded_data_is_called_so(tmp_path) -> None:
    async def check(w: World) -> None:
        w.bus._source.attached = False
        w.service.catalogue._clock_ms = lambda: int(w.bars.start_ms[FIRST]) + 30 * DAY
        answer = await w.http.get("/api/v1/instruments")
        [row] = answer.json()["instruments"]
        assert (row["mode"], row["state"]) == ("replay", "stale")
        assert (await w.http.get("/api/v1/health")).json()["status"] == "stale"
        async with viewer(w) as v:
            status = v.texts[0]
            assert status["mode"] == "replay"
            assert status["replay_speed"] is None
            assert "Recorded data" in status["note"]
            assert "30 days old" in status["note"]

    run(check, tmp_path, kind="real")


def test_stop_ends_sockets_cleanly(tmp_path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            socket = await websockets.connect(w.ws, max_size=None)
            v = Viewer(socket)
            await v.subscribe()
            await v.until(lambda: v.picture is not None)
        with pytest.raises(websockets.ConnectionClosed):
            await v.quiet(5)

    asyncio.run(main())


def test_snapshot_frame_is_gzip_of_the_http_body(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="5m") as v:
            query = {"instrument": SYMBOL, "range": "12h", "bins": 100, "step": "5m",
                     "format": "bin", "candles": 1}  # fmt: skip
            answer = await w.http.get("/api/v1/heatmap", params=query)
            body = decode_picture(answer.content)
            raw = decode_picture(gzip.decompress(v.frames[0][9:]))
            np.testing.assert_array_equal(raw.codes, body.codes)
            np.testing.assert_array_equal(raw.candles, body.candles)
            assert (raw.t0_ms, raw.p_lo, raw.p_step, raw.v_max) == (
                body.t0_ms, body.p_lo, body.p_step, body.v_max,
            )  # fmt: skip

    run(check, tmp_path)
