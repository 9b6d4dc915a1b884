"""The operator's own configuration: a file, which the kubelet brings up to date while we run."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import yaml

from cni_upgrade.planner.world.operator_config import ConfigError, OperatorConfig, parse

log = logging.getLogger(__name__)

CONFIG = Path("/etc/cni-upgrade-operator/config.yaml")
AGAIN = 5.0  # seconds between two looks at the file


def read(path: Path) -> OperatorConfig:
    """What the file says. Raises ConfigError that names the file or the fields."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"operator configuration {path}: {error.strerror}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"operator configuration {path}: not YAML: {text}") from error
    return parse(document)


async def changed(path: Path, ours: OperatorConfig) -> None:
    """Until the file says something else. What is wrong with it is logged and changes nothing: a
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
