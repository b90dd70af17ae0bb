"""The knobs of the selected node, one editor per kind."""
