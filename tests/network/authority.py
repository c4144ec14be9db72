"""A private certificate authority, made by openssl, and TLS servers with its certificates."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


@dataclass(frozen=True)
class Authority:
    """`certificate`: the file to trust."""

    folder: Path
    name: str

    @classmethod
    def create(cls, folder: Path, name: str = "ca") -> Self:
        made = cls(folder, name)
        _openssl("req", "-x509", *_EC, "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
                 "-keyout", str(made._key), "-out", str(made.certificate))
        return made

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.pem"

    @property
    def _key(self) -> Path:
        return self.folder / f"{self.name}.key"

    def server(self, *names: str) -> ssl.SSLContext:
        """The TLS context of a server with these names: `DNS:a.example.net`, `IP:127.0.0.1`."""
        certificate, key = self.folder / f"{self.name}-server.pem", self.folder / f"{self.name}-server.key"
        _openssl("req", "-x509", *_EC, "-subj", "/CN=server", "-addext", f"subjectAltName={','.join(names)}",
                 "-addext", "basicConstraints=CA:FALSE", "-CA", str(self.certificate), "-CAkey", str(self._key),
                 "-keyout", str(key), "-out", str(certificate))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        return context


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
