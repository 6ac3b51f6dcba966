"""
The web server of the page.
"""

from __future__ import annotations

from socks6.quietsite import QuietRequest, QuietSite

#: What every answer says to browsers: load nothing but what is ours, be in nobody's
#: frame, guess no types, keep nothing, and give nothing to other sites.
HEADERS = {
    b"Content-Security-Policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
        b" img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"X-Frame-Options": b"DENY",
    b"X-Content-Type-Options": b"nosniff",
    b"Cache-Control": b"no-store",
    b"Referrer-Policy": b"no-referrer",
    b"Cross-Origin-Resource-Policy": b"same-origin",
}


class AdminRequest(QuietRequest):
    """
    A request, whose answer has these headers.
    """

    headers = HEADERS


class AdminSite(QuietSite):
    """
    The server.
    """

    request = AdminRequest
