"""Words to what networks are told."""
