"""Keys to values: memory, disk, and the bytes in between."""
