"""Files kept between runs: keyed by everything that can change their content, written whole or not at all.

``identity``: keys. ``atomic``: how a file appears. ``summaries``: layers, which may be thrown away and made again.
``results``: scores, which are never thrown away. ``requests``: what was asked before, found without computing a key.
No JAX is imported here, and pyarrow only by ``results``.
"""

from engine.store.atomic import check_writable, write_file, write_folder
from engine.store.identity import key
from engine.store.summaries import evict, has_summary, load_summary, save_summary, size_limit

__all__ = [
    "check_writable",
    "evict",
    "has_summary",
    "key",
    "load_summary",
    "save_summary",
    "size_limit",
    "write_file",
    "write_folder",
]
