"""Judges of canaries, on hours of which it is known whether the canary is worse."""
