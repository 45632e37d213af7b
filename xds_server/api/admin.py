"""`/healthz`, `/readyz` and `/metrics`, for probes and Prometheus."""

from collections.abc import Callable

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel

from xds_server import __version__


class Readiness(BaseModel):
    """Whether proxies are being answered, and if not, what is waited for."""

    ready: bool
    because: str


def admin_app(readiness: Callable[[], Readiness], registry: CollectorRegistry) -> FastAPI:
    app = FastAPI(title="xds-server", version=__version__, docs_url=None, redoc_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """The process is alive."""
        return {"alive": True}

    @app.get("/readyz")
    async def readyz(response: Response) -> Readiness:
        """200 once records have been read and proxies are answered; 503 with the reason before."""
        found = readiness()
        response.status_code = 200 if found.ready else 503
        return found

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
