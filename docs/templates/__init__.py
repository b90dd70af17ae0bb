"""The templates that ship, written down as code; ``python -m docs.templates`` writes their files."""
