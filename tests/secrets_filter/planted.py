"""Made-up secrets of many kinds in the formats that hold them. Nothing here was ever valid.

The values are put together from a seeded generator, so that no text of this file looks like a credential.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass

_LOWER_HEX = "0123456789abcdef"
_ALNUM = string.ascii_letters + string.digits
_URL64 = _ALNUM + "-_"


@dataclass(frozen=True)
class Planted:
    """A text, and the value in it that must not be seen. ``language`` is the kind of file."""

    kind: str
    text: str
    value: str


def planted(seed: int) -> Iterator[Planted]:
    """All of them, with values of ``seed``."""
    rng = random.Random(seed)
    for kind, prefix, alphabet, length in TOKENS:
        value = prefix + _mixed(rng, alphabet, length)
        for template in _some(rng, ANYWHERE, 4):
            yield Planted(kind, template.format(value), value)
    for kind, value in _structured(rng):
        for template in _some(rng, ANYWHERE, 3):
            yield Planted(kind, template.format(value), value)
    for name, kind in NAMES:
        for template, style in NAMED:
            value = _value(rng, kind)
            if kind == "hex" and style == "xml":
                continue
            yield Planted(f"{name} in {style}", template.format(_styled(name, style), value), value)
    yield from _special(rng)


TOKENS = [
    ("aws access key", "AKIA", string.ascii_uppercase + "234567", 16),
    ("aws session key", "ASIA", string.ascii_uppercase + "234567", 16),
    ("github token", "gh" + "p_", _ALNUM, 36),
    ("github oauth", "gh" + "o_", _ALNUM, 36),
    ("github fine-grained", "github" + "_pat_", _ALNUM + "_", 82),
    ("gitlab token", "gl" + "pat-", _URL64, 20),
    ("gitlab runner", "gl" + "rt-", _URL64, 20),
    ("slack bot", "xo" + "xb-", string.digits, 40),
    ("slack app", "xap" + "p-1-", string.ascii_uppercase + string.digits, 60),
    ("openai", "s" + "k-proj-", _URL64, 60),
    ("anthropic", "s" + "k-ant-api03-", _URL64, 90),
    ("stripe live", "sk_" + "live_", _ALNUM, 24),
    ("stripe test", "sk_" + "test_", _ALNUM, 24),
    ("stripe restricted", "rk_" + "live_", _ALNUM, 24),
    ("stripe webhook", "whs" + "ec_", _ALNUM, 32),
    ("google api", "AI" + "za", _URL64, 35),
    ("google oauth secret", "GOC" + "SPX-", _URL64, 28),
    ("npm", "np" + "m_", _ALNUM, 36),
    ("pypi", "py" + "pi-AgEIcHlwaS5vcmc", _URL64, 80),
    ("docker hub", "dckr" + "_pat_", _URL64, 27),
    ("hugging face", "h" + "f_", _ALNUM, 34),
    ("digitalocean", "do" + "p_v1_", _LOWER_HEX, 64),
    ("shopify", "shp" + "at_", _LOWER_HEX, 32),
    ("mailgun", "ke" + "y-", _LOWER_HEX, 32),
    ("twilio key", "S" + "K", _LOWER_HEX, 32),
    ("square", "sq0" + "csp-", _URL64, 43),
    ("linear", "lin_" + "api_", _ALNUM, 40),
    ("notion", "nt" + "n_", _ALNUM, 46),
    ("figma", "fi" + "gd_", _URL64, 40),
    ("vault", "hv" + "s.", _URL64, 90),
    ("databricks", "da" + "pi", _LOWER_HEX, 32),
    ("atlassian", "ATAT" + "T3xFfGF0", _URL64, 180),
    ("rubygems", "rubyg" + "ems_", _LOWER_HEX, 48),
    ("sentry", "snt" + "rys_", _ALNUM, 60),
    ("new relic", "NRA" + "K-", string.ascii_uppercase + string.digits, 27),
    ("age", "AGE-SECRET" + "-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    ("pulumi", "pu" + "l-", _LOWER_HEX, 40),
    ("tailscale", "tsk" + "ey-auth-", _ALNUM, 40),
    ("planetscale", "pscale" + "_tkn_", _URL64, 43),
    ("supabase", "sb" + "p_", _LOWER_HEX, 40),
    ("replicate", "r" + "8_", _ALNUM, 37),
    ("groq", "gs" + "k_", _ALNUM, 52),
    ("sendinblue", "xkey" + "sib-", _LOWER_HEX, 64),
    ("postman", "PMA" + "K-", _LOWER_HEX, 24),
]
ANYWHERE = [
    "client = Client('{}')\n",
    'curl -H "X-Thing: {}" https://example.org\n',
    "# left here: {}\n",
    "export THING={}\n",
    "thing: {}\n",
    '{{"thing": "{}"}}\n',
    "const thing = `{}`;\n",
    "thing = {}\n",
    "<thing>{}</thing>\n",
    "https://example.org/?thing={}\n",
]
NAMES = [
    ("db password", "password"),
    ("password", "password"),
    ("smtp passwd", "password"),
    ("admin pwd", "password"),
    ("key passphrase", "password"),
    ("secret key", "key"),
    ("jwt signing key", "hex"),
    ("api token", "key"),
    ("access token", "key"),
    ("client secret", "key"),
    ("aws secret access key", "aws"),
    ("encryption key", "hex"),
    ("api key", "key"),
    ("storage account key", "base64"),
]
NAMED = [
    ("{} = '{}'\n", "snake"),
    ('{} = "{}"\n', "upper"),
    ('const {} = "{}";\n', "camel"),
    ('  "{}": "{}",\n', "camel"),
    ('  {}: "{}"\n', "kebab"),
    ("{}={}\n", "upper"),
    ("export {}={}\n", "upper"),
    ("  {}: {}\n", "snake"),
    ("app.{}={}\n", "dotted"),
    ("<{0}>{1}</{0}>\n", "xml"),
    ("        - {}: {}\n", "kebab"),
    ('private static final String {} = "{}";\n', "upper"),
    ("ENV {}={}\n", "upper"),
    ('  {} := "{}"\n', "camel"),
    ("tool --{} {}\n", "kebab"),
    ('os.environ.setdefault("{}", "{}")\n', "upper"),
]


def _mixed(rng: random.Random, alphabet: str, length: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(length))


def _some(rng: random.Random, templates: list[str], number: int) -> list[str]:
    return rng.sample(templates, number)


def _value(rng: random.Random, kind: str) -> str:
    if kind == "hex":
        return _mixed(rng, _LOWER_HEX, rng.choice([32, 48, 64]))
    if kind == "base64":
        return base64.b64encode(rng.randbytes(64)).decode()
    if kind == "aws":
        return _mixed(rng, _ALNUM + "/+", 40)
    if kind == "key":
        return _mixed(rng, _ALNUM, rng.choice([20, 24, 32, 40]))
    words = ["hunter", "winter", "dragon", "Passw", "summer", "monkey", "Tiger", "qwert"]
    return rng.choice(words) + rng.choice("!@_-.") + str(rng.randrange(10, 9999))


def _styled(name: str, style: str) -> str:
    words = name.split()
    if style == "upper":
        return "_".join(words).upper()
    if style in ("camel", "xml"):
        return words[0] + "".join(map(str.capitalize, words[1:]))
    return {"snake": "_", "kebab": "-", "dotted": "."}[style].join(words)


def _structured(rng: random.Random) -> Iterator[tuple[str, str]]:
    part = base64.urlsafe_b64encode(rng.randbytes(30)).decode().rstrip("=")
    yield "json web token", f"ey{'J'}hbGciOiJIUzI1NiJ9.eyJ{part}.{_mixed(rng, _URL64, 43)}"
    yield "sendgrid", f"S{'G'}.{_mixed(rng, _URL64, 22)}.{_mixed(rng, _URL64, 43)}"
    yield "telegram bot", f"{rng.randrange(10**8, 10**9)}:AA{_mixed(rng, _URL64, 33)}"
    yield "discord bot", f"M{_mixed(rng, _ALNUM, 23)}.{_mixed(rng, _URL64, 6)}.{_mixed(rng, _URL64, 38)}"
    yield "terraform cloud", f"{_mixed(rng, _ALNUM, 14)}.atlasv1.{_mixed(rng, _URL64, 67)}"
    yield "mailchimp", f"{_mixed(rng, _LOWER_HEX, 32)}-us12"


def _special(rng: random.Random) -> Iterator[Planted]:
    word, key = _value(rng, "password"), _value(rng, "key")
    body = [base64.b64encode(rng.randbytes(48)).decode() for _ in range(5)]
    yield from (
        Planted("url", f"DATABASE_URL=postgres://me:{word}@db.example.org/x\n", word),
        Planted("url in code", f'engine = create_engine("mysql+pymysql://root:{word}@localhost/x")\n', word),
        Planted("redis", f"redis://:{word}@cache.example.org:6379/0\n", word),
        Planted("ado connection", f'"Server=db;Database=x;User Id=sa;Password={word};"\n', word),
        Planted("azure storage", f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={body[0]};\n", body[0]),
        Planted(
            "service bus", f'"Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey={body[1]}"\n', body[1]
        ),
        Planted("bearer", f"Authorization: Bearer {key}\n", key),
        Planted("basic", f'headers = {{"Authorization": "Basic {body[2][:24]}"}}\n', body[2][:24]),
        Planted("curl user", f"curl -u admin:{word} https://example.org\n", word),
        Planted("slack webhook", f"https://hooks.slack.com/services/T0AAAAAAA/B0AAAAAAA/{key[:24]}\n", key[:20]),
        Planted(
            "discord webhook",
            f"https://discord.com/api/webhooks/123456789012345678/{body[3][:60]}\n",
            body[3][:20],
        ),
        Planted("netrc", f"machine example.org login me password {word}\n", word),
        Planted("netrc lines", f"machine example.org\n  login me\n  password {word}\n", word),
        Planted("npmrc", f"//registry.example.org/:_authToken={key}\n", key),
        Planted("pgpass", f"db.example.org:5432:x:me:{word}\n", word),
        Planted("htpasswd", f"me:$apr1${key[:8]}${key[8:20]}xY1.\n", key[8:20]),
        Planted("docker config", f'{{"auths": {{"x": {{"auth": "{body[0][:40]}"}}}}}}\n', body[0][:40]),
        Planted("kubernetes", f"kind: Secret\ndata:\n  thing: {body[1][:20]}==\ntype: Opaque\n", body[1][:20]),
        Planted("kubernetes text", f"kind: Secret\nstringData:\n  thing: {word}\n", word),
        Planted("kubeconfig", f"    client-key-data: {body[2]}\n", body[2]),
        Planted("kubeconfig token", f"    token: {key}\n", key),
        Planted("yaml block", f"password: |\n  {word}\nnext: 1\n", word),
        Planted("yaml folded", f"client_secret: >-\n    {key}\nnext: 1\n", key),
        Planted("config xml", f'<add key="ApiSecret" value="{key}" />\n', key),
        Planted("tfvars", f'db_password = "{word}"\n', word),
        Planted("query", f"https://example.org/x?api_key={key}&y=1\n", key),
        Planted(
            "sas",
            f"https://x.blob.core.windows.net/c?sv=2024&sig={body[3][:44].replace('+', 'a')}%3D\n",
            body[3][:12],
        ),
        Planted("php", f"define('DB_PASSWORD', '{word}');\n", word),
        Planted("django", f"SECRET_KEY = 'django-insecure-{key.lower()}!@#'\n", key.lower()),
        Planted("rails", f"  secret_key_base: {key}\n", key),
        Planted("java properties", f"spring.datasource.password={word}\n", word),
        Planted("docker run", f"docker run -e POSTGRES_PASSWORD={word} postgres\n", word),
        Planted("mysql option", f"mysql --user=root --password={word} x\n", word),
        Planted("ini", f"[client]\nuser = me\npassword = {word}\n", word),
    )
    for kind in (
        "RSA PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "EC PRIVATE KEY",
        "PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ):
        text = f"x = 1\n-----BEGIN {kind}-----\n" + "\n".join(body) + f"\nab12\n-----END {kind}-----\ny = 2\n"
        yield Planted(kind, text, body[4])
        yield Planted(f"{kind}, cut", "\n".join(text.split("\n")[:4]), body[1])
    lines = "\n".join(body)
    yield Planted(
        "putty", f"PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 5\n{lines}\nPrivate-MAC: {key}\n", body[2]
    )
