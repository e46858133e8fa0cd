"""Formats of tokens that can be told by their first characters, wherever they stand.

The prefixes and lengths are those that the issuers document. The selection follows the rules of gitleaks (MIT
licence). Each alternative is a fixed prefix and one run of characters that is never given back, so matching costs
time in proportion to the text.
"""

from __future__ import annotations

import regex

_WORD, _BASE64URL, _HEX = "[A-Za-z0-9]", "[A-Za-z0-9_-]", "[a-f0-9]"

TOKENS = (
    "(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}+",  # AWS access key ids
    f"gh[pousr]_{_WORD}{{30,}}+",
    "github_pat_[A-Za-z0-9_]{36,}+",
    f"gl(?:pat|rt|dt|cbt|ptt|oas|ft|imt|agent|soat|feed)-{_BASE64URL}{{18,}}+",
    "xox[abeoprs]-[A-Za-z0-9-]{10,}+|xapp-[0-9]-[A-Za-z0-9-]{20,}+",
    f"sk-(?:ant-|proj-|svcacct-|admin-|or-v1-|lf-)?{_BASE64URL}{{32,}}+|sk-ant-{_BASE64URL}{{20,}}+",
    f"(?:sk|rk)_(?:live|test)_{_WORD}{{10,}}+|whsec_[A-Za-z0-9+/=]{{20,}}+",
    f"AIza{_BASE64URL}{{30,}}+|GOCSPX-{_BASE64URL}{{20,}}+|ya29\\.[A-Za-z0-9_.-]{{30,}}+",
    f"npm_{_WORD}{{30,}}+|pypi-{_BASE64URL}{{50,}}+|rubygems_{_HEX}{{40,}}+|oy2[a-z0-9]{{40,}}+",
    f"cio[A-Za-z0-9]{{32}}+|dckr_(?:pat|oat)_{_BASE64URL}{{20,}}+",
    f"SG\\.{_BASE64URL}{{16,}}+\\.{_BASE64URL}{{16,}}+|xkeysib-{_HEX}{{40,}}+|key-{_HEX}{{32}}+",
    f"hf_{_WORD}{{30,}}+|api_org_{_WORD}{{30,}}+|r8_{_WORD}{{30,}}+|gsk_{_WORD}{{40,}}+|nvapi-{_BASE64URL}{{40,}}+",
    f"pplx-{_WORD}{{40,}}+|xai-{_WORD}{{40,}}+|tgp_v1_{_BASE64URL}{{30,}}+|fw_{_WORD}{{20,}}+",
    f"do[opr]_v1_{_HEX}{{60,}}+|hcloud_{_WORD}{{40,}}+|HRKU-{_BASE64URL}{{30,}}+|flyv1_[A-Za-z0-9_=+/-]{{30,}}+",
    "FlyV1 fm[12][ar]?_[A-Za-z0-9+/=,_-]{30,}+|fo1_[A-Za-z0-9_-]{30,}+",
    f"[0-9]{{8,10}}:AA{_BASE64URL}{{32,}}+",  # Telegram
    f"[MNO][A-Za-z0-9_-]{{22,26}}\\.{_BASE64URL}{{6}}\\.{_BASE64URL}{{27,}}+",  # Discord
    f"SK{_HEX}{{32}}+|AC{_HEX}{{32}}+",  # Twilio
    f"EAA[A-Za-z0-9]{{60,}}+|sq0(?:csp|atp|idp)-{_BASE64URL}{{22,}}+|EAAA{_BASE64URL}{{50,}}+",
    f"shp(?:at|ss|ca|pa)_[a-fA-F0-9]{{32,}}+|lin_(?:api|oauth)_{_WORD}{{30,}}+|figd_{_BASE64URL}{{30,}}+",
    f"(?:ntn|secret)_{_WORD}{{40,}}+|pat[A-Za-z0-9]{{14}}\\.{_HEX}{{60,}}+",
    f"glsa_[A-Za-z0-9]{{30,}}+_{_HEX}{{8}}|glc_[A-Za-z0-9+/=]{{30,}}+|hv[sbr]\\.{_BASE64URL}{{20,}}+",
    f"[A-Za-z0-9]{{14}}\\.atlasv1\\.{_BASE64URL}{{50,}}+|PMAK-{_HEX}{{24,}}+(?:-{_HEX}{{32,}}+)?|dapi{_HEX}{{32}}+",
    f"ATATT3[A-Za-z0-9_=-]{{60,}}+|ATCTT3[A-Za-z0-9_=-]{{60,}}+|ATBB{_WORD}{{30,}}+",
    f"sntry[su]_[A-Za-z0-9_=+/-]{{40,}}+|NRAK-[A-Z0-9]{{25,}}+|NRII-{_BASE64URL}{{30,}}+|phc_{_WORD}{{40,}}+",
    "dt0[cs]0[0-9]\\.[A-Z0-9]{20,}+\\.[A-Z0-9]{40,}+|AGE-SECRET-KEY-1[0-9A-Z]{50,}+",
    f"pul-{_HEX}{{40}}+|tskey-[a-z]+-{_BASE64URL}{{15,}}+|sl\\.[A-Za-z0-9_-]{{100,}}+|CCIPAT_[A-Za-z0-9_]{{20,}}+",
    "pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{30,}+|dp\\.(?:pt|st|ct|sa|scim|audit)\\.[A-Za-z0-9._-]{40,}+",
    f"sbp_{_HEX}{{40}}+|bkua_{_HEX}{{40}}+|CFPAT-{_BASE64URL}{{40,}}+|v1\\.0-{_HEX}{{24}}-{_HEX}{{100,}}+",
    f"ops_eyJ{_BASE64URL}{{100,}}+|A3-[A-Z0-9]{{6}}-(?:[A-Z0-9]{{5,11}}-){{3}}[A-Z0-9-]{{5,}}+",
    f"sk\\.eyJ{_BASE64URL}{{20,}}+\\.{_BASE64URL}{{10,}}+|xoxe\\.xox[bp]-[0-9]-{_WORD}{{40,}}+",
    f"eyJ{_BASE64URL}{{10,}}+\\.eyJ{_BASE64URL}{{10,}}+(?:\\.{_BASE64URL}{{10,}}+)?",  # JSON web tokens
    f"[0-9a-f]{{32}}-us[0-9]{{1,2}}|sha256~{_BASE64URL}{{40,}}+",  # Mailchimp, OpenShift
)
TOKEN = regex.compile("(?<![A-Za-z0-9_-])(?:" + "|".join(TOKENS) + ")")

