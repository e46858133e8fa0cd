"""Names of files that usually hold secrets."""

from __future__ import annotations

import re

_EXAMPLE_WORDS = frozenset({"example", "sample", "template", "dist", "tmpl", "schema", "defaults"})
_DATA = (
    r"(?:json5?|jsonc|ya?ml|toml|ini|cfg|conf|config|env|properties|xml|txt|csv|plist|tfvars|enc|gpg|sops|kdbx)"
)
_WHOLE_NAMES = frozenset({
    ".envrc", ".netrc", "_netrc", ".npmrc", ".yarnrc.yml", ".pypirc", ".htpasswd", "htpasswd", ".htdigest",
    ".git-credentials", ".pgpass", "pgpass.conf", ".my.cnf", ".mylogin.cnf", ".renviron", ".rprofile.secret",
    ".s3cfg", ".boto", ".vault-token", ".vault_pass", ".dockercfg", ".dockerconfigjson", "gradle.properties",
    "kubeconfig", "wp-config.php", "wp-config-local.php", "local.settings.json",
    "master.key", "credentials.yml.enc", "secrets.yml.enc", "secring.gpg", "secring.pgp", "id_rsa", "id_dsa",
    "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk", "ssh_host_rsa_key", "ssh_host_ecdsa_key",
    "ssh_host_ed25519_key", ".terraformrc", "terraform.rc", "terraform.tfstate", "rclone.conf", ".rclone.conf",
    ".mongorc.js", ".esmtprc", ".msmtprc", ".fetchmailrc", ".smbcredentials", "smbpasswd", "shadow",
    "gshadow", "passwd-", "shadow-", "krb5.keytab", "otr.private_key", "logins.json", "key3.db", "key4.db",
    "cookies.sqlite", "login.keyring", "user.keystore", "settings.xml.enc", "settings-security.xml",
    ".databrickscfg", ".snowsql", "gh_hosts.yml",
    "application-secrets.yml", "sftp-config.json", "sftp.json", "filezilla.xml",
    "recentservers.xml", "sitemanager.xml", "ventrilo_srv.ini", "dbeaver-data-sources.xml", ".remote-sync.json",
    "ansible-vault.yml", "vault.yml", "vault.yaml", "proftpdpasswd", "robomongo.json", "google-services.json",
    "googleservice-info.plist", "firebase-adminsdk.json", "client_secret.json", "client_secrets.json",
})  # fmt: skip
_PATTERNS = re.compile(
    rf"\.env(?:\..+)?|.+\.env|env\.(?:local|production|prod|staging|development|dev|test)"
    rf"|(?:.+[._-])?(?:secrets?|credentials?|passwords?|passwd|api[_-]?keys?|auth[_-]?tokens?)(?:[._-].+)?\.{_DATA}"
    rf"|\.?(?:secrets?|credentials?|passwords?|passwd|api[_-]?keys?)"
    rf"|service[-_]?account.*\.json|.*-firebase-adminsdk-.*\.json|client[-_]secret.*\.json"
    rf"|appsettings\..+\.json|application-(?:prod|production|local|staging|dev)\.(?:ya?ml|properties)"
    rf"|.+\.(?:auto\.)?tfvars(?:\.json)?|.+\.tfstate(?:\..+)?|kubeconfig.*|.+\.kubeconfig"
    rf"|id_(?:rsa|dsa|ecdsa|ed25519)(?:[._-].+)?"
    rf"|.+\.(?:pem|key|p8|p12|pfx|pkcs12|jks|keystore|bks|kdb|kdbx|ppk|crt|cer|der|ovpn|keytab|asc|gpg|pgp|agekey"
    rf"|mobileprovision|provisionprofile|cscfg|publishsettings|rdp|keychain|keychain-db|jceks|psafe3|wallet|enc)",
    re.IGNORECASE,
)
_IN_DIRECTORIES = {
    ".aws": re.compile(r"credentials|config"),
    ".kube": re.compile(r"config.*"),
    ".docker": re.compile(r"config\.json"),
    ".ssh": re.compile(r"(?!known_hosts|authorized_keys|.*\.pub$).+"),
    ".gnupg": re.compile(r".+"),
    ".azure": re.compile(r".+\.json"),
    ".config/gcloud": re.compile(r".+"),
    ".config/gh": re.compile(r"hosts\.yml"),
    ".config/op": re.compile(r".+"),
    ".cargo": re.compile(r"credentials(?:\.toml)?"),
    ".gem": re.compile(r"credentials"),
    ".composer": re.compile(r"auth\.json"),
    ".m2": re.compile(r"settings(?:-security)?\.xml"),
    ".password-store": re.compile(r".+"),
    ".subversion/auth": re.compile(r".+"),
    "etc": re.compile(r"g?shadow-?"),
}
_PUBLIC = re.compile(r".+\.pub|.*public.*\.(?:pem|key|asc|crt|cer|der)", re.IGNORECASE)


def is_secret_file(path: str) -> bool:
    """Whether the file at ``path`` (a name, or a path with slashes) usually holds secrets.

    So do ``.env``, ``server.key`` and ``.aws/credentials``. ``.env.example`` does not, and neither does source
    code such as ``secrets.py``: values in it are redacted one by one.
    """
    directories, _, name = path.rpartition("/")
    if any(part in _EXAMPLE_WORDS for part in name.lower().split(".")[1:]) or _PUBLIC.fullmatch(name):
        return False
    if name.lower() in _WHOLE_NAMES or _PATTERNS.fullmatch(name):
        return True
    above = f"/{directories.lower()}/"
    return any(f"/{each}/" in above and rule.fullmatch(name) for each, rule in _IN_DIRECTORIES.items())
