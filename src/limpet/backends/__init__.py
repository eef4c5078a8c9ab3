"""Sources of hints about changes on disk, and the choice between them.

``_base`` says what a source is and how to add one; ``_select`` chooses; ``_hint_router`` shares the
kernel's instances between the watches of one event loop.
"""

from limpet.backends._base import (
    ATTRIB,
    CLOSED,
    CREATE,
    DELETE,
    ENCODE_ERRORS,
    ENCODING,
    GONE,
    ISDIR,
    MARK_ALL,
    MARK_FILE,
    MARK_NAMES,
    MARK_SELF,
    MOVED,
    OTHER,
    OWN,
    SELF_MOVED,
    WRITE,
    Capabilities,
    Key,
    MarkError,
    MarkSource,
    Source,
    TimerSource,
    TreeSource,
)
from limpet.backends._filesystem_traits import ORDINARY, FileSystemTraits, traits_of
from limpet.backends._hint_router import HintRouter, Mark, PendingHints, Subscriber
from limpet.backends._mounts import Mount, find_mount, read_mounts
from limpet.backends._poll import PollSource, Timer
from limpet.backends._select import (
    Choice,
    capabilities_of,
    choose,
    make_source,
    make_tree_source,
    mark_order,
)

__all__ = [
    "ATTRIB",
    "CLOSED",
    "CREATE",
    "DELETE",
    "ENCODE_ERRORS",
    "ENCODING",
    "GONE",
    "ISDIR",
    "MARK_ALL",
    "MARK_FILE",
    "MARK_NAMES",
    "MARK_SELF",
    "MOVED",
    "ORDINARY",
    "OTHER",
    "OWN",
    "SELF_MOVED",
    "WRITE",
    "Capabilities",
    "Choice",
    "FileSystemTraits",
    "HintRouter",
    "Key",
    "Mark",
    "MarkError",
    "MarkSource",
    "Mount",
    "PendingHints",
    "PollSource",
    "Source",
    "Subscriber",
    "Timer",
    "TimerSource",
    "TreeSource",
    "capabilities_of",
    "choose",
    "find_mount",
    "make_source",
    "make_tree_source",
    "mark_order",
    "read_mounts",
    "traits_of",
]
