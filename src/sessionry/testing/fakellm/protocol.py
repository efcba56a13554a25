"""What a protocol of model APIs is to the server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from sessionry.testing.fakellm.answer import Answer
from sessionry.testing.fakellm.asked import Asked

#: What is said with an HTTP status or an error in a stream, unless the script says it.
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Failure(NamedTuple):
    """Something that goes wrong. `code` is the word for it in the protocol, None: the usual one."""

    status: int
    message: str
    code: str | None = None

    @property
    def type(self) -> str:
        return TYPES.get(self.status, "api_error")


class Frame(NamedTuple):
    """An event of a stream. `piece`: it brings a piece of the text."""

    data: dict[str, Any] | str
    event: str | None = None
    piece: bool = False


class ModelProtocol(Protocol):
    """Pure: requests to values and answers to values. The server knows the wire."""

    #: as in `Received.protocol`
    name: str

    def asked(self, path: str, body: dict[str, Any], /) -> Asked:
        """What the request wants; a `KeyError`, `TypeError` or `AttributeError` says that it is none of the protocol."""

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The body of an answer that does not stream."""

    def stream(self, answer: Answer) -> Iterator[Frame]:
        """The events of an answer that streams, one frame for each of its pieces among them."""

    def failed(self, failure: Failure) -> dict[str, Any]:
        """The body of a refusal."""

    def broken(self, answer: Answer, failure: Failure, sent: int, /) -> Frame:
        """The event of an error in the middle of a stream, after so many other ones."""


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:20]}"
