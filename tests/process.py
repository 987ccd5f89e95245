"""What a process has one of, and no call may leave in another state than it found."""

import os
import random
import signal
import warnings

import numpy as np
import torch
import torch._dynamo  # sets TORCHINDUCTOR_CACHE_DIR, as any optimiser does


def process_state() -> dict[str, object]:
    """All of it, to be compared with what it is later."""
    names, position = np.random.get_state()[1:3]
    return {
        "torch's random numbers": torch.get_rng_state().tolist(),
        "numpy's random numbers": (names.tolist(), position),
        "python's random numbers": random.getstate(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "type": torch.get_default_dtype(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "determinism": torch.are_deterministic_algorithms_enabled(),
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
        "calls": (torch.nn.Module.__call__, torch.nn.Module.__getattr__),
    }
