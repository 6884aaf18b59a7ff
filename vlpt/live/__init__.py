"""The agent live in a browser: watched, talked to, taken over and recorded (python -m vlpt.play --serve)."""
