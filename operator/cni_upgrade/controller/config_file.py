"""The operator's own configuration: files of a ConfigMap, brought up to date while we run."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import yaml

from cni_upgrade.planner.world.operator_config import ConfigError, OperatorConfig, parse

log = logging.getLogger(__name__)

CONFIG = Path("/etc/cni-upgrade-operator/config.yaml")
AGENT_IMAGE = "agentImage"
"""A key of its own, beside config.yaml: kustomize and Helm reach an image that is a whole value."""
AGAIN = 5.0  # seconds between two looks at the files


def read(path: Path) -> OperatorConfig:
    """What the file says, and the file `agentImage` beside it where there is one.

    Raises ConfigError that names the file or the fields.
    """
    written = _text(path)
    try:
        document = yaml.safe_load(written)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"operator configuration {path}: not YAML: {text}") from error
    beside = path.with_name(AGENT_IMAGE)
    if beside.exists() and isinstance(document, dict):
        if AGENT_IMAGE in document:
            raise ConfigError(
                f"operator configuration: {AGENT_IMAGE} stands in {path} and in {beside}: "
                f"expected one of them; take it out of {path.name}"
            )
        document[AGENT_IMAGE] = _text(beside).strip()
    return parse(document)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"operator configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"operator configuration {path}: not UTF-8 text: {error}") from error


async def changed(path: Path, ours: OperatorConfig) -> None:
    """Until the files say something else. What is wrong with it is logged and changes nothing: a
    process that began anew with that would not start."""
    said = ""
    while True:
        await asyncio.sleep(AGAIN)
        try:
            if read(path) != ours:
                return
            wrong = ""
        except ConfigError as error:
            wrong = str(error)
        if wrong and wrong != said:
            log.error("the configuration was changed, and the one before stays: %s", wrong)
        said = wrong
