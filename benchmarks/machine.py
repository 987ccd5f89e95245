"""What a run was measured on: the processor, versions and the commit, no host or user."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import torch

from pixelcnn import engines


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def machine() -> dict[str, str | int]:
    """Processor, cores, threads, and versions of what computes."""
    return {
        "processor": processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": importlib.metadata.version("numpy"),
        "native_engine": engines.native.why_not() or "built",
    }


def describe() -> str:
    """The same in a line."""
    facts = machine()
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} threads; "
        f"torch {facts['torch']}, numpy {facts['numpy']}; native engine: {facts['native_engine']}"
    )


def allowed() -> set[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def revision() -> str:
    """The commit of this tree, ``+`` where it was changed since; ``unknown`` outside a repository."""
    here = Path(__file__).parent
    try:
        words = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
        ran = subprocess.run(words, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return ran.stdout.strip()
