"""A GPU that is not there: tensors on the processor that say they lie on one, and that meet no others.

What of CUDA is asked for is answered as a machine with GPUs would, numbers are those of the processor. A
tensor's device is that of its storage, which every operation hands on; where tensors of two devices meet, or
numpy is given one of a GPU, it raises as PyTorch would.
"""

import contextlib

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from engines import recording
from engines.recording import tensors

CPU = torch.device("cpu")
aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default, aten._foreach_copy_.default}
"""Operations between devices."""
INDEXED = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default}
"""Operations whose further arguments may lie on the processor."""
ELSEWHERE = (torch.Tensor.numpy, torch.Tensor.__array__, torch.Tensor.data_ptr)
"""What needs the processor's memory."""


class Devices:
    """Where each storage lies."""

    def __init__(self):
        self.places = {}
        self.current = None

    def of(self, tensor):
        """The device that a tensor says it is on."""
        if tensor.is_meta:
            return tensor.device
        return self.places.get(tensor.untyped_storage()._cdata, (None, CPU))[1]

    def put(self, tensor, place):
        """Has a tensor lie on a device; the reference keeps others from getting its storage's address."""
        storage = tensor.untyped_storage()
        if place != CPU or storage._cdata in self.places:
            self.places[storage._cdata] = StorageWeakRef(storage), place

    def common(self, operation, values):
        """The device on which tensors meet; of the processor's a single number meets everyone."""
        found = {self.of(tensor) for tensor in values if tensor.dim() or self.of(tensor) != CPU}
        if operation in INDEXED and self.of(values[0]) != CPU:
            found.discard(CPU)
        if len(found) > 1:
            shapes = [(tuple(tensor.shape), str(self.of(tensor))) for tensor in values]
            raise RuntimeError(f"{operation}: tensors on several devices: {shapes}")
        return next(iter(found), CPU)


class Operations(TorchDispatchMode):
    """Hands devices on from operation to operation."""

    def __init__(self, devices):
        super().__init__()
        self.devices = devices

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        given = tensors((args, kwargs))
        if operation in COPIES:
            place = self.devices.of(given[0])
        elif given:
            place = self.devices.common(operation, given)
        else:
            place = self.devices.current or CPU
        found = operation(*args, **(kwargs or {}))
        for tensor in tensors(found):
            if not any(tensor is each for each in given):
                self.devices.put(tensor, place)
        return found


class Functions(TorchFunctionMode):
    """Answers for devices, and moves tensors between them."""

    def __init__(self, devices):
        super().__init__()
        self.devices = devices

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs, devices = dict(kwargs or {}), self.devices
        name = getattr(function, "__self__", None)
        if name is torch.Tensor.device:
            return devices.of(args[0])
        if name is torch.Tensor.is_cuda:
            return devices.of(args[0]).type == "cuda"
        if name is torch.Tensor.is_cpu:
            return devices.of(args[0]) == CPU
        given = tensors((args, kwargs))
        if function in ELSEWHERE and devices.of(args[0]) != CPU:
            raise TypeError(f"can't convert {devices.of(args[0])} device type tensor to numpy")
        if function is torch.Tensor.backward:
            with self:
                return torch.autograd.backward(args[0])
        if function in (torch.Tensor.cuda, torch.Tensor.cpu):
            place = "cpu" if function is torch.Tensor.cpu else "cuda"
            said = args[1] if len(args) > 1 and args[1] is not None else place
            function, args = torch.Tensor.to, (args[0], said)
        place, args, kwargs = self._asked_for(function, args, kwargs)
        before = devices.current
        devices.current = place or next((p for p in map(devices.of, given) if p != CPU), None)
        try:
            found = function(*args, **kwargs)
        finally:
            devices.current = before
        if function is torch.Tensor.__deepcopy__:
            devices.put(found, devices.of(args[0]))
        if place is not None and isinstance(found, torch.Tensor) and devices.of(found) != place:
            storage = found.untyped_storage()._cdata
            if any(storage == tensor.untyped_storage()._cdata for tensor in given):
                found = found.clone()
            devices.put(found, place)
        return found

    def _asked_for(self, function, args, kwargs):
        """A device that is asked for, and the arguments with the processor in its place."""
        place = kwargs.get("device")
        if function is torch.Tensor.to:
            for number, value in enumerate(args[1:], 1):
                if isinstance(value, torch.Tensor):
                    place, kwargs["device"] = self.devices.of(value), "cpu"
                    kwargs.setdefault("dtype", value.dtype)
                    args = (*args[:number], *args[number + 1 :])
                elif isinstance(value, str | torch.device):
                    place = value
                    args = (*args[:number], "cpu", *args[number + 1 :])
        if place is None or torch.device(place).type == "meta":
            return None, args, kwargs
        if kwargs.get("device") is not None:
            kwargs["device"] = "cpu"
        place = torch.device(place)
        if place.type == "cuda" and place.index is None:
            place = torch.device("cuda", torch.cuda.current_device())
        return place, args, kwargs


class Autocast(torch.autocast):
    """Of the processor, whose tensors those of the GPU are."""

    def __init__(self, device_type, *args, **kwargs):
        super().__init__("cpu", *args, **kwargs)


class Generator(torch.Generator):
    """One of the processor's, which says that it is a GPU's."""

    def __new__(cls, device="cpu"):
        made = super().__new__(cls)
        made.place = torch.device(device)
        return made

    device = property(lambda own: own.place)


@contextlib.contextmanager
def gpus(monkeypatch, count=1, room=10**9):
    """A machine with so many GPUs of NVIDIA's, each with so many bytes that are free."""
    devices = Devices()
    recording.pretend(monkeypatch)
    for name, answer in {
        "is_available": lambda: True,
        "device_count": lambda: count,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "mem_get_info": lambda device=None: (room, room),
        "is_bf16_supported": lambda including_emulation=True: True,
        "synchronize": lambda device=None: None,
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: None,
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
        "empty_cache": lambda: None,
        "default_generators": tuple(torch.Generator() for _ in range(count)),
    }.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    monkeypatch.setattr(torch, "autocast", Autocast)
    monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)
    monkeypatch.setattr(torch, "Generator", Generator)
    with Operations(devices), Functions(devices):
        yield devices
