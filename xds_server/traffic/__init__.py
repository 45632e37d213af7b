"""Who gets what, in no proxy's words: deployments by rule, routes in their total order, slots by weight."""
