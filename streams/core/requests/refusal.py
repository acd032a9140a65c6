"""The effect that refuses a request, with a sentence for operators."""

from __future__ import annotations

from schemas.reasons import ProblemCode
from schemas.request import Request
from streams.core.effects import DeadLetter, Effect, Origin


def refuse(request: Request, why: str, origin: Origin) -> list[Effect]:
    reason = f"request {request.request_id!r} is refused: {why}"
    return [
        DeadLetter(
            code=ProblemCode.REQUEST_REFUSED,
            reason=reason,
            owner=request.owner,
            origin=origin,
            request_id=request.request_id,
        )
    ]
