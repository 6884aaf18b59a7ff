"""VLPT: an agent that sees, acts, hears and speaks. See README.md."""
