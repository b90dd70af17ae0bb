"""The panel of a person's models."""
