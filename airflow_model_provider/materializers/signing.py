"""Signatures of files that can execute code: only what a holder of the key has saved is loaded (R39)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_model_provider.exceptions import NotSigned

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The attribute of an artifact that holds its signature.
ATTRIBUTE = "hmac"


class Signing(NamedTuple):
    """
    How files that can execute code are signed.

    :param keys: the first one signs, all are accepted; none means that nothing is signed.
    :param required: whether what bears no valid signature is refused, where there are keys.
    """

    keys: tuple[str, ...] = ()
    required: bool = True

    def __repr__(self) -> str:
        """Keys are secrets."""
        return f"Signing({len(self.keys)} keys, required={self.required})"

    def sign(self, digest: str, materializer: str, format_version: int) -> dict[str, str]:
        """Return the attributes that sign bytes as being of a format; none where there is no key."""
        if not self.keys:
            return {}
        return {ATTRIBUTE: _signature(self.keys[0], digest, materializer, format_version)}

    def check(
        self,
        what: str,
        digest: str,
        materializer: str,
        format_version: int,
        attributes: Mapping[str, Any],
    ) -> None:
        """
        Refuse bytes that no holder of a key has signed as being of this format.

        :param what: how the error calls them.
        :raises NotSigned: if that is required, and their signature is missing or of no known key.
        """
        if not self.keys or not self.required:
            return
        found = attributes.get(ATTRIBUTE)
        if not isinstance(found, str):
            raise NotSigned(what, "bears no signature")
        said = found.encode(errors="replace")  # only of ASCII does compare_digest take text
        good = [
            hmac.compare_digest(_signature(key, digest, materializer, format_version).encode(), said)
            for key in self.keys
        ]
        if not any(good):
            raise NotSigned(what, "bears a signature that none of the keys has made")


def _signature(key: str, digest: str, materializer: str, format_version: int) -> str:
    said = f"{materializer}\n{format_version}\nsha256:{digest}"
    return hmac.digest(key.encode(), said.encode(), "sha256").hex()
