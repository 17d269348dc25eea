"""The HTTP application: /api/v1, the page, and the WebSocket's place.

Queries are read strictly by ``service.query``; the same structs make the OpenAPI parameters, so
the document cannot say otherwise. Bodies are built in threads, once for all who ask for the
same, and kept by a key which changes whenever the data do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Operation, Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.types import ControllerRouterHandler

from liqheat import __version__
from liqheat.config import Config
from liqheat.engine import MODEL_VERSION
from liqheat.errors import BadInputError, UnavailableError
from liqheat.exchanges.base import Mode
from liqheat.serve import replies
from liqheat.serve.http import (
    JSON,
    PROBLEM,
    ASGIApp,
    Body,
    Guard,
    Problem,
    handle_error,
    make_body,
    reply,
)
from liqheat.serve.pages import Pages, docs_page
from liqheat.serve.push import Hub, socket_route
from liqheat.serve.venues import venue_rows
from liqheat.service import Query, Service
from liqheat.service.cache import BuildCache
from liqheat.service.liquidations import LiquidationsQuery
from liqheat.service.query import parse_query

API = "/api/v1"
BINARY = "application/octet-stream"
#: Encoded bodies kept in memory [bytes].
MAX_BODY_BYTES = 64 << 20

Q = TypeVar("Q", bound=msgspec.Struct)
T = TypeVar("T")
AppRequest = Request[Any, Any, State]


@dataclass(eq=False)
class Context:
    """What the routes work with."""

    service: Service
    hub: Hub
    pages: Pages
    bodies: BuildCache[Body]
    docs: Body | None = None


def create_app(service: Service, config: Config) -> ASGIApp:
    """Return the ASGI application over a service.

    The service's own start and close belong to the application's lifespan.
    """
    hub = Hub(service)
    context = Context(
        service, hub, Pages(),
        BuildCache(service.threads, lambda body: body.size, max_bytes=MAX_BODY_BYTES),
    )  # fmt: skip
    routes: list[ControllerRouterHandler] = [
        health, instruments, heatmap, price_map, bars, series, liquidations, column, accuracy,
        openapi, docs, page, index, socket_route(hub),
    ]  # fmt: skip
    app = Litestar(
        routes,
        state=State({"context": context}),
        exception_handlers={Exception: cast(Any, handle_error)},
        on_app_init=[_quiet],
        on_startup=[service.start],
        on_shutdown=[hub.close, service.close],
        openapi_config=OpenAPIConfig(
            title="liqheat", version=__version__, path=f"{API}/schema", render_plugins=[],
            description="Estimated liquidation levels. Sizes are modelled from public data; "
            "every reply says its mode: live, simulated or replay.",
        ),
    )  # fmt: skip
    return Guard(
        cast(ASGIApp, app), mode=service.catalogue.overall_mode, host=config.host,
        allowed_origins=config.allowed_origins,
    )  # fmt: skip


def _quiet(config: AppConfig) -> AppConfig:
    # Errors are logged once, with their id, by ``handle_error``.
    config.logging_config = None
    return config


# -- queries -------------------------------------------------------------------------------


def _query(request: AppRequest, kind: type[Q]) -> Q:
    raw: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in raw:
            raise BadInputError("is given twice", where=name, value=str(value)[:80])
        raw[name] = str(value)
    return parse_query(raw, kind)


def _context(request: AppRequest) -> Context:
    return cast(Context, request.app.state.context)


def parameters_of(kind: type[msgspec.Struct]) -> list[Parameter]:
    """Return the OpenAPI query parameters of a struct."""
    document = msgspec.json.schema(kind)
    struct = document["$defs"][kind.__name__]
    required = struct.get("required", [])
    out = []
    for name, given in struct["properties"].items():
        branches = given.get("anyOf", [given])
        shape = next(branch for branch in branches if branch.get("type") != "null")
        values = shape.get("enum")
        known = {key: shape[key] for key in ("minimum", "maximum") if key in shape}
        schema = Schema(
            type=OpenAPIType(shape.get("type") or _kind_of(values)),
            enum=values, default=given.get("default"), **known,
        )  # fmt: skip
        out.append(
            Parameter(
                name=name, param_in="query", schema=schema, required=name in required,
                description=given.get("description"),
            )
        )  # fmt: skip
    return out


def _kind_of(values: list[object]) -> str:
    return "integer" if isinstance(values[0], int) else "string"


def _asks(kind: type[msgspec.Struct]) -> type[Operation]:
    @dataclass
    class Asking(Operation):
        def __post_init__(self) -> None:
            self.parameters = list(parameters_of(kind)) or None

    return Asking


_PROBLEMS: dict[int, ResponseSpec] = {
    status: ResponseSpec(Problem, media_type=PROBLEM, generate_examples=False, description=words)
    for status, words in (
        (400, "Unknown parameter"), (404, "Unknown instrument, or no data"),
        (422, "A value which cannot be used"), (503, "Busy, or the store cannot be read"),
    )
}  # fmt: skip


# -- routes --------------------------------------------------------------------------------


@get(f"{API}/health", operation_class=_asks(replies.EmptyQuery), responses=_PROBLEMS)
async def health(request: AppRequest) -> Response[replies.HealthReply]:
    """Tell whether the service works, on which data, and how old they are."""
    _query(request, replies.EmptyQuery)
    service = _context(request).service
    rows = await service.instruments()
    mode = service.catalogue.overall_mode()
    answer = replies.health_reply(
        rows, service.exchange_states(), mode=mode, version=__version__,
        model_version=MODEL_VERSION,
        uptime_s=round((service.clock_ms() - service.started_ms) / 1000, 1),
        venues=venue_rows(service),
    )  # fmt: skip
    return reply(
        request, make_body(msgspec.json.encode(answer)), mode=mode, cache="no-store"
    )


@get(f"{API}/instruments", operation_class=_asks(replies.EmptyQuery), responses=_PROBLEMS)
async def instruments(request: AppRequest) -> Response[replies.InstrumentsReply]:
    """List every instrument there are data for, those being collected first."""
    _query(request, replies.EmptyQuery)
    service = _context(request).service
    mode = service.catalogue.overall_mode()
    answer = replies.InstrumentsReply(mode, await service.instruments())
    return reply(request, make_body(msgspec.json.encode(answer)), mode=mode)


async def _answer(
    request: AppRequest,
    query: Query,
    variant: tuple[object, ...],
    find: Callable[[Service], Awaitable[T]],
    encode: Callable[[T, Mode], bytes],
    *,
    media: str = JSON,
) -> Response[Any]:
    """Answer with what is found, encoded once for all who ask for the same."""
    context = _context(request)
    service = context.service
    key = await service.key(query)
    mode = service.mode(query)
    place = (key, mode, variant)
    body = context.bodies.kept(place)
    if body is None:
        found = await find(service)
        body = await context.bodies.get(
            place, lambda: make_body(encode(found, mode), media)
        )
    return reply(request, body, mode=mode)


@get(f"{API}/heatmap", operation_class=_asks(replies.HeatmapQuery), responses=_PROBLEMS)
async def heatmap(request: AppRequest) -> Response[replies.HeatmapReply]:
    """Give the heatmap as JSON cells, or with format=bin as the binary heat body."""
    query = _query(request, replies.HeatmapQuery)
    candles = bool(query.candles)
    if query.format == "json":
        return await _answer(
            request, query, ("json",), lambda s: s.heatmap(query), replies.heatmap_json
        )
    return await _answer(
        request, query, ("bin", candles), lambda s: s.heatmap(query),
        lambda heat, mode: replies.heatmap_bytes(heat, mode, candles=candles), media=BINARY,
    )  # fmt: skip


@get(f"{API}/map", operation_class=_asks(replies.MapQuery), responses=_PROBLEMS)
async def price_map(request: AppRequest) -> Response[replies.MapReply]:
    """Give the current profile over price, whole and by leverage, with cumulative sums."""
    query = _query(request, replies.MapQuery)

    return await _answer(
        request, query, ("map", query.parts), lambda s: s.heatmap(query, last_only=True),
        lambda heat, mode: replies.map_json(heat, mode, query.parts),
    )  # fmt: skip


@get(f"{API}/column", operation_class=_asks(replies.ColumnQuery), responses=_PROBLEMS)
async def column(request: AppRequest) -> Response[replies.ColumnReply]:
    """Give one column, exact: the figures behind the colours."""
    query = _query(request, replies.ColumnQuery)
    return await _answer(
        request, query, ("column", query.t, query.parts), lambda s: s.heatmap(query),
        lambda heat, mode: replies.column_json(heat, mode, query.t, query.parts),
    )  # fmt: skip


@get(f"{API}/bars", operation_class=_asks(Query), responses=_PROBLEMS)
async def bars(request: AppRequest) -> Response[replies.BarsReply]:
    """Give the window's bars as stored, with open interest and gaps."""
    query = _query(request, Query)
    return await _answer(
        request, query, ("bars",), lambda s: s.bars(query),
        lambda found, mode: replies.bars_json(found, query.instrument, mode),
    )  # fmt: skip


