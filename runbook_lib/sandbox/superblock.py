"""Write and read the first bytes of a disk: filesystem superblocks, partition tables, other signatures.

Pure: bytes in, facts out. The offsets are those that libblkid reads, so that probing a simulated device is a real
look at its bytes.
Source: ext4 disk layout (kernel documentation), XFS and btrfs on-disk formats, LUKS and LVM2 headers.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

DEVICE_BYTES = 0x11000
"""How much of a device is kept: enough for every signature that is looked for."""
EXT = 1024
EXT_MAGIC, EXT_UUID, EXT_LABEL = EXT + 0x38, EXT + 0x68, EXT + 0x78
BTRFS = 0x10000
TABLE_ENTRY, TABLE_MAGIC, SECTOR = 446, 510, 512
LINUX_PARTITION, PROTECTIVE = 0x83, 0xEE


@dataclass(frozen=True)
class Identity:
    """What a probe of a device finds.

    Args:
        fstype: ``ext4``, ``xfs``, ``btrfs``, ``LVM2_member``, ``crypto_LUKS`` or "".
        uuid: Of the filesystem or container.
        label: Of the filesystem.
        pttype: ``dos``, ``gpt`` or "".
        usage: ``filesystem``, ``raid``, ``crypto`` or "".
    """

    fstype: str = ""
    uuid: str = ""
    label: str = ""
    pttype: str = ""
    usage: str = ""


def format_bytes(fstype: str, fs_uuid: str, label: str = "") -> bytes:
    """Return the first bytes of a freshly formatted device.

    Args:
        fstype: ``ext4``, ``xfs``, ``btrfs``, ``LVM2_member``, ``crypto_LUKS``, ``dos`` or ``gpt``.
        fs_uuid: Text form of the UUID; LVM takes its own form.
        label: Filesystem label.

    Raises:
        ValueError: The type is not one of these.
    """
    device = bytearray(DEVICE_BYTES)
    writer = _WRITERS.get(fstype)
    if writer is None:
        raise ValueError(f"cannot format as {fstype!r}")
    writer(device, fs_uuid, label.encode())
    return bytes(device)


def identify(device: bytes) -> Identity:
    """Return what the first bytes of a device say it is."""
    return _filesystem(device) or _other(device)


def _filesystem(device: bytes) -> Identity | None:
    if device[EXT_MAGIC : EXT_MAGIC + 2] == b"\x53\xef":
        return Identity("ext4", _uuid(device, EXT_UUID), _text(device, EXT_LABEL, 16), usage="filesystem")
    if device[0:4] == b"XFSB":
        return Identity("xfs", _uuid(device, 32), _text(device, 108, 12), usage="filesystem")
    if device[BTRFS + 0x40 : BTRFS + 0x48] == b"_BHRfS_M":
        return Identity("btrfs", _uuid(device, BTRFS + 0x20), _text(device, BTRFS + 0x12B, 256), usage="filesystem")
    return None


def _other(device: bytes) -> Identity:
    if device[0:6] == b"LUKS\xba\xbe":
        return Identity("crypto_LUKS", _text(device, 168, 40), usage="crypto")
    if device[SECTOR : SECTOR + 8] == b"LABELONE" and device[SECTOR + 24 : SECTOR + 32] == b"LVM2 001":
        return Identity("LVM2_member", _text(device, SECTOR + 32, 32), usage="raid")
    if device[TABLE_MAGIC : TABLE_MAGIC + 2] == b"\x55\xaa":
        return Identity(pttype="gpt" if device[TABLE_ENTRY + 4] == PROTECTIVE else "dos")
    return Identity()


def has_rexray_filesystem(device: bytes) -> bool:
    """Return whether REX-Ray would recognise the device; it formats every other one.

    Source: rexray ``probeFsType``: magic numbers of btrfs, ext2-4 and xfs at fixed offsets of the whole device.
    """
    return identify(device).fstype in {"ext4", "xfs", "btrfs"}


def _ext4(device: bytearray, fs_uuid: str, label: bytes) -> None:
    device[EXT_MAGIC : EXT_MAGIC + 2] = b"\x53\xef"
    struct.pack_into("<III", device, EXT + 0x5C, 0x04, 0x40, 0x01)  # journal, extents, sparse superblocks
    device[EXT_UUID : EXT_UUID + 16] = uuid.UUID(fs_uuid).bytes
    device[EXT_LABEL : EXT_LABEL + len(label[:16])] = label[:16]


def _xfs(device: bytearray, fs_uuid: str, label: bytes) -> None:
    device[0:4] = b"XFSB"
    device[32:48] = uuid.UUID(fs_uuid).bytes
    device[108 : 108 + len(label[:12])] = label[:12]


def _btrfs(device: bytearray, fs_uuid: str, label: bytes) -> None:
    device[BTRFS + 0x20 : BTRFS + 0x30] = uuid.UUID(fs_uuid).bytes
    device[BTRFS + 0x40 : BTRFS + 0x48] = b"_BHRfS_M"
    device[BTRFS + 0x12B : BTRFS + 0x12B + len(label)] = label


def _luks(device: bytearray, fs_uuid: str, _label: bytes) -> None:
    device[0:8] = b"LUKS\xba\xbe\x00\x02"
    device[168 : 168 + len(fs_uuid)] = fs_uuid.encode()


def _lvm(device: bytearray, fs_uuid: str, _label: bytes) -> None:
    device[SECTOR : SECTOR + 8] = b"LABELONE"
    device[SECTOR + 24 : SECTOR + 32] = b"LVM2 001"
    device[SECTOR + 32 : SECTOR + 64] = fs_uuid.replace("-", "")[:32].ljust(32, "0").encode()


def _table(device: bytearray, kind: int) -> None:
    device[TABLE_ENTRY + 4] = kind
    struct.pack_into("<II", device, TABLE_ENTRY + 8, 2048, 0xFFFFFFFF)
    device[TABLE_MAGIC : TABLE_MAGIC + 2] = b"\x55\xaa"


def _gpt(device: bytearray, _uuid_text: str, _label: bytes) -> None:
    _table(device, PROTECTIVE)
    device[SECTOR : SECTOR + 8] = b"EFI PART"


_WRITERS = {
    "ext4": _ext4,
    "xfs": _xfs,
    "btrfs": _btrfs,
    "crypto_LUKS": _luks,
    "LVM2_member": _lvm,
    "dos": lambda device, _uuid, _label: _table(device, LINUX_PARTITION),
    "gpt": _gpt,
}


def _uuid(device: bytes, offset: int) -> str:
    return str(uuid.UUID(bytes=bytes(device[offset : offset + 16])))


def _text(device: bytes, offset: int, length: int) -> str:
    return device[offset : offset + length].split(b"\0")[0].decode(errors="replace")
