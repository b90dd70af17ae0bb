"""Pixels and masks, in numpy and OpenCV: no Qt, no torch."""
