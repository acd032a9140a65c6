"""Effects behind the fence, apart from executions: once a later attempt has passed, no earlier one may. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.judge.executions import Seen
from tests.chaos.judge.history import Effect
from tests.chaos.judge.violations import Kind, Violation, evidence


def double_effects(seen: Seen) -> Iterator[Violation]:
    latest: dict[str, Effect] = {}
    for effect in sorted(seen.history.effects, key=lambda each: each.number):
        before = latest.get(effect.run_id)
        if before is not None and effect.token <= before.token:
            yield Violation(
                kind=Kind.DOUBLE,
                run_id=effect.run_id,
                sentence=f"an effect of {effect.run_id} with token {effect.token} passed the fence after one with "
                f"token {before.token}",
                evidence=evidence(before, effect),
            )
        latest[effect.run_id] = effect
