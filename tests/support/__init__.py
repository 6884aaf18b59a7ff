"""What tests share: toy models, made-up recordings, reference numbers, and where things lie."""
