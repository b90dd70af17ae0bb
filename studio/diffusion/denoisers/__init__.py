"""The networks that take noise away."""
