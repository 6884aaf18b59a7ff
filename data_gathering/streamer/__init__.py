"""A scripted player who runs errands and talks like a person who streams."""
