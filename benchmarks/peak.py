"""The peak memory of this process, without what `ru_maxrss` carries over from the process that
started it.
"""

from __future__ import annotations

import resource
from pathlib import Path


def peak_mib() -> float:
    """Return the most memory this process has had at a time, in MiB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(
        line
        for line in status.read_text(encoding="utf-8").splitlines()
        if line.startswith("VmHWM:")
    )
    return int(line.split()[1]) / 1024
