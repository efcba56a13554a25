"""The handle of a webhook."""

from __future__ import annotations

from typing import Any

from sessionry.domain.queries import Page, page_limit, place_in_log
from sessionry.domain.records import invalid
from sessionry.domain.webhook import Notice, NoticeStatus, Webhook
from sessionry.runtime.handles import Handle
from sessionry.store.operations import webhooks

_CHANGES = ("url", "types", "description", "enabled")


class WebhookHandle(Handle):
    """A webhook: an address that is told of events."""

    async def get(self) -> Webhook:
        """The webhook as it is now. Raises `webhook_not_found`."""
        return await self._owner.execute(webhooks.get(self._owner.scope, self.id))

    async def update(self, **changes: Any) -> Webhook:
        """Replace `url`, `types`, `description` or `enabled`. One that is enabled again goes on where it stopped."""
        for name in changes:
            if name not in _CHANGES:
                raise invalid(name, f"cannot be updated; these can: {', '.join(_CHANGES)}")
        return await self._owner.execute(webhooks.update(self._owner.scope, self.id, changes))

    async def delete(self) -> Webhook:
        """Remove it, with what it has not taken yet."""
        return await self._owner.execute(webhooks.delete(self._owner.scope, self.id))

    async def notices(
        self, *, status: NoticeStatus | str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Notice]:
        """What it has not taken, oldest first: `pending`, or given up, which is `dead`."""
        try:
            wanted = None if status is None else NoticeStatus(status)
        except ValueError:
            raise invalid("status", f"must be one of {', '.join(NoticeStatus)}, not {status!r}") from None
        asking = webhooks.notices(self._owner.scope, self.id, status=wanted, limit=page_limit(limit), cursor=cursor)
        return await self._owner.execute(asking)

    async def retry(self, notice_id: str | None = None) -> int:
        """Let what was given up be tried again: one notice, or all; how many. Raises `notice_not_found`."""
        return await self._owner.execute(webhooks.retry(self._owner.scope, self.id, notice_id))

    async def replay(self, after: int) -> Webhook:
        """Tell it again of all that is in the log after the position; a later one than its own skips what is between."""
        return await self._owner.execute(webhooks.replay(self._owner.scope, self.id, place_in_log(after, "after")))
