"""Read pickled data without running anything: only globals on an allow-list are looked up.

A pickle is a program. Its only way to reach code is to name a global (``os.system``), so a reader that answers
every name from a fixed table, and refuses all others, can build nothing but what stands in the table.
"""

import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from engine.errors import InputError


class AllowListed(pickle.Unpickler):
    """Unpickles one object; ``allowed`` maps 'module.name' to what stands for it.

    What is put in ``allowed`` must be immutable (a string, or an instance with empty ``__slots__``): a pickle may
    set attributes on whatever it can name.
    """

    def __init__(
        self,
        file: BinaryIO,
        allowed: Mapping[str, object],
        origin: str,
        persistent: Callable[[Any], object] | None = None,
    ) -> None:
        super().__init__(file, encoding="utf-8")
        self._allowed, self._origin, self._persistent = allowed, origin, persistent

    def find_class(self, module: str, name: str) -> Any:
        """The allowed stand-in for a global; InputError with its name where there is none."""
        try:
            return self._allowed[f"{module}.{name}"]
        except KeyError:
            raise InputError(
                f"{self._origin}: refused, because reading it would call '{module}.{name}'; "
                "only arrays, tensors and plain containers are read"
            ) from None

    def persistent_load(self, pid: Any) -> object:
        """What an object stored outside the pickle (a tensor's storage) stands for."""
        if self._persistent is None:
            raise InputError(f"{self._origin}: refused, because it refers to data outside of itself")
        return self._persistent(pid)


@contextmanager
def unreadable(origin: str, wanted: str) -> Iterator[None]:
    """Turns whatever a damaged file makes a parser raise into one InputError that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # a cut or altered pickle can raise almost any type
        raise InputError(
            f"{origin}: cannot be read as {wanted}; it is truncated, damaged or of another kind "
            f"({type(error).__name__}: {error})"
        ) from error


def flatten(tree: object, separator: str, select: type) -> dict[str, Any]:
    """All leaves of one type in nested dictionaries, lists and tuples: joined keys -> leaf."""
    flat: dict[str, Any] = {}

    def visit(prefix: str, node: object) -> None:
        if isinstance(node, select):
            flat[prefix] = node
        elif isinstance(node, dict | list | tuple):
            items = node.items() if isinstance(node, dict) else enumerate(node)
            for key, value in items:
                visit(f"{prefix}{separator}{key}" if prefix else str(key), value)

    visit("", tree)
    return flat
