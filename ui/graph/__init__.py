"""The graph editor: scene, items, view, palette; layout is pure arithmetic."""
