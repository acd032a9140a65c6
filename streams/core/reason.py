"""The reason of a state: a code for programs, and a sentence for users that no program parses."""

from __future__ import annotations

import msgspec

from schemas.exit_codes import exit_code_in_words, is_signal_exit
from schemas.reasons import ReasonCode


class Reason(msgspec.Struct, frozen=True, gc=False):
    code: ReasonCode
    text: str

    def but(self, more: str) -> Reason:
        """The same code with a longer sentence."""
        return Reason(self.code, f"{self.text}; {more}")


def of_exit_code(code: int | None) -> Reason:
    return Reason(ReasonCode.SIGNAL if is_signal_exit(code) else ReasonCode.EXIT_CODE, exit_code_in_words(code))
