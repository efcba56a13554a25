"""Posting a message to an address that a stranger has given, without being led into our own network.

Names are resolved here, each address that comes of one must be public, and the connection goes to that very address, so
that a name which changes its mind leads nowhere. Redirects are not followed, and nothing of
the answer is kept but its status.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from sessionry.domain.records import utc_now

if TYPE_CHECKING:
    import httpx

#: Addresses of IPv6 that lead to the IPv4 address in their last 32 bits (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Answer(NamedTuple):
    """What became of a message. Without a `problem` it was taken. `wait`: seconds that the other side asks for."""

    problem: str | None = None
    status: int | None = None
    wait: float | None = None


class Poster:
    """Posts; `private` lets it post to addresses of this machine and its networks too. To be closed."""

    def __init__(self, *, timeout: float, private: bool) -> None:
        import httpx

        self._private = private
        self._timeout = timeout
        # no connection is kept: it may have been made for another name at the same address
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False, follow_redirects=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post it and say what became of it. Raises nothing."""
        import httpx

        try:
            async with asyncio.timeout(self._timeout):
                return await self._posted(httpx.URL(url), headers, body)
        except TimeoutError:
            return Answer(f"it did not answer within {self._timeout:g} seconds")
        except httpx.TimeoutException:
            return Answer(f"it did not answer within {self._timeout:g} seconds")
        except Refused as error:
            return Answer(str(error))
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            return Answer(f"it cannot be reached: {str(error) or type(error).__name__}"[:500])

    async def _posted(self, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> Answer:
        import httpx

        addresses = await self._addresses(url.host, url.port or (443 if url.scheme == "https" else 80))
        named = {**headers, "Host": url.netloc.decode()}
        for place, address in enumerate(addresses):
            request = self._client.build_request("POST", url.copy_with(host=address), headers=named, content=body)
            request.extensions["sni_hostname"] = url.host
            try:
                answer = await self._client.send(request, stream=True)
            except httpx.ConnectError:
                if place + 1 == len(addresses):
                    raise
                continue
            await answer.aclose()
            return _said(answer)
        raise Refused("its name has no address")

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Where the name leads. Raises `Refused` when any of it is not public."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Refused("its name has no address") from None
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        if not self._private and not all(is_public(ipaddress.ip_address(each)) for each in addresses):
            raise Refused("its address is not a public one; SESSIONRY_WEBHOOK_PRIVATE=on allows it")
        return addresses


class Refused(Exception):
    """The address is none that is posted to."""


def is_public(address: Address) -> bool:
    """Whether everybody means the same machine by that address, which so is none of our own."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _said(answer: httpx.Response) -> Answer:
    if answer.is_success:
        return Answer(status=answer.status_code)
    moved = "; redirects are not followed" if answer.is_redirect else ""
    problem = f"it answered {answer.status_code}{moved}"
    return Answer(problem, answer.status_code, _wait(answer.headers.get("retry-after")))


def _wait(retry_after: str | None) -> float | None:
    """Seconds, or until a date (RFC 9110); None for what is neither."""
    if retry_after is None:
        return None
    try:
        if retry_after.strip().isdigit():
            return float(retry_after)
        return max((parsedate_to_datetime(retry_after) - utc_now()).total_seconds(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None
