"""Who may use the dashboard: whoever has the URL that it printed, and no web page of others.

optuna-dashboard asks nobody who they are and lets everybody delete studies. On a login node every
user reaches its port, and a web page can, too, once its name resolves to this machine.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

__all__ = ["Guard"]

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_TOKEN = "token"
_READING = ("GET", "HEAD", "OPTIONS")


class Guard:
    """A WSGI application that passes on the requests of whoever knows the token.

    The token arrives in the URL once, and then as a cookie that no script can read and no other
    site can send.

    Args:
        application: What it guards.
        host: Address at which it is served.
        port: Its port.
        token: The secret.
    """

    def __init__(self, application: Application, host: str, port: int, token: str) -> None:
        self._application = application
        self._hosts = {f"{name}:{port}" for name in (host, "localhost")}
        if port == 80:  # which browsers leave out
            self._hosts |= {host, "localhost"}
        self._address = f"{host}:{port}"
        self._token = token
        self._cookie = f"sweep_dashboard_{port}"  # browsers send cookies to all ports of a host

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return f"http://{self._address}/dashboard/?{_TOKEN}={self._token}"

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        if not self._is_own(environ):
            text = f"this dashboard answers at {self._address} only; ssh -L needs the same port"
            return _refuse(start_response, text)
        query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        if any(key == _TOKEN and self._is_right(value) for key, value in query):
            rest = urlencode([(key, value) for key, value in query if key != _TOKEN])
            path = "/" + quote(environ.get("PATH_INFO", "")).lstrip("/")
            headers = [
                ("Location", f"{path}?{rest}" if rest else path),
                (
                    "Set-Cookie",
                    f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Lax",
                ),
                ("Referrer-Policy", "no-referrer"),
            ]
            start_response("303 See Other", headers)
            return []
        if not self._is_right(_cookie(environ, self._cookie)):
            return _refuse(start_response, "open the URL that loss-sweep dashboard printed")
        return self._application(environ, start_response)

    def _is_own(self, environ: Environ) -> bool:
        """Whether a request calls this server by its name and, to change things, comes from it."""
        if environ.get("HTTP_HOST", "").lower() not in self._hosts:
            return False
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or environ.get("REQUEST_METHOD") in _READING:
            return True
        return origin.lower() in {f"http://{host}" for host in self._hosts}

    def _is_right(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())


def _cookie(environ: Environ, name: str) -> str:
    try:
        cookies = SimpleCookie(environ.get("HTTP_COOKIE", ""))
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""


def _refuse(start_response: Callable[..., Any], text: str) -> list[bytes]:
    start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode() + b"\n"]
