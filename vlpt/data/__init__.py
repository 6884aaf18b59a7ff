"""From recordings to batches: words and their clock, shards, a video reader, lanes and clips of episodes."""
