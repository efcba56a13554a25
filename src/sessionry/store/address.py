"""How the URL of a store may be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def without_password(url: str) -> str:
    """The URL as it may be shown, whatever it is: rather too little of one that is none."""
    if url.startswith(("sqlite:", "memory:")) or ":" not in url:
        return url
    try:
        parts = urlsplit(re.sub(r"(?<=//)([^:@/?#]*):.*@", r"\1@", url))
    except ValueError:
        return f"{url.partition(':')[0]}:..."
    query = "&".join(item for item in parts.query.split("&") if not re.match(r"(ssl)?password=", item))
    return f"{parts.scheme}://{parts.netloc}{parts.path or '/'}{'?' if query else ''}{query}"
