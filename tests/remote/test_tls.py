from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from completion_server.request import FinishReason
from tests.support.fake_completion_api import FakeApi, Script, choice, json_script, sse
from tests.support.remote_calls import connected


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(path), "-out", str(path)]
    options = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    # Some versions write the second file over the first: the key must be in it for the test to mean anything.
    text = path.read_text()
    if "PRIVATE KEY" not in text or "CERTIFICATE" not in text:
        pytest.skip("this openssl cannot write key and certificate into one file")
    return path


def test_a_certificate_that_nobody_signed_is_refused(certificate: Path) -> None:
    routes = {
        "/v1/models": json_script({"data": [{"id": "starcoder2"}]}),
        "/v1/completions": Script(sse(choice("ab", "stop"))),
    }
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FakeApi(dict(routes), tls=context) as api, connected(api.url) as remote:
        assert api.url.startswith("https://")
        result = remote.ask()
        assert result.finish_reason is FinishReason.SKIPPED
        assert "certificate" in str(remote.engine.status()["connection"]).lower()
        assert api.asked == []
