"""The JSON schema of every document that `-o json` and `-o yaml` show.

The enumerations are taken from the code, the rest is written here as what a reader may rely on:
members are only ever added, so a reader must pass over those that it does not know. The tests hold
the documents of every verb against it, and every member that they have must be described here.
"""

from enum import StrEnum
from typing import Any

from cni_upgrade.agent.protocol.contract import SCHEMA, Kind
from cni_upgrade.agent.protocol.report import Source
from cni_upgrade.agent.protocol.result import Outcome
from cni_upgrade.cni.findings import Severity
from cni_upgrade.cni.judgement import Action, Verdict

Schema = dict[str, Any]


class Failure(StrEnum):
    """Why there is no answer: the code of a document that holds an error alone."""

    USAGE = "UsageError"
    CANNOT = "CannotAnswer"
    INTERNAL = "InternalError"


def document() -> Schema:
    """The whole schema (JSON Schema 2020-12)."""
    verbs = ("Result", "Configs", "Plan", "Plans", "Diffs", "Backups", "Failure")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What cni-upgrade prints with -o json or -o yaml",
        "description": "Result: audit, apply and restore of a machine, and what an agent reports. "
        "Configs: audit of FILEs. Plan, Plans: plan of a machine, of FILEs. Diffs: diff. "
        "Backups: backups. Failure: any of them, where it ends with 2 and has nothing else to "
        "tell. Members may be added; a reader must pass over those it does not know.",
        "oneOf": [{"$ref": f"#/$defs/{verb}"} for verb in verbs],
        "$defs": {**_verbs(), **_parts()},
    }


def _verbs() -> dict[str, Schema]:
    return {
        "Result": _may_have(
            _object(
                "How an operation on one machine ended (docs/reference/agent-protocol.md).",
                schema=_VERSION,
                id=_text("<kind>-<20 hex digits>; empty where the operation could not be read."),
                kind=_one_of(Kind, "What was asked for."),
                node=_text("The machine's name."),
                outcome=_one_of(Outcome, "Done; Refused: nothing was touched; Failed: see error."),
                error=_or_null("Error"),
                report=_or_null("Report"),
                changes=_list("Change", "The files that were written."),
                backup=_text(
                    "The backup that was made (apply) or asked for (restore).", nullable=True
                ),
                truncated=_flag("Whether parts were left out to fit a termination message."),
            ),
            replacedBy={
                "type": "object",
                "description": "Of a restore whose backup is gone: by file, the backup that was "
                "used in its place.",
                "additionalProperties": {"type": "string"},
            },
        ),
        "Configs": _object(
            "What was made of config files that are on no machine.",
            schema=_VERSION,
            configs=_array(
                "Each judged by itself.",
                _object(
                    "One file.",
                    path=_text("As it was named; - is standard input."),
                    report=_ref("Report"),
                ),
            ),
        ),
        "Plan": _object("What is to be written on a machine.", schema=_VERSION, **_PLAN),
        "Plans": _object(
            "What is to be written of each file that was named.",
            schema=_VERSION,
            configs=_array(
                "Each judged by itself.",
                _object("One file.", path=_text("As it was named; - is standard input."), **_PLAN),
            ),
        ),
        "Diffs": _object(
            "What an apply would change.",
            schema=_VERSION,
            needsDrain=_NEEDS_DRAIN,
            diffs={
                "type": "object",
                "description": "A unified diff for each file, by its name, or by the path that "
                "was given.",
                "additionalProperties": {"type": "string"},
            },
        ),
        "Backups": _object(
            "The backups of a machine.",
            schema=_VERSION,
            folder=_text("Where they are."),
            backups=_list("Backup", "Those whose manifest can be read, the newest last."),
            damaged=_list("Damaged", "Those that cannot be given back as they are."),
        ),
        "Failure": _object(
            "That a verb has no answer. The exit code is 2.",
            schema=_VERSION,
            error=_object(
                "Why.",
                code=_one_of(
                    Failure,
                    "UsageError: words that are not understood. CannotAnswer: what was asked for "
                    "is not there, may not be read, or makes no sense. InternalError: a fault of "
                    "cni-upgrade itself.",
                ),
                message=_text("What standard error says."),
            ),
        ),
    }


