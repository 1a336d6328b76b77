"""Certificates for tests, made by the openssl command."""

import subprocess
from pathlib import Path

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n"
USAGE = "keyUsage=critical,keyCertSign,cRLSign"
"""Python 3.13 wants both of them."""


def make_certificates(folder: Path) -> Path:
    """Makes ca.pem, and .pem and .key of "server" and of "client", signed by it."""
    authority = ("req", "-x509", "-subj", "/CN=authority", "-addext", USAGE)
    _openssl(folder, *authority, "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "names").write_text(NAMES)
    for name in ("server", "client"):
        request = f"{name}.csr"
        _openssl(folder, "req", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", request)
        subprocess.run(
            ["openssl", "x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
             "-in", request, "-out", f"{name}.pem", "-extfile", "names"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
    return folder


def _openssl(folder: Path, *arguments: str) -> None:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(["openssl", *arguments, *curve], cwd=folder, check=True, capture_output=True)
