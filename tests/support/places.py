"""Where the repository and its sample of recordings lie."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data_gathering/samples"