def _parts() -> dict[str, Schema]:
    return {
        "Error": _object(
            "Why an operation was refused or failed.",
            code=_text("One word; `cni-upgrade explain` lists them."),
            message=_text("The file, what was expected, what to do."),
        ),
        "Change": _object(
            "One file that was written.",
            **{
                "name": _text("Its name in the config folder."),
                "from": _text("The version that it had; null: it was missing.", nullable=True),
                "to": _text("The version that it has; null: it is missing.", nullable=True),
                "before": _text("sha256 of the bytes before; null: a new file.", nullable=True),
                "after": _text("sha256 of the bytes now; null: it was removed.", nullable=True),
                "diff": _text("A unified diff."),
            },
        ),
        "Backup": _may_have(
            _object(
                "One backup, as its manifest.json describes it.",
                schema={
                    "enum": [1, 2],
                    "description": "2: the id proves the manifest. 1: of a release before.",
                },
                id=_text("What `cni-upgrade restore` takes."),
                operation=_text("The operation that made it."),
                folder=_text("The config folder that it is of."),
                createdNs=_whole("Nanoseconds since 1970."),
                files=_list("SavedFile", "The files in it."),
            ),
            policy=_text("UID of the policy for which it was made, where there was one."),
        ),
        "Damaged": _object(
            "A backup of which something is not as it was made.",
            id=_text("Its name in the folder."),
            why=_text("What is wrong with it."),
        ),
        "SavedFile": _may_have(
            _object(
                "One file in a backup.",
                name=_text("Its name."),
                sha256=_text("Of the copy, in hex."),
                after=_text("sha256 of what was written in its place."),
                to=_text("The version that was written."),
                mode=_text("Permission bits, in octal."),
                uid=_whole("Its owner."),
                gid=_whole("Its group."),
                atimeNs=_whole("Last access, nanoseconds since 1970."),
                mtimeNs=_whole("Last change, nanoseconds since 1970."),
                xattrs={
                    "type": "object",
                    "description": "Extended attributes, in base64.",
                    "additionalProperties": {"type": "string"},
                },
            ),
            becomes=_text("The list that took its place, where one did."),
            flags=_text("Inode flags, by lsattr's letters, where some were set."),
        ),
        "Report": _may_have(
            _object(
                "One node, or one config file, as it was found.",
                runtime=_ref("Runtime"),
                paths=_ref("Paths"),
                files=_list("File", "The config files, in the order in which libcni loads them."),
                plugins=_list("Plugin", "The binaries of the chains, and the loopback."),
                sandboxes={
                    "type": "object",
                    "description": "Pods in the results cache, by the version of their ADD.",
                    "additionalProperties": {"type": "integer"},
                },
                baseline=_ref("Baseline"),
                after=_ref("After"),
                verdict=_one_of(Verdict, "What is to be done with the node."),
                findings=_list("Finding", "Faults first."),
                readiness=_list("Readiness", "One for each runtime that was asked about."),
            ),
            standing=_ref("Standing"),
            pods={
                "type": "object",
                "description": "Names of the first twenty of them, by the version of their ADD, "
                "where the results cache has names.",
                "additionalProperties": {"type": "array", "items": {"type": "string"}},
            },
        ),
        "Standing": _object(
            "What the policy that wrote last has changed and nobody has given back; an agent's "
            "audit has it, where there is something.",
            policy=_text("Its UID; null: the newest backup cannot be read.", nullable=True),
            files=_list("StandingFile", "Files that are not as they were before it."),
        ),
        "StandingFile": _object(
            "One of them.",
            **{
                "name": _text("Its name in the config folder."),
                "backup": _text("The backup that holds it as it was before the policy."),
                "from": _text("The version that it had then; null: it was missing.", nullable=True),
                "to": _text("The version that was written last; null: none.", nullable=True),
                "sha256": _text("Of what was written last; empty where a list took its place."),
                "newest": _text("The backup that was made for that."),
            },
        ),
        "Runtime": _object(
            "The runtime, as the node's status names it.",
            name=_text("containerd, cri-o; empty when it was not named."),
            version=_text("Its version."),
            libcni=_text("The libcni that it carries; null when unknown.", nullable=True),
            max=_text("The highest CNI version that it reads; null when unknown.", nullable=True),
        ),
        "Paths": _may_have(
            _object(
                "The folders that were looked at.",
                confDir=_text("Of the configs; null when there is none.", nullable=True),
                binDirs=_texts("Of the plugins."),
                cacheDir=_text("Of the results cache; null when there is none.", nullable=True),
                source=_text("How they are known."),
            ),
            maxConfNum=_whole("How many files containerd loads, where its config says so."),
            defaultNetwork=_text("The network that CRI-O takes by name, where its config says so."),
            confTemplate=_text("The template of containerd, where its config names one."),
            delegateDirs=_texts("Of the plugins that multus runs from a folder of its own."),
            internalLoopback=_flag(
                "True where containerd's config has it need no loopback plugin."
            ),
        ),
        "File": _may_have(_object("One config file.", **_FILE), **_SOMETIMES),
        "Plugin": _object(
            "One plugin binary.",
            type=_text("Its name."),
            supported=_texts("The versions that it said it supports; empty when it did not say."),
            max=_text("The highest of them, or an upper bound (buildinfo).", nullable=True),
            source=_one_of(Source, "How that is known."),
        ),
        "Baseline": _may_have(
            _object(
                "What works today on the next creation and deletion of a pod; null: not known.",
                **{
                    "add": _flag("Creating a pod works.", nullable=True),
                    "del": _flag("Deleting a pod works.", nullable=True),
                    "addWhy": _text("Why it does not.", nullable=True),
                    "delWhy": _text("Why it does not.", nullable=True),
                },
            ),
            delLeaks=_LEAKS,
        ),
        "After": _may_have(
            _object(
                "What will work once the files carry `to`; null: not known.",
                **{
                    "add": _flag("Creating a pod will work.", nullable=True),
                    "del": _flag("Deleting a pod that is created then will work.", nullable=True),
                    "existingDel": _flag("Deleting the pods of today will work.", nullable=True),
                    "needsDrain": _flag("The pods of today must go first."),
                    "why": _text("What will not, and why.", nullable=True),
                },
            ),
            delLeaks=_LEAKS,
        ),
        "Finding": _object(
            "One thing that a person should know.",
            code=_text("One word; `cni-upgrade explain` lists them."),
            severity=_one_of(Severity, "How much it matters."),
            component=_text("The file, the plugin, the folder or the runtime."),
            message=_text("What is so."),
            action=_text("What to do."),
        ),
        "Readiness": _may_have(
            _object(
                "Whether pods would come and go under another runtime, the files being as they "
                "are.",
                runtime=_text("As it was asked about, e.g. containerd>=2.0."),
                ready=_flag("null when it is not known.", nullable=True),
                why=_text("Which releases would fail, and why; or why it is not known."),
            ),
            otherFolders=_text("Which releases would read other folders, or may."),
        ),
    }


