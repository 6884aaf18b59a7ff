"""What the pictures of a video show, to a classifier and to a person."""
