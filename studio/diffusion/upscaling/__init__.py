"""Enlarging pictures by networks."""
