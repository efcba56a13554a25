"""The body of a request: never more of it than a bound, compressed and not."""

from __future__ import annotations

import zlib
from email.message import Message
from io import BufferedIOBase

#: Bytes of a request's body.
LARGEST_BODY = 64 << 20


class BadRequest(Exception):
    """A request that is answered with `status` and nothing else."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def read_body(headers: Message[str, str], file: BufferedIOBase) -> bytes:
    """The whole body, in whichever way it is sent. Raises `BadRequest`."""
    if "chunked" in (headers.get("transfer-encoding") or ""):
        raw = _chunks(file)
    else:
        length = int(headers.get("content-length") or 0)
        if length < 0:
            raise BadRequest(400, "the body cannot be shorter than nothing")
        if length > LARGEST_BODY:
            raise BadRequest(413, f"the body is longer than {LARGEST_BODY} bytes")
        raw = file.read(length)
    encoding = (headers.get("content-encoding") or "identity").lower()
    if encoding == "identity":
        return raw
    if encoding not in ("gzip", "deflate"):
        raise BadRequest(415, f"the content encoding {encoding} is not known here")
    try:
        inflating = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # either of the two, told from its head
        whole = inflating.decompress(raw, LARGEST_BODY)
    except zlib.error as error:
        raise BadRequest(400, f"the body is not {encoding}: {error}") from error
    if inflating.unconsumed_tail:
        raise BadRequest(413, f"the body is longer than {LARGEST_BODY} bytes")
    return whole


def _chunks(file: BufferedIOBase) -> bytes:
    whole = b""
    while size := int(file.readline(100).partition(b";")[0].strip() or b"0", 16):
        if len(whole) + size > LARGEST_BODY:
            raise BadRequest(413, f"the body is longer than {LARGEST_BODY} bytes")
        whole += file.read(size)
        file.readline(100)
    file.readline(100)
    return whole
