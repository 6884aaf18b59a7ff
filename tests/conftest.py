"""One thread for torch: toy tensors are faster so, and numbers do not depend on the machine's cores."""

import torch

torch.set_num_threads(1)
