"""What may be concluded from counts: pure, and at any time as often as one likes."""

from xds_server.stats.bets import RATIOS
from xds_server.stats.counts import Counts, Tick
from xds_server.stats.dispersion import dispersion
from xds_server.stats.evidence import Evidence, Limits
from xds_server.stats.intervals import ratio_interval
from xds_server.stats.lately import Lately
from xds_server.stats.limit import OverLimit
from xds_server.stats.outset import Outset
from xds_server.stats.pairing import Pairing

__all__ = [
    "RATIOS",
    "Counts",
    "Evidence",
    "Lately",
    "Limits",
    "Outset",
    "OverLimit",
    "Pairing",
    "Tick",
    "dispersion",
    "ratio_interval",
]