def _object(description: str, **members: Schema) -> Schema:
    """All of them are always there."""
    return {
        "type": "object",
        "description": description,
        "required": list(members),
        "properties": members,
    }


def _may_have(schema: Schema, **members: Schema) -> Schema:
    """The object, with members that are left out where there is nothing to say."""
    return {**schema, "properties": {**schema["properties"], **members}}


def _array(description: str, items: Schema) -> Schema:
    return {"type": "array", "description": description, "items": items}


def _list(part: str, description: str) -> Schema:
    return _array(description, _ref(part))


def _texts(description: str) -> Schema:
    return _array(description, {"type": "string"})


def _text(description: str, *, nullable: bool = False) -> Schema:
    return {"type": ["string", "null"] if nullable else "string", "description": description}


def _flag(description: str, *, nullable: bool = False) -> Schema:
    return {"type": ["boolean", "null"] if nullable else "boolean", "description": description}


def _whole(description: str) -> Schema:
    return {"type": "integer", "description": description}


def _one_of(words: type[StrEnum], description: str) -> Schema:
    return {"enum": [str(word) for word in words], "description": description}


def _ref(part: str) -> Schema:
    return {"$ref": f"#/$defs/{part}"}


def _or_null(part: str) -> Schema:
    return {"anyOf": [{"type": "null"}, _ref(part)]}


_VERSION: Schema = {"const": SCHEMA, "description": "Raised only when an old reader would err."}

_FILE: dict[str, Schema] = {
    "name": _text("Its name."),
    "sha256": _text("Of the bytes that were read, in hex."),
    "kind": {"enum": ["conf", "conflist", "other"], "description": "What its name makes of it."},
    "network": _text("The network's name; null when it has none.", nullable=True),
    "version": _text("The effective cniVersion; null: it is missing.", nullable=True),
    "active": _flag("Whether the runtime reads it."),
    "plugins": _texts("Every binary of the chain, IPAM and delegates included."),
    "to": _text("The version to reach; null: none can be written.", nullable=True),
    "action": _one_of(Action, "What is to be done with it."),
    "why": _text("Why."),
    "managedBy": _text("The program that writes it, where that is known.", nullable=True),
}

_LEAKS: Schema = _flag("Whether the pod's address stays taken, where a deletion fails.")

_SOMETIMES: dict[str, Schema] = {
    "becomes": _text("The list that is to take its place, where one is asked for and safe."),
    "owner": _text("Owner and group, as numbers."),
    "modified": _text("When its content was last changed, RFC 3339 in UTC."),
}

_NEEDS_DRAIN: Schema = _flag("Whether an apply refuses until the pods that run now are gone.")

_PLAN: dict[str, Schema] = {
    "verdict": _one_of(Verdict, "What is to be done."),
    "needsDrain": _NEEDS_DRAIN,
    "files": _array(
        "The config files.",
        _may_have(
            _object(
                "One config file and the change of it.",
                **_FILE,
                patch=_array(
                    "RFC 6902 operations; empty when nothing is to be written. Their tests guard "
                    "what goes, numbers as the file spells them, which a reader that makes a "
                    "double of them does not see. The whole text is guarded by the file's sha256.",
                    _may_have(
                        _object(
                            "One operation.",
                            op={"enum": ["add", "move", "remove", "replace", "test"]},
                            path=_text("A JSON pointer."),
                        ),
                        **{
                            "value": {"description": "What is tested, added or put in place."},
                            "from": _text("Where what is moved stands, a JSON pointer."),
                        },
                    ),
                ),
            ),
            **_SOMETIMES,
        ),
    ),
    "findings": _list("Finding", "Faults first."),
}