@get(f"{API}/series", operation_class=_asks(Query), responses=_PROBLEMS)
async def series(request: AppRequest) -> Response[replies.SeriesReply]:
    """Give open interest, funding, volume and realised liquidations by column."""
    query = _query(request, Query)
    recorded = await _context(request).service.recorded_key(query)
    return await _answer(
        request, query, ("series", recorded), lambda s: s.series(query),
        lambda build, mode: replies.series_json(build(), query.instrument, mode),
    )  # fmt: skip


@get(f"{API}/liquidations", operation_class=_asks(LiquidationsQuery), responses=_PROBLEMS)
async def liquidations(request: AppRequest) -> Response[replies.LiquidationsReply]:
    """Give realised liquidations, newest first, and their sums of 1, 4 and 24 hours."""
    query = _query(request, LiquidationsQuery)
    context = _context(request)
    key, find = await context.service.realised(query)
    mode = context.service.mode(Query(query.instrument, exchanges=query.exchanges))
    body = await context.bodies.get(
        ("liquidations", key, mode),
        lambda: make_body(replies.liquidations_json(find(), query.instrument, mode)),
    )
    return reply(request, body, mode=mode)


@get(f"{API}/accuracy", operation_class=_asks(replies.AccuracyQuery), responses=_PROBLEMS)
async def accuracy(request: AppRequest) -> Response[replies.AccuracyReply]:
    """Tell how right the map was here lately: realised liquidations beside modelled ones."""
    query = _query(request, replies.AccuracyQuery)
    context = _context(request)
    entry = await context.service.entry(query.instrument)
    mode = context.service.catalogue.mode(entry)
    if entry.bars is None:
        raise UnavailableError(f"{query.instrument}: no bars are stored yet")

    def build() -> Body:
        # Here, because it loads what nothing else in the server needs.
        from liqheat.study.rolling import rolling

        found = rolling(entry.feed.store, query.instrument, query.model, query.days)
        return make_body(replies.accuracy_json(found, mode))

    # Anew once an hour: it takes seconds, and an hour changes nothing in a month.
    place = ("accuracy", query, mode, entry.bars.end_ms // 3_600_000)
    return reply(request, await context.bodies.get(place, build), mode=mode)


@get(f"{API}/openapi.json", include_in_schema=False)
async def openapi(request: AppRequest) -> Response[Any]:
    """Return the OpenAPI document."""
    raw = msgspec.json.encode(request.app.openapi_schema.to_schema())
    return reply(request, make_body(raw))


@get(f"{API}/docs", include_in_schema=False)
async def docs(request: AppRequest) -> Response[Any]:
    """Return the documentation for people."""
    context = _context(request)
    if context.docs is None:
        context.docs = docs_page(request.app.openapi_schema.to_schema())
    return reply(request, context.docs)


@get("/", include_in_schema=False)
async def index(request: AppRequest) -> Response[Any]:
    """Return the page."""
    return _page(request, "/")


@get("/{path:path}", include_in_schema=False)
async def page(request: AppRequest) -> Response[Any]:
    """Return one file of the page."""
    return _page(request, str(request.path_params["path"]))


def _page(request: AppRequest, path: str) -> Response[Any]:
    found = _context(request).pages.get(path)
    if found is None:
        raise NotFoundException(f"there is nothing at {path[:200]}")
    body, cache = found
    return reply(request, body, cache=cache)
