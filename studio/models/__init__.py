"""Model files: what they are, told from their headers, without torch."""
