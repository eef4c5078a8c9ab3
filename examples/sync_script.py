"""Waits for a file, without an event loop: ``python sync_script.py FILE [SECONDS]``.

Ends with 0 once the file is there, complete; with 1 if it is not within that time (a minute).
"""

import sys
import time

import limpet


def main(path: str, patience: float) -> int:
    """Wait for the file."""
    until = time.monotonic() + patience
    with limpet.watch_file(path, existing=True, settle=0.5).sync() as watch:
        print(f"waiting for {watch.location}", flush=True)
        while (event := watch.next(timeout=max(0.0, until - time.monotonic()))) is not None:
            if isinstance(event, limpet.FileCreated | limpet.FileUpdated):
                print(f"there: {event.stat.size} bytes")
                return 0
    print(f"not there after {patience:g} seconds", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60.0))
