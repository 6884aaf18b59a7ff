"""Language models with memory: one small interface (interface.py), the families behind it, and silence."""
