"""What a release does by itself: decided from its record, how far it is, how well it does, and the time. Pure."""

from xds_server.rollout.decide import Decision, Finish, Frozen, Held, MoveTo, RollBack, Wait, decide
from xds_server.rollout.health import Health, Judgement, Verdict, hopeless, judged
from xds_server.rollout.plan import Plan, moved, plan_of

__all__ = [
    "Decision",
    "Finish",
    "Frozen",
    "Health",
    "Held",
    "Judgement",
    "MoveTo",
    "Plan",
    "RollBack",
    "Verdict",
    "Wait",
    "decide",
    "hopeless",
    "judged",
    "moved",
    "plan_of",
]