URLS = (
    r"(hooks\.slack\.com/(?:services|workflows|triggers)/)(?P<value>[A-Za-z0-9+/_-]{20,}+)",
    r"(discord(?:app)?\.com/api(?:/v[0-9]+)?/webhooks/)(?P<value>[0-9]{10,}+/[A-Za-z0-9_-]{30,}+)",
    r"(webhook\.office\.com/webhookb2/|outlook\.office\.com/webhook/)(?P<value>[A-Za-z0-9@/_-]{30,}+)",
    r"(hooks\.zapier\.com/hooks/catch/|maker\.ifttt\.com/use/|hook\.[a-z0-9.]{0,20}make\.com/)"
    r"(?P<value>[A-Za-z0-9/_-]{8,}+)",
    r"(api\.telegram\.org/bot)(?P<value>[0-9]{6,}+:[A-Za-z0-9_-]{20,}+)",
    r"(chat\.googleapis\.com/v1/spaces/[^\s?]{1,80}\?)(?P<value>key=[^\s\"']{20,}+)",
    r"(://[^\s/:@\"'<>{}$]{0,64}:)(?P<value>[^\s/@\"'<>{}$]{3,128})@",
    r"(sentry\.io/|://)(?P<value>[a-f0-9]{32})(?=@[a-z0-9.]{1,60}/[0-9])",
)
SECRET_URL = regex.compile("|".join(f"(?:{url})" for url in URLS), regex.IGNORECASE)
