"""What becomes of requests, folded over the fleet from the totals that proxies send. Pure.

`reading` makes a flush of an export, `totals` adds it to what is known, `flushes` keeps the last ones, `ticks` are what
the judge is given of them.
"""

from xds_server.telemetry.flushes import Flushes
from xds_server.telemetry.names import Names
from xds_server.telemetry.reading import Flush, Reading
from xds_server.telemetry.ticks import Comparison, Guard, ticks_of
from xds_server.telemetry.totals import Change, Process, Totals

__all__ = [
    "Change",
    "Comparison",
    "Flush",
    "Flushes",
    "Guard",
    "Names",
    "Process",
    "Reading",
    "Totals",
    "ticks_of",
]
