"""A package of nodes by somebody else: one of everything that a package may bring."""
