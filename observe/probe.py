"""Asks a process for its health, for an image without curl: `python -m observe.probe http://127.0.0.1:9464/readyz`."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 3.0


def main(url: str) -> int:
    """Prints the answer, which says why a process is not ready, or not live. 0: the answer is 200."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the caller chooses it
            code, text = 0, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            code, text = 1, error.read().decode()
    except (OSError, ValueError) as error:
        code, text = 1, f"{url} does not answer: {error}\n"
    sys.stdout.write(text)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
