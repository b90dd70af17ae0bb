"""Everything that is drawn."""

from docs.templates import basics, families, guidance, inside, prompts, repaint, sampling

__all__ = ["basics", "families", "guidance", "inside", "prompts", "repaint", "sampling"]
