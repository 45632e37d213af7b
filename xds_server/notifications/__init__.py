"""Who elsewhere is told of releases: which webhook of what, in which words, signed how, and when once more."""
