"""What may stand behind the question mark of an address: a parameter that is not known is refused by its name, and so is
one that is given twice and has one value.

Who writes `?stauts=failed` would be given every session otherwise, and believe that all of them have failed.
"""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.typing import FieldDefinition

from sessionry.domain.errors import InvalidInput
from sessionry.server.access import PUBLIC

#: What the framework gives to a handler by these names is none of the address.
_GIVEN = ("request", "data")


def known(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard: the address has no parameter that the handler does not take, or does not take so often. Raises
    `validation_error`.
    """
    if handler.opt.get(PUBLIC) or not connection.query_params:
        return
    parameters = handler.parsed_fn_signature.parameters
    taken = parameters.keys() - connection.path_params.keys() - set(_GIVEN)
    for name, values in connection.query_params.dict().items():
        if name not in taken:
            instead = f"it takes {', '.join(sorted(taken))}" if taken else "it takes none"
            raise InvalidInput(
                "validation_error",
                f"query.{name} is no parameter of this address; {instead}",
                details={"path": f"query.{name}", "known": sorted(taken)},
            )
        if len(values) > 1 and not _several(parameters[name]):
            raise InvalidInput(
                "validation_error", f"query.{name} is given {len(values)} times", details={"path": f"query.{name}"}
            )


def _several(parameter: FieldDefinition) -> bool:
    """Whether it is a list, if it is given at all."""
    return any(kind.is_non_string_sequence for kind in (parameter, *parameter.inner_types))
