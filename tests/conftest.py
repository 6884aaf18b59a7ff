"""One thread for torch: toy tensors are faster so, and numbers do not depend on the machine's cores."""

import os

import torch

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # programs that tests start: two tests share the cores (Makefile)
