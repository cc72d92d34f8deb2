"""What the operating system says of this process, where it says it as Linux does."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from dragoman.telemetry.families import Family, counter, gauge

_PROC = Path("/proc/self")


def process_families() -> list[Family]:
    """Memory, descriptors, processor time, start.  What cannot be had is left out."""
    found = [counter("process_cpu_seconds_total", "Processor time, user and system.", (), {(): time.process_time()})]
    with suppress(OSError, ValueError, IndexError):
        # The name of the program stands in brackets, and may itself have spaces and brackets.
        fields = (_PROC / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
        page, ticks = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
        booted = next(
            int(line.split()[1]) for line in Path("/proc/stat").read_text("ascii").splitlines() if line[:6] == "btime "
        )
        found += [
            gauge("process_virtual_memory_bytes", "Virtual memory.", (), {(): float(fields[20])}),
            gauge("process_resident_memory_bytes", "Resident memory.", (), {(): float(int(fields[21]) * page)}),
            gauge(
                "process_start_time_seconds",
                "When the first process started, in seconds since 1970.",
                (),
                {(): booted + int(fields[19]) / ticks},
                "min",
            ),
        ]
    with suppress(OSError, ValueError):
        found.append(
            gauge(
                "process_open_fds", "Open file descriptors.", (), {(): float(sum(1 for _ in (_PROC / "fd").iterdir()))}
            )
        )
        limit = next(
            line for line in (_PROC / "limits").read_text("ascii").splitlines() if line[:14] == "Max open files"
        )
        most = limit.split()[3]
        if most != "unlimited":
            found.append(
                gauge("process_max_fds", "Most file descriptors of one process.", (), {(): float(most)}, "min")
            )
    return found
