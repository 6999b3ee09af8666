"""The table of `nsnet tag --profile`: where the seconds of a run went, for people."""

from __future__ import annotations

import time

from nsnet_cli.cores import usable_cores
from nsnet_cli.stopwatch import Stopwatch

REST = "the rest, tidying up among it"


def table(watch: Stopwatch, videos: int) -> list[str]:
    """Returns the lines of the table. Call it after the decode processes have ended: their time counts, too.

    `videos`: how many were tagged.
    """
    whole_s = time.perf_counter() - watch.began_s
    steps = [(name, seconds) for name, (seconds, _) in watch.steps.items()]
    steps.append((REST, max(0.0, whole_s - sum(seconds for _, seconds in steps))))
    rate = f", {videos / whole_s:.3g} videos per second" if videos > 1 else ""
    lines = [f"where {whole_s:.2f} s went{rate}:"]
    lines += [f"  {seconds:8.2f} s {seconds / whole_s:5.0%}  {name}" for name, seconds in steps]
    if watch.stages:
        lines.append("inside the steps, added up over all threads and processes:")
        for name, (seconds, count) in watch.stages.items():
            each = f", {count} of {1000 * seconds / count:.1f} ms" if count > 1 else ""
            lines.append(f"  {seconds:8.2f} s        {name}{each}")
    return [*lines, *_cores(whole_s)]


def _cores(whole_s: float) -> list[str]:
    try:
        import resource
    except ImportError:  # Windows
        return []
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own_s, others_s = own.ru_utime + own.ru_stime, others.ru_utime + others.ru_stime
    busy = f"{(own_s + others_s) / whole_s:.1f} of {usable_cores()} cores were busy"
    return [f"{busy}: {own_s:.2f} core seconds in the program, {others_s:.2f} in its decode processes"]
