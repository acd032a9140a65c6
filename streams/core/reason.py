"""Why something is as it is: a code for programs, and a sentence for people that is never read by programs."""

from __future__ import annotations

import msgspec

from schemas.exit_codes import DEATH, exit_code_in_words
from schemas.reasons import ReasonCode


class Reason(msgspec.Struct, frozen=True, gc=False):
    code: ReasonCode
    text: str

    def but(self, more: str) -> Reason:
        """The same cause; the sentence goes on."""
        return Reason(self.code, f"{self.text}; {more}")


def of_exit_code(code: int | None) -> Reason:
    is_by_signal = code is not None and code > DEATH
    return Reason(ReasonCode.SIGNAL if is_by_signal else ReasonCode.EXIT_CODE, exit_code_in_words(code))
