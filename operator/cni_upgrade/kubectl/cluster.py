"""The person's own cluster: raw JSON by the `kubernetes` library, as their kubeconfig says."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from pydantic_core import from_json
from urllib3.exceptions import HTTPError

from cni_upgrade.api import names
from cni_upgrade.kube.interface import KubeError
from cni_upgrade.kube.request import path_of
from cni_upgrade.kube.resources import PODS, Resource
from cni_upgrade.kubectl.errors import NotFoundError, OwnedError, PluginError, StaleError

Object = dict[str, Any]

JSON: Final = "application/json"
_APPLY: Final = "application/apply-patch+yaml"
_TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"
_METADATA: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_PAGE: Final = "1000"
_TIMEOUT: Final = 60  # seconds for one answer
_MISSHAPEN = (AttributeError, LookupError, TypeError, ValueError)
"""What the kubernetes client raises, by accident, of YAML that is no kubeconfig."""


class Cluster:
    """One API server, by one context of a kubeconfig. Every method raises PluginError."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    @classmethod
    def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> Cluster:
        """By the kubeconfig that kubectl would take; its current context unless one is named."""
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        configuration = client.Configuration()
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                kubeconfig, context, client_configuration=configuration
            )
            api = client.ApiClient(configuration)
        except (ConfigException, yaml.YAMLError, OSError, *_MISSHAPEN) as error:
            text = " ".join(str(error).split()).rstrip(".")
            raise PluginError(
                f"kubeconfig: {text}. Set KUBECONFIG, or give --kubeconfig and --context."
            ) from error
        api.user_agent = "kubectl-cni_upgrade"
        return cls(api)

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """One object; NotFoundError where it is not there."""
        return self._json("GET", _path(resource, namespace, name))

    def all(self, resource: Resource, namespace: str | None = None, **query: str) -> list[Object]:
        """All objects, whole."""
        return self._pages(_path(resource, namespace), JSON, "items", query)

    def metadata(self, resource: Resource) -> list[Object]:
        """All objects of a kind, with their metadata alone."""
        return self._pages(_path(resource), _METADATA, "items", {})

    def raw(self, path: str, body: Object | None = None) -> Object:
        """What a path answers: to a question where a body is given."""
        return self._json("GET" if body is None else "POST", path, body=body)

    def apply(
        self, resource: Resource, name: str, body: Object, manager: str, *, force: bool = False
    ) -> Object:
        """Server-side apply; OwnedError where another manager owns what is changed."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        path = _path(resource, None, name)
        return self._json("PATCH", path, query, body=body, content=_APPLY)

    def log(self, namespace: str, pod: str) -> str:
        """What a pod of one container has printed."""
        path = f"{_path(PODS, namespace, pod)}/log"
        return self._send("GET", path, accept="*/*").decode(errors="replace")

    def table(self, resource: Resource) -> list[dict[str, Any]]:
        """All objects of a kind as `kubectl get -o wide` has them: cells by their column's name."""
        columns: list[str] = []
        rows = self._pages(
            _path(resource), _TABLE, "rows", {"includeObject": "None"}, columns=columns
        )
        return [dict(zip(columns, row["cells"], strict=False)) for row in rows]

    def _pages(
        self,
        path: str,
        accept: str,
        member: str,
        query: Mapping[str, str],
        columns: list[str] | None = None,
    ) -> list[Object]:
        found: list[Object] = []
        more = {"limit": _PAGE, **query}
        while True:
            answer = self._json("GET", path, more, accept=accept)
            found += answer.get(member) or ()
            if columns is not None and not columns:
                columns += [each["name"] for each in answer.get("columnDefinitions") or ()]
            token = (answer.get("metadata") or {}).get("continue")
            if not token:
                return found
            more = {**more, "continue": token}

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: object = None,
        accept: str = JSON,
        content: str = JSON,
    ) -> Object:
        data = self._send(method, path, query, body=body, accept=accept, content=content)
        try:
            answer = from_json(data)
        except ValueError as error:
            raise PluginError(f"{path}: the API server's answer is no JSON: {error}") from error
        if not isinstance(answer, dict):
            raise PluginError(f"{path}: the API server's answer is no JSON object")
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: object = None,
        accept: str = JSON,
        content: str = JSON,
    ) -> bytes:
        url = path + (f"?{urlencode(query)}" if query else "")
        request = self._api.param_serialize(
            method,
            url,
            header_params={"Accept": accept, "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._api.call_api(*request, _request_timeout=_TIMEOUT)
            data: bytes = response.read()  # type: ignore[no-untyped-call]
        except (ApiException, HTTPError, OSError) as error:
            host = self._api.configuration.host
            raise PluginError(
                f"{host} does not answer: {_cause(error)}. Try `kubectl cluster-info`."
            ) from error
        if 200 <= response.status < 300:
            return data
        raise _refused(path, response.status, data)


def _path(resource: Resource, namespace: str | None = None, name: str | None = None) -> str:
    try:
        return path_of(resource, namespace, name)
    except KubeError as error:
        raise PluginError(str(error)) from error


def _cause(error: BaseException) -> str:
    """The words of what went wrong, without the layers that were in between."""
    inner = getattr(error, "reason", None)
    return " ".join(str(inner or error).split())


def _refused(path: str, status: int, data: bytes) -> PluginError:
    """What the API server said, and what to do about it."""
    try:
        said = from_json(data)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    text = str(said.get("message") or "")
    if status == 404 and (not text or "could not find the requested resource" in text):
        text = (
            f"the cluster does not serve {names.API_VERSION} {path.rpartition('/')[2]}. "
            "Install the operator, or name another --context"
            if names.GROUP in path
            else f"{path} is not there"
        )
    text = text or f"HTTP {status} for {path}"
    if status == 404:
        return NotFoundError(text)
    if status == 409:
        causes = (said.get("details") or {}).get("causes") or ()
        owned = any(each.get("reason") == "FieldManagerConflict" for each in causes)
        return OwnedError(f"{text}. Add --force to override it.") if owned else StaleError(text)
    if status == 401:
        return PluginError(f"{text}. Log in again: the credentials of the kubeconfig do not hold.")
    return PluginError(text)
