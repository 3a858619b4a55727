"""The ASGI application: every route of the server, ready to run alone or mounted in another application.

Run it with ``syncline serve``. To mount it, serve it with uvicorn's ``wsproto`` implementation and without WebSocket
pings (``ws="wsproto", ws_ping_interval=None``; architecture, *Server = ASGI*), and call ``app.state.syncline.stop()``
when the application around it ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from syncline.server.api_errors import ApiError
from syncline.server.client_api import client_routes
from syncline.server.http_support import HostGuard, handle_api_error, json_answer
from syncline.server.object_server import ObjectServer
from syncline.server.realm_keys import IllegalRealmPathError
from syncline.server.settings import Settings
from syncline.server.sync_endpoint import SyncEndpoint
from syncline.version import __version__

__all__ = ["create_app"]

_LOOPBACK_ORIGIN = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"

_SYNC_PATHS = ("/realm-sync", "/realm-sync/{rest:path}", "/api/client/v2.0/app/{app_id}/realm-sync")


def create_app(settings: Settings) -> Starlette:
    """The application of one object server; ``app.state.syncline`` is its :class:`ObjectServer`.

    Opens the data folder at once; it is closed at the end of the ASGI lifespan.

    Raises:
        SettingsError: the folder is in use or unsafe.
        OSError: the folder cannot be used.
    """
    server = ObjectServer(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await server.stop()

    app = Starlette(
        routes=_routes(server),
        middleware=[
            Middleware(HostGuard, settings=settings),
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.allowed_origins),
                allow_origin_regex=_LOOPBACK_ORIGIN if settings.dev else None,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["authorization", "content-type", "accept"],
                expose_headers=["x-baas-location"],
            ),
        ],
        exception_handlers={
            ApiError: handle_api_error,
            HTTPException: handle_api_error,
            Exception: handle_api_error,
        },
        lifespan=lifespan,
    )
    app.state.syncline = server
    return app


def _routes(server: ObjectServer) -> list[BaseRoute]:
    async def health(request: Request) -> Response:
        if server.is_stopping:
            return json_answer({"status": "stopping", "version": __version__}, 503)
        return json_answer({"status": "ok", "version": __version__, "open_realms": len(server.hubs)})

    async def realm_hash(request: Request) -> Response:
        """The content hash of a Realm's state on the server: what a client's hash is compared with."""
        text = request.path_params["realm"]
        app_id = request.query_params.get("app", "default")
        try:
            realm = await server.hubs.resources.run(server.access.find_realm, app_id, text)
        except IllegalRealmPathError as error:
            raise ApiError(400, "InvalidParameter", str(error)) from None
        if realm is None:
            raise ApiError(404, "ValueNotFound", "no such Realm")
        hub = await server.hubs.acquire(realm)
        try:
            version, content_hash = await hub.content_hash()
        finally:
            server.hubs.release(hub)
        return json_answer({"realm": realm.key, "version": version, "hash": content_hash})

    async def not_a_page(request: Request) -> Response:
        """A sync URL opened without an upgrade, by a browser or a misguided client."""
        text = "Realm sync server\n\nThis URL is for WebSocket connections of the Realm sync protocol.\n"
        return PlainTextResponse(text, 400)

    routes: list[BaseRoute] = [
        Route("/health", health, methods=["GET"]),
        *(Route(path, not_a_page, methods=["GET"]) for path in _SYNC_PATHS),
        *client_routes(server),
        WebSocketRoute("/{path:path}", SyncEndpoint(server)),
    ]
    if server.settings.dev:
        routes.insert(1, Route("/dev/realms/{realm:path}/hash", realm_hash, methods=["GET"]))
    return routes
