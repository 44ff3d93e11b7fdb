"""Certificates for servers that speak TLS."""

import subprocess

import pytest


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Two authorities, a client and servers of the first, and a server of the second."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for name in ("ca", "other"):
        openssl(
            *["req", "-x509", *new_key, "-days", "2", "-subj", f"/CN={name}"],
            *["-keyout", f"{name}.key", "-out", f"{name}.crt"],
        )
    here = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    names = {
        "server": ("ca", here),
        "stranger": ("other", here),
        "misnamed": ("ca", "subjectAltName=DNS:elsewhere.example"),
        "client": ("ca", "extendedKeyUsage=clientAuth"),
    }
    for name, (issuer, extension) in names.items():
        (folder / f"{name}.ext").write_text(extension + "\n")
        openssl(
            *["req", *new_key, "-subj", f"/CN={name}"],
            *["-keyout", f"{name}.key", "-out", f"{name}.csr"],
        )
        openssl(
            *["x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.crt"],
            *["-CAkey", f"{issuer}.key", "-CAcreateserial", "-days", "2"],
            *["-extfile", f"{name}.ext", "-out", f"{name}.crt"],
        )
    return folder


def with_tls(folder, name, **options):
    return {"certificate": folder / f"{name}.crt", "key": folder / f"{name}.key", **options}
