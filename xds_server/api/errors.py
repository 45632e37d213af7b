"""How the HTTP interface says no, and that its description says so."""

from typing import Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

WRONG = 400
UNAVAILABLE = 503
"""What has to be written down first cannot be written now."""
UNPROCESSABLE = "422"
"""What FastAPI would answer a wrong question with, and describes; here it is 400."""


class Wrong(BaseModel):
    """Why a question is not answered."""

    error: str = Field(description="What is wrong with it, and what to do.")


UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Wrong, "description": "There is nothing by this name."}}
"""What a route answers that asks for something by name."""
NOT_NOW: dict[int | str, dict[str, Any]] = {
    UNAVAILABLE: {"model": Wrong, "description": "The state directory cannot be written now: try again."}
}
"""What a route answers that has to be written down first."""


def wrong(status: int, what: str) -> HTTPException:
    return HTTPException(status, what)


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the errors that there are."""
    found = FastAPI.openapi(app)
    for operations in found["paths"].values():
        for operation in operations.values():
            _mend(operation["responses"])
    schemas = found["components"]["schemas"]
    schemas[Wrong.__name__] = Wrong.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return found


def _mend(responses: dict[str, Any]) -> None:
    if responses.pop(UNPROCESSABLE, None) is not None:
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Wrong"}}}
        responses[str(WRONG)] = {"description": "The question is wrong.", "content": content}
