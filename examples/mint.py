#!/usr/bin/env python3
"""Mints the tokens of one outgoing mail with nothing but Python's standard library.

usage: mint.py SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]

`desist signing-key export` prints the keys, the serial and the tenant's number.
"""
import base64
import hashlib
import hmac
import re
import struct
import sys
import unicodedata

DOMAIN = "fb.example.com"  # served by the MX
URL = "https://u.example.com"  # the public HTTPS door


def canonical(address: str) -> str:
    """Enough for addresses without quotes whose domain is written in ASCII (as xn--… where it is
    international); `POST /v1/tokens` mints for all."""
    local, _, domain = address.strip(" \t\r\n\f").rpartition("@")
    local = unicodedata.normalize("NFC", "".join(c.lower() for c in local))
    domain = domain.removesuffix(".").lower()
    plain = re.fullmatch(r'[^\s\x00-\x20"(),:;<>@\[\\\]\x7f-\x9f]+', local)
    long = len(local.encode()) > 256 or len(f"{local}@{domain}".encode()) > 512
    if long or not plain or not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", domain):
        sys.exit("mint.py: no address, or one that this example does not know to write")
    return f"{local}@{domain}"


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def mint(use: bytes, key: bytes, serial: int, recipient: bytes, tenant: int, stream: int, ref: bytes) -> str:
    header = 0x10 | serial % 16
    body = struct.pack(">IH", header << 24 | tenant, stream) + recipient + ref
    return base64.b32encode(body + mac(key, body + use)[:16]).decode().rstrip("=").lower()


def main() -> None:
    if len(sys.argv) not in (7, 8):
        sys.exit(__doc__)
    signing_key, address_key = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[3])
    serial, tenant, stream = int(sys.argv[2]), int(sys.argv[5]), int(sys.argv[6])
    ref = bytes.fromhex(sys.argv[7]) if len(sys.argv) == 8 else b""
    if len(ref) > 6:
        sys.exit("mint.py: with more than 6 bytes of ref the address u-TOKEN is too long")
    recipient = mac(address_key, canonical(sys.argv[4]).encode())[:10]
    token = mint(b"f", signing_key, serial, recipient, tenant, stream, ref)
    bounce = mint(b"b", signing_key, serial, recipient, tenant, stream, b"")
    print(f"feedback token: {token}")
    print(f"bounce token: {bounce}")
    print(f"MAIL FROM: b-{bounce}@{DOMAIN}")
    print(f"List-Unsubscribe: <{URL}/u/{token}>, <mailto:u-{token}@{DOMAIN}?subject=unsubscribe>")
    print("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
    print(f"CFBL-Address: cfbl@{DOMAIN}; report=arf\nCFBL-Feedback-ID: {token}\nX-Desist: {token}")


main()
