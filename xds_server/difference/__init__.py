"""What would be different: one engine for `xdsctl diff` and `plan`. `comparison` has it all, the others a part each.

Nothing is imported here: who reads the history of a release need not load Envoy's types for that.
"""
