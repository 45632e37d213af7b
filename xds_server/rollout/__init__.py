"""What a release does by itself: decided from its record, how far it is, how well it does, and the time. Pure."""

from xds_server.rollout.decide import Decision, Finish, Frozen, MoveTo, RollBack, Wait, decide
from xds_server.rollout.health import Health, Judgement, Verdict, hopeless, judged
from xds_server.rollout.plan import Plan, moved, plan_of
from xds_server.rollout.progress import Ended, Progress, progress_of

__all__ = [
    "Decision",
    "Ended",
    "Finish",
    "Frozen",
    "Health",
    "Judgement",
    "MoveTo",
    "Plan",
    "Progress",
    "RollBack",
    "Verdict",
    "Wait",
    "decide",
    "hopeless",
    "judged",
    "moved",
    "plan_of",
    "progress_of",
]
