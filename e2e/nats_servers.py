"""NATS servers of this machine with accounts, keys and certificates, for scenarios in which pods use them.

Pods reach them at the host of cluster.sh's NATS, this machine at 127.0.0.1. Identities are made with the nats CLI and
openssl, as people would make them.
"""
import base64
import hashlib
import json
import signal
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

from cluster_calls import ENVIRONMENT, NATS_URL, wait_for

HOST = urlparse(NATS_URL).hostname  # As pods see this machine.


def free_port():
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


def written(path, text):
    """The path, with the text in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def output(*command, env=None):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env or ENVIRONMENT, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr}{done.stdout}")
    return done.stdout


class NatsServer:
    """One with JetStream and a configuration of its own, in a folder of its own, until `stop`."""

    def __init__(self, folder, config, scheme="nats"):
        self.folder, self.port, self.monitor = Path(folder), free_port(), free_port()
        self.url = f"{scheme}://{HOST}:{self.port}"
        self.local_url = f"{scheme}://127.0.0.1:{self.port}"
        self.process = None
        self.write(config)
        self.start()

    def write(self, config):
        written(self.folder / "nats.conf", f'''listen: "0.0.0.0:{self.port}"
http: "127.0.0.1:{self.monitor}"
jetstream {{ store_dir: "{self.folder}/data" }}
{config}''')

    def start(self):
        with open(self.folder / "log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(["nats-server", "--config", self.folder / "nats.conf"], stderr=log)
        wait_for("nats-server answers", lambda: self.ask("/healthz"), 60)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def reload(self, config):
        before = self.ask("/varz")["config_load_time"]
        self.write(config)
        self.process.send_signal(signal.SIGHUP)
        wait_for("the configuration is read", lambda: self.ask("/varz")["config_load_time"] != before, 60)

    def ask(self, path):
        """What its monitoring answers; None when it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}{path}", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def connections(self):
        return (self.ask("/connz?auth=1&limit=1024") or {}).get("connections", [])

    def cli(self, access, *args):
        """The nats CLI with a --creds or --nkey: (exit status, output)."""
        done = subprocess.run(["nats", "--server", self.local_url, "--timeout=5s", *access, *args], capture_output=True,
                              text=True, env=ENVIRONMENT, check=False)
        return done.returncode, done.stdout + done.stderr

    def streams(self, access):
        status, said = self.cli(access, "stream", "ls", "--all", "--json")
        if status != 0:
            raise AssertionError(said)
        return json.loads(said or "[]") or []


class Nkey:
    """A user that is known by its key alone: the seed in a file, as `nats auth nkey gen user --output` writes it."""

    def __init__(self, path):
        self.seed = Path(path).read_text(encoding="utf-8").strip()
        self.public = output("nats", "auth", "nkey", "show", path).strip()
        self.access = [f"--nkey={path}"]


def accounts(users):
    """Configuration of accounts {name: Nkey}, each with JetStream."""
    rows = [f"  {name}: {{ jetstream: enabled, users: [{{ nkey: {key.public} }}] }}" for name, key in users.items()]
    return "accounts {\n" + "\n".join(rows) + "\n}\n"


class JwtOperator:
    """An operator whose accounts and users are JWTs, kept by the nats CLI in a folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.env = {**ENVIRONMENT, "HOME": str(folder), "XDG_DATA_HOME": f"{folder}/data",
                    "XDG_CONFIG_HOME": f"{folder}/config"}
        self.run("operator", "add", "platform")  # With an account SYSTEM.

    def run(self, *args):
        return output("nats", "auth", *args, env=self.env)

    def add_account(self, name):
        self.run("account", "add", name, "--operator=platform", "--defaults", "--jetstream", "--js-disk=-1",
                 "--js-memory=-1", "--js-disk-stream=-1", "--js-memory-stream=-1")

    def add_user(self, account, name):
        """The path of its .creds file."""
        path = self.folder / f"{account}-{name}.creds"
        self.run("user", "add", name, account, "--operator=platform", "--defaults", f"--credential={path}")
        return path

    def config(self):
        store = self.folder / "data/nats/nsc/stores/platform"
        tokens = {path.stem: path.read_text(encoding="utf-8").strip() for path in store.glob("accounts/*/*.jwt")}
        names = {name: self.subject(token) for name, token in tokens.items()}
        preload = "\n".join(f"  {names[name]}: {token}" for name, token in tokens.items())
        return (f"operator: {(store / 'platform.jwt').read_text(encoding='utf-8').strip()}\n"
                f"system_account: {names['SYSTEM']}\nresolver: MEMORY\nresolver_preload {{\n{preload}\n}}\n")

    @staticmethod
    def subject(token):
        claims = token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]


class Authority:
    """Signs certificates."""

    def __init__(self, folder, name):
        self.folder, self.name = Path(folder), name
        self.folder.mkdir(parents=True)
        output("openssl", "req", "-x509", *self.new_key("ca"), "-days", "2", "-subj", f"/CN={name}",
               "-addext", "keyUsage=critical,keyCertSign", "-out", self.folder / "ca.crt")
        self.certificate = (self.folder / "ca.crt").read_text(encoding="utf-8")

    def new_key(self, name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.folder / f"{name}.key"]

    def sign(self, name, server=False):
        """(path of the certificate, path of its key)."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        kind = "IP" if HOST.replace(".", "").isdigit() else "DNS"
        more = f"\nsubjectAltName=IP:127.0.0.1,{kind}:{HOST}" if server else ""
        extensions = written(self.folder / f"{name}.ext",
                             f"basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth{more}\n")
        request = self.folder / f"{name}.csr"
        output("openssl", "req", *self.new_key(name), "-subj", f"/CN={name}", "-out", request)
        output("openssl", "x509", "-req", "-in", request, "-CA", self.folder / "ca.crt", "-CAkey", self.folder / "ca.key",
               "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", certificate)
        return certificate, key


def fingerprint(certificate):
    """As nats-server tells that of a client: SHA-256 of the certificate."""
    text = Path(certificate).read_text(encoding="utf-8")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()


def tls(folder, certificate, key, authorities):
    """Configuration of a server that asks every client for a certificate of one of the authorities."""
    trusted = written(Path(folder) / "trusted.crt", "".join(one.certificate for one in authorities))
    return (f'tls {{ cert_file: "{certificate}", key_file: "{key}", ca_file: "{trusted}", verify: true, timeout: 10 }}\n')
