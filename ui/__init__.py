"""The window: Qt, and nothing that knows torch."""
