"""`/healthz`, `/readyz` and `/metrics`, for probes and Prometheus; `/problems` and `/explain`, for people; and more."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from xds_server import __version__
from xds_server.api.access import OnlyFromHere, with_refusals
from xds_server.api.errors import UNAVAILABLE, described
from xds_server.api.explain import Question, explained, malformed
from xds_server.api.problems import ProblemReport, Standing, problem_report
from xds_server.domain.errors import StateUnwritable
from xds_server.traffic.decisions import Decision
from xds_server.traffic.requests import CannotExplain


class Readiness(BaseModel):
    """Whether proxies are being answered, and if not, what is waited for."""

    ready: bool
    because: str


def admin_app(
    readiness: Callable[[], Readiness],
    registry: CollectorRegistry,
    standing: Callable[[], Standing] = Standing,
    more: Iterable[APIRouter] = (),
) -> FastAPI:
    """`standing` is asked anew each time. `more`: what else is served."""
    app = FastAPI(title="xds-server", version=__version__, docs_url=None, redoc_url=None)
    _tell_errors(app)
    app.add_middleware(OnlyFromHere)
    app.openapi = lambda: with_refusals(described(app))  # type: ignore[method-assign]
    for router in more:
        app.include_router(router)

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """The process is alive."""
        return {"alive": True}

    @app.get("/readyz", responses={503: {"model": Readiness, "description": "Proxies are not answered yet."}})
    async def readyz(response: Response) -> Readiness:
        """200 once records have been read and proxies are answered; 503 with the reason before."""
        found = readiness()
        response.status_code = 200 if found.ready else 503
        return found

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/problems")
    async def problems() -> list[ProblemReport]:
        """Everything that is wrong now: with records, certificates and extensions, and what proxies refuse."""
        return [problem_report(each) for each in standing().problems]

    @app.post("/explain", response_model=Decision)
    def explain(question: Question) -> Decision | JSONResponse:
        """What a gateway does with a request, and why; 400 if that cannot be told. Runs beside the event loop."""
        try:
            return explained(standing(), question)
        except CannotExplain as error:
            return JSONResponse({"error": str(error)}, 400)

    return app


def _tell_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def refuse(request: Request, error: RequestValidationError) -> JSONResponse:
        found = error.errors()
        return JSONResponse({"error": malformed(found) if request.url.path == "/explain" else misread(found)}, 400)

    @app.exception_handler(StateUnwritable)
    async def not_now(_request: Request, error: StateUnwritable) -> JSONResponse:
        return JSONResponse({"error": f"not now: {error}"}, UNAVAILABLE)

    @app.exception_handler(HTTPException)
    async def say(_request: Request, error: HTTPException) -> JSONResponse:
        """Errors look the same wherever they come from."""
        return JSONResponse({"error": error.detail}, error.status_code)


def misread(errors: Sequence[Any]) -> str:
    """What is wrong with the first of the parameters that are: which, what, and what was written."""
    first = errors[0]
    where = " ".join(map(str, first["loc"]))
    what = first["msg"].removeprefix("Value error, ")
    return f"{where}: {what[:1].lower()}{what[1:]}, and it is {first.get('input')!r}; /openapi.json says what it may be"
