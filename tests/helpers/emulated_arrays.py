"""Arrays of CuPy in the memory of the CUDA emulator, with NumPy's functions: a part of `cupy_over_emulator`.

An array is none of NumPy's, so edcore takes it for CuPy's, and whoever mixes both is told so. New memory is NaN.
"""

import ctypes
import functools
import operator
from types import BuiltinFunctionType, FunctionType, SimpleNamespace

import numpy as np

from cuda_emulator.plugin import driver
from emulated_device import Device, call, context, do, refuse_in_capture, state


class Memory:
    """Bytes of the current device. It is freed with the last array in it, so that a later use is found."""

    def __init__(self, size):
        self.ptr = 0
        refuse_in_capture("an allocation")
        self.size, self.device_id = size, state.devices[-1]
        if size:
            address = ctypes.c_uint64()
            with context():
                call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
            self.ptr = address.value
            pointer = {"data": (self.ptr, False), "shape": (size,), "typestr": "|u1", "version": 3}
            self.__array_interface__ = pointer

    def __del__(self):
        if self.ptr:
            driver.cuMemFree_v2(ctypes.c_uint64(self.ptr))


class ndarray:  # noqa: N801
    """An array of CuPy. `_host` is NumPy's view of its memory."""

    __module__ = "cupy"
    __array_priority__ = 100

    def __init__(self, shape, dtype=float):
        dtype, shape = np.dtype(dtype), (shape,) if np.ndim(shape) == 0 else tuple(shape)
        memory = Memory(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        flat = np.asarray(memory).view(dtype) if memory.size else np.empty(0, dtype)
        self._host, self._device = flat.reshape(shape), memory.device_id

    @property
    def data(self):
        """Where its first value is."""
        return SimpleNamespace(ptr=self._host.ctypes.data if self.size else 0, device_id=self._device)

    @property
    def device(self):
        """The device whose memory it is."""
        return Device(self._device)

    @property
    def T(self):  # noqa: N802
        """The transposed view."""
        return view(self._host.T, self._device)

    @property
    def __cuda_array_interface__(self):
        pointer = self._host.__array_interface__
        return {**pointer, "data": (self.data.ptr, False), "version": 3, "stream": 1}

    def get(self):
        """Return a copy on the host."""
        refuse_in_capture("a copy to the host")
        return self._host.copy()

    def set(self, values):
        """Take the values of an array on the host."""
        refuse_in_capture("a copy from the host")
        if values.shape != self.shape or values.dtype != self.dtype:
            raise TypeError(f"{values.dtype}{values.shape} is not {self.dtype}{self.shape}")
        self._host[...] = values

    def __array__(self, *arguments, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return over(getattr(ufunc, method))(*inputs, **options)

    def __getitem__(self, key):
        key = host(key)
        found = self._host[key]
        if not isinstance(found, np.ndarray):  # one number is an array of no axes here
            found = self._host[(*key, ...) if isinstance(key, tuple) else (key, ...)]
        return wrapped(found, {self._device})

    def __setitem__(self, key, value):
        place, key, value = self._host, host(key), host(value)

        def work():
            place[key] = value

        do(work)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return f"cupy.{self._host!r}"

    def __format__(self, form):
        return format(self.item() if form else self._host, form)


def host(value):
    """Return what NumPy takes for an argument; an array of the host is refused, as CuPy does."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: an array of the host among those of a device")
    if isinstance(value, (list, tuple)):
        return type(value)(map(host, value))
    return value


def view(array, device):
    """Return memory of a device as an array."""
    made = object.__new__(ndarray)
    made._host, made._device = array, device
    return made


def wrapped(value, devices):
    """Return a result of NumPy's as one on the device: a view as a view, a new array in new memory."""
    if isinstance(value, np.ndarray) and value.size:
        address = ctypes.c_uint64(value.ctypes.data)
        if not driver.cuMemGetAddressRange_v2(None, None, address):
            return view(value, *devices)
    if isinstance(value, (np.ndarray, np.generic)):
        check_devices(devices)
        return put(value)
    if isinstance(value, (list, tuple)):
        parts = [wrapped(each, devices) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def check_devices(devices):
    """Refuse arrays that are not on the current device."""
    if devices - {state.devices[-1]}:
        raise ValueError(f"arrays on the devices {devices}, while the current device is {state.devices[-1]}")


def put(values):
    """Return a copy on the current device."""
    made = ndarray(values.shape, values.dtype)
    made._host[...] = values
    return made


def quietly(function, *arguments, **options):
    """Call a function without warnings of values, as a GPU computes."""
    with np.errstate(all="ignore"):
        return function(*arguments, **options)


def over(function):
    """Return a function of NumPy's, on arrays of a device."""

    @functools.wraps(function, updated=())
    def on_device(*arguments, out=None, **options):
        inputs, named = host(arguments), {key: host(value) for key, value in options.items()}
        devices = {each._device for each in arguments if isinstance(each, ndarray)}
        if out is None and function not in (np.copyto, np.ndarray.fill):
            return wrapped(quietly(function, *inputs, **named), devices)
        check_devices(devices)
        if out is not None:
            out = out[0] if isinstance(out, tuple) else out
            named["out"] = host(out)
        do(lambda: quietly(function, *inputs, **named))
        return out

    return on_device


def asarray(values, dtype=None, order=None, copy=None):
    """Return the values on the current device: an array of it, or a copy of what the host has."""
    if isinstance(values, ndarray):
        same = values._device == state.devices[-1] and (dtype is None or values.dtype == dtype) and order is None
        if same and not copy:
            return values
        return put(np.array(values._host, dtype, order=order or "K"))
    if isinstance(values, (list, tuple)):
        values = host(values)
    refuse_in_capture("a copy from the host")
    return put(np.asarray(values, dtype))


def array(values, dtype=None, copy=True, order="K"):
    """Return a copy."""
    return asarray(values, dtype, None, copy)


def ascontiguousarray(values, dtype=None):
    """Return the values in C's order: the array itself, if it has that."""
    values = asarray(values, dtype)
    return values if values._host.flags.c_contiguous else put(np.ascontiguousarray(values._host))


def asnumpy(values):
    """Return a copy on the host."""
    return values.get() if isinstance(values, ndarray) else np.asarray(values)


def empty(shape, dtype=float, order="C"):
    """Return new memory, which is NaN."""
    return ndarray(shape, dtype)


def full(shape, value, dtype=None):
    """Return new memory with a value."""
    made = ndarray(shape, np.asarray(value).dtype if dtype is None else dtype)
    made._host[...] = host(value)
    return made


ATTRIBUTES = ("shape", "dtype", "size", "ndim", "strides", "nbytes", "itemsize", "flags")
METHODS = (
    *("reshape", "astype", "copy", "ravel", "flatten", "swapaxes", "transpose", "squeeze", "view", "fill", "take"),
    *("sum", "mean", "max", "min", "argmax", "argmin", "any", "all", "std", "var", "prod", "cumsum", "clip", "round"),
    *("dot", "argsort", "searchsorted", "nonzero", "repeat", "diagonal", "trace", "conj"),
)
SYNCHRONIZING = ("item", "tolist", "tobytes", "__bool__", "__int__", "__float__")
OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")


def _add_members():
    def attribute(name):
        return property(lambda self: getattr(self._host, name))

    def method(name):
        def does(self, *arguments, **options):
            return over(getattr(np.ndarray, name))(self, *arguments, **options)

        return does

    def synchronizing(name):
        def does(self, *arguments):
            refuse_in_capture(name)
            return getattr(self._host, name)(*arguments)

        return does

    def in_place(function):
        def does(self, other):
            place, value = self._host, host(other)
            do(lambda: quietly(function, place, value))
            return self

        return does

    def operation(function, swapped=False):
        def does(self, *others):
            return over(function)(*((*others, self) if swapped else (self, *others)))

        return does

    for name in ATTRIBUTES:
        setattr(ndarray, name, attribute(name))
    for name in METHODS:
        setattr(ndarray, name, method(name))
    for name in SYNCHRONIZING:
        setattr(ndarray, name, synchronizing(name))
    for name in OPERATORS:
        function = getattr(operator, f"__{name}__")
        setattr(ndarray, f"__{name}__", operation(function))
        setattr(ndarray, f"__r{name}__", operation(function, swapped=True))
        if name != "matmul":
            setattr(ndarray, f"__i{name}__", in_place(getattr(operator, f"__i{name}__")))
    for name in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs", "invert"):
        setattr(ndarray, f"__{name}__", operation(getattr(operator, f"__{name}__")))
    ndarray.__hash__ = None
    ndarray.__len__ = lambda self: len(self._host)


_add_members()


CALLED = FunctionType, BuiltinFunctionType, np.ufunc, type(np.concatenate)


LACKING = frozenset(
    """
    ScalarType asmatrix block bmat busday_count busday_offset busdaycalendar bytes_ character clongdouble complex256
    datetime64 datetime_as_string datetime_data einsum_path errstate flexible float128 frompyfunc fromregex geomspace
    get_include getbufsize geterr geterrcall histogram_bin_edges info insert is_busday isnat little_endian longdouble
    matrix matrix_norm matvec memmap multi_dot nanpercentile nanquantile ndenumerate nditer nested_iters object_
    polyder polydiv polyint recarray record sctypeDict setbufsize seterr seterrcall show_runtime spacing str_ svdvals
    test timedelta64 typecodes unstack vecdot vecmat vector_norm void False_ True_
    """.split()  # noqa: SIM905
)
"""Names of NumPy that CuPy 14 has not."""


def functions(module):
    """Return the public names of NumPy that CuPy has too, with functions that work on a device's arrays."""
    found = {}
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_") or name in LACKING:
            continue
        if isinstance(value, CALLED):
            found[name] = over(value)
        elif not hasattr(value, "__spec__"):
            found[name] = value
    return found
