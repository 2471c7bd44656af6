"""Texts and values that somebody might give in bad faith, or by accident: each is refused or kept harmlessly."""

from __future__ import annotations

import unicodedata
from typing import Any

#: Ten megabytes of one text.
HUGE = 10 * 1024 * 1024

_PATHS = """
.. . / ./ ../ ../../../../etc/passwd /etc/passwd //etc/passwd /dev/zero /proc/self/environ ~ ~/x ~root/.ssh/id_rsa
..\\..\\windows\\system32 C:\\boot.ini \\\\host\\share file:///etc/passwd %2e%2e%2f %2e%2e/%2e%2e/etc %252e%252e%252f
..%c0%af.. ....// a/../../b a/b ./.git/config -rf --help $HOME ${HOME} %APPDATA% CON NUL COM1.txt aux.
""".split()  # noqa: SIM905 - a table
#: 250 characters that don't compress: 750 bytes, of which an index of PostgreSQL takes 2,704.
_ODD_HANZI = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(250))
_TEXTS = {
    "sql": [
        "' OR 1=1 --",
        "'; DROP TABLE mr_model; --",
        '"; DROP TABLE mr_version; --',
        "1; DELETE FROM mr_stage_event",
        "x' UNION SELECT id FROM mr_registry --",
        "') ; ATTACH DATABASE '/tmp/x.db' AS x; --",
        "$$; SELECT pg_sleep(9); $$",
        "E'\\x27'",
        "%' ESCAPE '!",
        "a_b%",
        "/*",
        "*/ x /*",
        ":name",
        "%(name)s",
        "?",
        "\\",
        "'",
        '"',
        "`",
        ";",
    ],
    "html": [
        "<script>alert(1)</script>",
        "</td><img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "javascript:alert(1)",
        "\"><iframe src='//x'>",
        "&lt;b&gt;",
        "&#x3c;b&#x3e;",
        "<!--",
        "]]>",
        "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>",
    ],
    "templates": [
        "{{ 7*7 }}",
        "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
        "{# x #}",
        "{{",
        "{%",
        "}}",
        "{0}",
        "{0.__class__}",
        "{name.__class__.__mro__}",
        "{run_id!r:>99999999}",
        "{date",
        "%s%s%n",
        "%d",
        "%",
        "${jndi:ldap://x/a}",
        "#{7*7}",
        "<%= 7*7 %>",
        "$(id)",
        "`id`",
        "; id",
        "| id",
        "&& id",
    ],
    "terminals": [
        "[bold red]x[/]",
        "[/]",
        "[link=https://example.com]x[/link]",
        ":boom:",
        "\x1b[31mred\x1b[0m",
        "\x1b[2J\x1b[H",
        "\x1b]0;title\x07",
        "\x1b]8;;https://example.com\x1b\\x\x1b]8;;\x1b\\",
        "\x1b[1A\x1b[2Kgone",
        "\x9b31m",
        "\x1bc",
        "a\rb",
        "a\bb",
        "\x07",
        "\x7f",
        "\x0e",
    ],
    "lines": [
        "\n",
        "a\nb",
        "iris\n",
        "\niris",
        "iris\r\n",
        "x\n[2026-01-01] INFO - iris@9 is production now",
        "a\u2028b",
        "a\u2029b",
        "a\x85b",
        "a\x0bb",
        "a\x0cb",
        "a\tb",
    ],
    "NUL and surrogates": [
        "\x00",
        "a\x00b",
        "iris\x00",
        "\x00iris",
        "a\x00.png",
        "\ud800",
        "\udcff",
        "a\udfffb",
        "\ud83d",
        "\udcff/../x",
    ],
    "look-alikes and forms": [
        "iris_cl\u0430ssifier",  # Cyrillic a
        "\u0456ris",
        "ir\u0131s",
        "\uff49\uff52\uff49\uff53",
        "\u2170ris",
        "iris\u2024joblib",
        "..\uff0fetc",
        "\u2025/x",
        "iris\u200b",
        "ir\u200dis",
        "\ufeffiris",
        "iris\u00ad",
        "\u202esiri",
        "\u2066iris\u2069",
        "iris\u180e",
        "ir\u0307is",
        unicodedata.normalize("NFC", "caf\u00e9"),
        unicodedata.normalize("NFD", "caf\u00e9"),
        "\ufb01nal",
        "\u212bngstrom",
        "\u00c5ngstrom",
        "A\u030angstrom",
        "stra\u00dfe",
        "\u0130STANBUL",
        "pr\u043educti\u043en",
        "z" + "\u0300" * 90,
        "\U0001f600",
        "\U0001f468\u200d\U0001f469",
        "\ufffe",
        "\U0010ffff",
        "\ufffd",
        "\u3000iris",
        "iris\u00a0x",
    ],
    "numbers": [
        "0",
        "-1",
        "+1",
        "1",
        "01",
        "1.0",
        "1e400",
        "-0.0",
        "NaN",
        "Infinity",
        "-inf",
        "0x1",
        "1_000",
        " 1",
        "1 ",
        "\u00b2",
        "\u0661",
        "\uff11",
        "\u2460",
        "\u0e52",
        "9" * 18,
        "9" * 19,
        "9" * 99,
        "9" * 5000,
        "1.10",
        "007",
    ],
    "words": [
        "latest",
        "none",
        "archived",
        "triggering",
        "production",
        "staging",
        "Latest",
        "LATEST ",
        "None",
        "Production",
        "prodction",
        "productoin",
        "stagging",
        "null",
        "true",
        "undefined",
        "__proto__",
        "__class__",
        "constructor",
    ],
    "spaces and signs": [
        "",
        " ",
        "iris ",
        " iris",
        "iris.",
        ".iris",
        "-iris",
        "_iris",
        "iris  x",
        "a,b",
        "a:b",
        "a@1",
        "a[production]",
        "a=b",
        "a#b",
        "a|b",
        "a*",
        "a?b",
    ],
    "JSON": [
        "{}",
        "[]",
        "null",
        '{"__artifact__": "x@1"}',
        '{"__model_reference__": "x"}',
        '{"__type__": "set", "value": []}',
        '"',
        "\\u0000",
        "\\ud800",
    ],
    "addresses": [
        "sqlite:////etc/passwd",
        "mysql://user:hunter2@192.0.2.1/x",
        "s3://key:hunter2@bucket/x",
        "http://169.254.169.254/latest/meta-data",
        "memory://x",
        "data:text/plain,x",
        "simplecache::file:///etc/passwd",
    ],
    "long": [
        "x" * 100,
        "x" * 101,
        "x" * 251,
        "\u00e9" * 250,
        "\U0001f600" * 250,
        "x" * 2705,
        "x" * 70_000,
        _ODD_HANZI,
    ],
}
_ALL = [*_PATHS, *(text for texts in _TEXTS.values() for text in texts)]
#: Everything that is short enough to be tried everywhere.
TEXTS = list(dict.fromkeys(_ALL))
#: One of each kind, which go everywhere in the ordinary form too.
CHOSEN = [
    *(
        "../../../../etc/passwd",
        "'; DROP TABLE mr_model; --",
        "<script>alert(1)</script>",
        "{{ 7*7 }}",
        "%s%s%n",
    ),
    *(
        "[bold red]x[/]",
        "\x1b[2J\x1b[H",
        "a\nb",
        "a\x00b",
        "\ud800",
        "\u202esiri",
        "cafe\u0301",
        "iris ",
        "\u00b2",
        "",
    ),
]
#: Ten megabytes, also of a text that a terminal would obey and that its escapes make longer still.
HUGE_TEXTS = ["x" * HUGE, "\x1b[31m" * (HUGE // 5), "{{ x }}" * (HUGE // 7)]


class BadRepr:
    """Its ``repr`` would clear a terminal."""

    def __repr__(self) -> str:
        return "\x1b[2J\n"


class NoRepr:
    """Its ``repr`` fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def nested(levels: int) -> list[Any]:
    """A list in a list in a list."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def cyclic() -> list[Any]:
    """A list that holds itself."""
    found: list[Any] = []
    found.append({"again": found})
    return found


#: What is no text, given where a text is wanted.
VALUES: dict[str, Any] = {
    "True": True,
    "False": False,
    "zero": 0,
    "minus one": -1,
    "a large number": 10**30,
    "a number of 5,001 digits": 10**5000,
    "a float": 1.5,
    "NaN": float("nan"),
    "bytes": b"iris",
    "a tuple": ("iris",),
    "a list": ["iris"],
    "an empty list": [],
    "a dict": {"iris": 1},
    "a set": {"iris"},
    "an object": object(),
    "a class": int,
    "a function": len,
    "a bad repr": BadRepr(),
    "no repr": NoRepr(),
    "100,000 levels": nested(100_000),
    "itself": cyclic(),
}

#: What JSON can hold, and what it can't: refused, or the same comes back.
JSON_VALUES: dict[str, Any] = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "1e400": 1e400,
    "minus zero": -0.0,
    "the smallest": 5e-324,
    "a large number": 10**4000,
    "a number of 5,001 digits": 10**5000,
    "a bool": True,
    "nothing": None,
    "99 levels": nested(98),
    "100 levels": nested(100),
    "400 levels": nested(400),
    "100,000 levels": nested(100_000),
    "itself": cyclic(),
    "keys that are numbers": {1: 2},
    "keys of both kinds": {"1": 1, 1: 2},
    "keys that are hostile": {"\x00": 1, "": 2, "\ud800": 3, "$where": 4, "__proto__": 5},
    "bytes": b"x",
    "a set": {1},
    "an object": object(),
    "a class": int,
    "a generator": (item for item in ()),
    "a bad repr": BadRepr(),
    "no repr": NoRepr(),
    "many keys": {str(number): number for number in range(10_000)},
    "10 MB": "x" * HUGE,
    "10 MB to escape": "\x00" * (HUGE // 6),
}
#: Those that metadata keeps.
KEPT = frozenset(
    (
        *(
            "NaN",
            "infinity",
            "minus infinity",
            "1e400",
            "minus zero",
            "the smallest",
            "a large number",
            "a bool",
        ),
        *("nothing", "99 levels", "keys that are hostile", "many keys"),
    )
)
