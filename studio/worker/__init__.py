"""The engine process and the two ends of its pipe."""
