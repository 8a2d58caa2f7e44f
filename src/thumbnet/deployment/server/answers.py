"""What goes over the wire as JSON, and what OpenAPI says of bodies."""

from typing import Any, Literal

from pydantic import BaseModel


class Ranked(BaseModel):
    """A class and its probability."""

    label: str
    score: float


class Classified(BaseModel):
    """What the student says of a picture."""

    label: str
    score: float
    ranked: list[Ranked]
    given: Literal["picture", "thumbnail"]
    milliseconds: dict[str, float]


class Problem(BaseModel):
    """Why there is no answer."""

    error: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (400, 401, 408, 413, 415, 421, 422, 503, 504)
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}
FILES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            }
        },
    }
}
