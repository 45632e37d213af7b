"""Intents become Envoy's messages, encoded once. Nothing here knows who will receive them."""
