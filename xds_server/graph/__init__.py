"""Distillation: which builds are live, who shares them, and what a deployment adds or takes away."""

from xds_server.graph.distillation import Footprint, Shift, Users, builds_of, distil, footprint, shift

__all__ = ["Footprint", "Shift", "Users", "builds_of", "distil", "footprint", "shift"]
