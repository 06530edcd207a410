"""A small Windows program, and what Authenticode says of one: the other side of osslsigncode.

    pe_file.py make FILE            writes a program that returns at once
    pe_file.py digest FILE HASH     prints the Authenticode digest in hexadecimal, signed or not
"""
import hashlib
import struct
import sys

OPTIONAL = 0x40 + 24  # where the optional header is: behind the stub of DOS, "PE\0\0" and the COFF header
CHECKSUM = OPTIONAL + 64
CERTIFICATES = OPTIONAL + 112 + 4 * 8  # the fifth of the data directories of PE32+


def make():
    """PE32+ for x86-64 with one section, `xor eax, eax; ret`: the least that Windows loads."""
    dos = b"MZ" + bytes(0x3A) + struct.pack("<I", 0x40)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x22)
    sizes = struct.pack("<HBBIIIII", 0x20B, 14, 0, 0x200, 0, 0, 0x1000, 0x1000)
    image = struct.pack("<QIIHHHHHHIIIIHH", 0x140000000, 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0, 0x2000, 0x200, 0, 3, 0x100)
    stacks = struct.pack("<QQQQII", 0x100000, 0x1000, 0x100000, 0x1000, 0, 16)
    section = struct.pack("<8sIIIIIIHHI", b".text", 3, 0x1000, 0x200, 0x200, 0, 0, 0, 0, 0x60000020)
    head = dos + coff + sizes + image + stacks + bytes(16 * 8) + section
    return head.ljust(0x200, b"\0") + b"\x31\xc0\xc3".ljust(0x200, b"\0")


def digest(data, name):
    """All but the checksum, the directory entry of the signature, and the signature at the end."""
    assert data[OPTIONAL : OPTIONAL + 2] == b"\x0b\x02", "not PE32+"
    start, size = struct.unpack_from("<II", data, CERTIFICATES)
    end = start if size else len(data)
    hashed = hashlib.new(name)
    hashed.update(data[:CHECKSUM] + data[CHECKSUM + 4 : CERTIFICATES] + data[CERTIFICATES + 8 : end])
    return hashed.hexdigest()


if __name__ == "__main__":
    if sys.argv[1] == "make":
        with open(sys.argv[2], "wb") as file:
            file.write(make())
    else:
        with open(sys.argv[2], "rb") as file:
            print(digest(file.read(), sys.argv[3]))
