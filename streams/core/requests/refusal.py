"""A request that cannot be carried out goes to people, with a sentence that says why."""

from __future__ import annotations

from schemas.request import Request
from streams.core.effects import DeadLetter, Effect, Origin


def refuse(request: Request, why: str, origin: Origin | None) -> list[Effect]:
    reason = f"request {request.request_id!r} is refused: {why}"
    return [DeadLetter(reason=reason, owner=request.owner, origin=origin)]
