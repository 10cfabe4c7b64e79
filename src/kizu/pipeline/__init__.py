"""Placement, embedder and detector together: what the lab fits, and what everybody else opens."""
