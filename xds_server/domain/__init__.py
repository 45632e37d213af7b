"""The words that every layer shares: names, problems, errors."""
