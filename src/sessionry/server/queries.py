"""What may stand behind the question mark of an address: a parameter that is not known is refused by its name.

Who writes `?stauts=failed` would be given every session otherwise, and believe that all of them have failed.
"""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from sessionry.domain.errors import InvalidInput
from sessionry.server.access import PUBLIC

#: What the framework gives to a handler by these names is none of the address.
_GIVEN = ("request", "data")


def known(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: the address has no parameter that the handler does not take. Raises `validation_error`."""
    if handler.opt.get(PUBLIC) or not connection.query_params:
        return
    taken = handler.parsed_fn_signature.parameters.keys() - connection.path_params.keys() - set(_GIVEN)
    for name in connection.query_params:
        if name not in taken:
            instead = f"it takes {', '.join(sorted(taken))}" if taken else "it takes none"
            raise InvalidInput(
                "validation_error",
                f"query.{name} is no parameter of this address; {instead}",
                details={"path": f"query.{name}", "known": sorted(taken)},
            )
