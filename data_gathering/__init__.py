"""Programs that gather training data, run one after another; each reads the last one's files and writes its own."""
