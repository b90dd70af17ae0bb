"""Weights in little memory, patched and given back."""
