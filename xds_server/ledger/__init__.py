"""The ledger: which content of which release is live, and what keeps it from being live. Pure: facts come with a time.

    content ──> entry ──> carriers: the resources that carry it ──> who holds which version of them

A proxy that is told everything gets a release in its route configurations, one that is told on demand in the virtual
hosts of the release's hosts that it has loaded. A carrier knows the versions that its holders have, and until which
world each version was told. So a proxy has accepted a content if all that it holds of its carriers was told in a world
with that content, and what that costs to find out does not grow with releases or proxies.
"""
