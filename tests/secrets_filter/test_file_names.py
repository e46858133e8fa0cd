"""Names of files that hold secrets, and names that only look like it."""

from __future__ import annotations

import pytest

from completion_server.secrets_filter import is_secret_file

SECRET = [
    ".env", ".env.local", ".env.production", ".envrc", "prod.env", "staging.env", "local.env",
    "env.production", ".netrc", "_netrc", ".npmrc", ".pypirc", ".htpasswd", ".git-credentials", ".pgpass",
    "pgpass.conf", ".my.cnf", ".mylogin.cnf", ".Renviron", ".s3cfg", ".boto", ".vault-token", ".vault_pass",
    ".dockercfg", ".dockerconfigjson", "gradle.properties", "kubeconfig", "kubeconfig.yaml",
    "prod.kubeconfig", "wp-config.php", "local.settings.json", "master.key", "credentials.yml.enc",
    "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa.bak", "id_ed25519_work", "server.key",
    "server.pem", "private.pem", "tls.crt", "client.p12", "client.pfx", "app.jks", "my.keystore",
    "vault.kdbx", "putty.ppk", "AuthKey_1.p8", "office.ovpn", "krb5.keytab", "secret.asc", "mail.gpg",
    "main.tfvars", "prod.auto.tfvars", "terraform.tfvars.json", "terraform.tfstate",
    "terraform.tfstate.backup", "app.tfstate", ".terraformrc", "secrets.json", "secrets.yaml",
    "secrets.yml", "secrets.toml", "secrets.ini", "secret.properties", "my-secrets.yaml",
    "app.secrets.json", "secrets.env", "credentials", "credentials.json", "credentials.csv",
    "aws-credentials.ini", "credentials.xml", "passwords.txt", "api_keys.json", "apikey.txt",
    "auth-token.json", "service-account.json", "service_account_key.json", "serviceAccountKey.json",
    "my-app-firebase-adminsdk-x1.json", "client_secret.json", "client_secret_123.apps.json",
    "appsettings.Production.json", "appsettings.Development.json", "application-prod.yml",
    ".aws/credentials", "home/.aws/config", ".kube/config", ".docker/config.json", ".ssh/id_work",
    ".ssh/config", ".gnupg/private-keys.d", ".azure/accessTokens.json",
    ".config/gcloud/application_default_credentials.json", ".config/gh/hosts.yml",
    ".cargo/credentials.toml", ".m2/settings.xml", ".composer/auth.json", "etc/shadow", "rclone.conf",
    "sftp-config.json", "secring.gpg", ".SMBCREDENTIALS", "Server.KEY", "SECRETS.JSON",
]  # fmt: skip
ORDINARY = [
    ".env.example", ".env.sample", ".env.template", "prod.env.example", "secrets.example.yaml",
    "credentials.sample.json", "environment.ts", "environment.yml", "main.py", "secrets.py",
    "credentials.go", "secret_test.ts", "password.rs", "token.c", "tokenizer.json", "tokens.py",
    "secretary.py", "keyboard.ts", "keys.py", "monkey.js", "turkey.md", "README.md", "appsettings.json",
    "application.yml", "config.json", "settings.xml", "build.gradle", "main.tf", "variables.tf",
    "id_rsa.pub", ".ssh/known_hosts", ".ssh/authorized_keys", "public.pem", "server-public.key",
    "schema.sql", "docker-compose.yml", "Dockerfile", ".gitignore", ".editorconfig", "package.json",
    "tsconfig.json", "api.go", "keyring.py", "passwd.c", "config", ".config/nvim/init.lua", "aws.py",
    "kube.yaml", "environment", "env.py", "sentry.ts", "crypto.ts", "key.go", "certificates.py",
    "service.json", "account.json",
]  # fmt: skip


@pytest.mark.parametrize("path", SECRET)
def test_secret_files(path: str) -> None:
    assert is_secret_file(path)


@pytest.mark.parametrize("path", ORDINARY)
def test_ordinary_files(path: str) -> None:
    assert not is_secret_file(path)
