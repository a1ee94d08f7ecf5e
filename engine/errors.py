"""The one error a user is meant to see, and the spelling help inside it."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what a write fails with where there is no room


class InputError(ValueError):
    """Something the user gave cannot be used. The message says what was given, what was wanted, what to do.

    The command line prints it on one line and exits with status 2.
    """


def unknown(kind: str, given: object, known: Iterable[object]) -> InputError:
    """An InputError for a name that does not exist, with the nearest existing ones (all, where few)."""
    names = list(dict.fromkeys(str(name) for name in known))
    near = get_close_matches(str(given), names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif len(names) <= 30:
        hint = f"known: {', '.join(names) or 'none'}"
    else:
        hint = f"{len(names)} are known, among them {', '.join(names[:10])}"
    return InputError(f"unknown {kind} '{given}'; {hint}")
