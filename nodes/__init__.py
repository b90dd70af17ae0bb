"""The built-in nodes, entered through the same door as any plug-in."""
