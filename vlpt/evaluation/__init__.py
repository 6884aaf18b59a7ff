"""The instruments of evaluate.py: what words do to actions and frames to words, on recordings and in a game."""
