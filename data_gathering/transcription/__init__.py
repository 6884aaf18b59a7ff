"""From captions and sound to words with times."""
