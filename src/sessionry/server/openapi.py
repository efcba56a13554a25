"""The description of the interface: what the framework knows of it, and on top the examples, errors and links."""

from __future__ import annotations

from typing import Any

from litestar import Litestar


def described(app: Litestar) -> dict[str, Any]:
    """OpenAPI 3.1."""
    schema: dict[str, Any] = app.openapi_schema.to_schema()
    return schema
