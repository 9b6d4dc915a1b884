"""kopf's credentials, taken from the same place as our own connection's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import kopf
from kubernetes.aio import client


def login(api: client.ApiClient) -> Callable[..., Awaitable[kopf.ConnectionInfo]]:
    """A login handler that hands kopf what the kubernetes client was configured with."""

    async def handler(**_: object) -> kopf.ConnectionInfo:
        configuration = api.configuration
        refresh = configuration.refresh_api_key_hook
        if refresh is not None:
            # The token of a service account is renewed on disk about every hour.
            answer = refresh(configuration)
            if answer is not None:
                await answer
        scheme, _, token = configuration.api_key.get("BearerToken", "").partition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            scheme=scheme.capitalize() or None,
            token=token or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )

    return handler
