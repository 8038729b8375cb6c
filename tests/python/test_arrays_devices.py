"""Arrays of devices: memory that the processor cannot reach is an error with the device's name, never a crash.

The memory here is made unreadable by mmap, as that of a GPU is; DLPack and the CUDA array interface say whose it is.
"""

from __future__ import annotations

import ctypes
import unittest
from typing import Any

import numpy as np
from mpi4py import MPI
from support.case import OUR_EXTENSION, Case, our_extension, ours_only

strided: Any = MPI.strided if OUR_EXTENSION else None

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
CUDA, CUDA_HOST, ROCM, CUDA_MANAGED = 2, 3, 10, 13


def unreadable() -> int:
    """The address of two pages that nobody may read or write."""
    address = libc.mmap(None, 8192, 0, 0x22, -1, 0)
    assert address not in (None, ctypes.c_void_p(-1).value)
    return int(address)


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


class ByDlpack:
    """`count` doubles at an address of a device."""

    def __init__(self, address: int, count: int, device: int, number: int = 0, stride: int = 1) -> None:
        self.shape, self.strides = (ctypes.c_int64 * 1)(count), (ctypes.c_int64 * 1)(stride)
        self.device = (device, number)
        self.tensor = Tensor(address, device, number, 1, 2, 64, 1, self.shape, self.strides)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, stream: Any = None) -> Any:
        make = ctypes.pythonapi.PyCapsule_New
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return make(ctypes.addressof(self.tensor), b"dltensor", None)


class ByInterface:
    def __init__(self, address: int | None, count: int, strides: Any = None) -> None:
        self.__cuda_array_interface__ = {
            "data": (address, False),
            "typestr": "<f8",
            "shape": (count,),
            "strides": strides,
            "version": 3,
        }


class Devices(Case):
    @ours_only("other libraries may know the device, or crash")
    @our_extension("it asks before the library touches the memory")
    def test_memory_that_cannot_be_reached(self) -> None:
        memory = unreadable()
        for array, name in (
            (ByInterface(memory, 10), "a cuda device"),
            (ByDlpack(memory, 10, CUDA, 1), "cuda:1"),
            (ByDlpack(memory, 10, ROCM, 0), "rocm:0"),
            (ByDlpack(memory, 10, 77, 3), "a device of kind 77, number 3"),
        ):
            for message in (array, [array, MPI.DOUBLE], [array, 5, MPI.DOUBLE], MPI.buffer(array)):
                calls = (
                    self.comm.Send,
                    self.comm.Recv,
                    self.comm.Irecv,
                    self.comm.Bcast,
                    lambda message, _: self.comm.Allgather(message, np.zeros(10 * self.size)),
                    lambda message, _: self.comm.Allreduce(np.zeros(10), message),
                )
                for call in calls if not isinstance(message, MPI.buffer) else calls[:3]:
                    with self.assertRaisesRegex(TypeError, f"the array is on {name}: .*copy the array"):
                        call(message, self.rank)
            for take in (strided, lambda array: MPI.Win.Create(array, comm=self.comm)):
                with self.assertRaisesRegex(TypeError, f"the array is on {name}"):
                    take(array)

    @ours_only("other libraries may know the device, or crash")
    @our_extension("it asks before the library touches the memory")
    def test_the_last_byte_counts(self) -> None:
        """Memory of which only the beginning can be read."""
        address = libc.mmap(None, 8192, 3, 0x22, -1, 0)
        libc.mprotect(ctypes.c_void_p(address + 4096), ctypes.c_size_t(4096), 0)
        self.comm.Isend(ByDlpack(address, 512, CUDA), self.rank).Free()
        self.comm.Recv(np.zeros(512), self.rank)
        for array in (ByDlpack(address, 513, CUDA), ByInterface(address, 1024)):
            with self.assertRaisesRegex(TypeError, "the array is on"):
                self.comm.Send(array, self.rank)
        with self.assertRaisesRegex(TypeError, "the array is on"):
            self.comm.Send(strided(ByDlpack(address, 2, CUDA, stride=600)), self.rank)

    def test_memory_that_both_can_reach(self) -> None:
        """Of pinned and managed memory the address is good for the processor as well."""
        for device in (CUDA_HOST, CUDA_MANAGED, CUDA):
            mine, got = np.arange(10.0) + self.rank, np.zeros(10)
            request = self.comm.Irecv(ByDlpack(got.ctypes.data, 10, device), self.left, 1)
            self.comm.Send(ByDlpack(mine.ctypes.data, 10, device), self.right, 1)
            request.Wait()
            self.assertEqual(got.tolist(), (np.arange(10.0) + self.left).tolist())

    def test_no_elements_have_no_address(self) -> None:
        request = self.comm.Irecv(ByInterface(None, 0), self.left, 1)
        self.comm.Send(ByDlpack(0, 0, CUDA), self.right, 1)
        request.Wait()

    @our_extension("MPI.buffer only holds the address")
    def test_a_buffer_of_unreachable_memory(self) -> None:
        memory = unreadable()
        buffer = MPI.buffer(ByDlpack(memory, 10, CUDA))
        self.assertEqual((buffer.address, buffer.nbytes), (memory, 80))
        with self.assertRaisesRegex(BufferError, "on a device"):
            buffer.tobytes()
        with self.assertRaisesRegex(BufferError, "on a device"):
            MPI.buffer.allocate(80)[:] = buffer


if __name__ == "__main__":
    unittest.main()
