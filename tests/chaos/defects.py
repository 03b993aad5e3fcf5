"""How strong the models' search is: rules of the product are taken out, one at a time, and the search has to find it.

``python -m tests.chaos.defects`` prints a table; with words after it, of the defects whose names hold these words. Each
gets five minutes on every core, in a copy of the package, with the model of the goals that it concerns. The whole search
takes turns between all models.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

__all__ = ["DEFECTS", "Defect"]

_ROOT = Path(__file__).parents[2]
_PACKAGE = "airflow_provider_braze_blueconic"
_MINUTES = 5.0
_SEED = 7_000


@dataclass(frozen=True)
class Defect:
    """A rule that is taken out.

    :param name: what goes wrong then.
    :param model: the model of the goals that it concerns.
    :param file: below the package.
    :param old: a piece of its text, which is there once.
    :param new: what stands there instead.
    """

    name: str
    model: str
    file: str
    old: str
    new: str


DEFECTS: Sequence[Defect] = (
    # Who is the same person
    Defect(
        "who gets an identifier is a leaver under the old one",
        "LinkedExportModel",
        "sync/delta/identity.py",
        "if not records or plan.is_stale(ledger.newest_as_of()):",
        "if True:",
    ),
    Defect(
        "who is skipped is a leaver under another identifier",
        "LinkedExportModel",
        "sync/delta/identity.py",
        "SELECT identifier FROM listed WHERE identifier NOT IN (SELECT identifier FROM sent)\n",
        "SELECT identifier FROM listed WHERE sent_as IS NOT NULL AND identifier NOT IN (SELECT identifier FROM sent)\n",
    ),
    Defect(
        "another address that finds a profile puts nothing in doubt",
        "LinkedImportModel",
        "sync/delta/news.py",
        "ON m.identifier = l.identifier WHERE l.known_by <> m.matching\n",
        "ON m.identifier = l.identifier WHERE FALSE\n",
    ),
    Defect(
        "who was not found rests under another address too",
        "LinkedImportModel",
        "sync/delta/resting.py",
        'again += " AND d.identifier NOT IN (SELECT identifier FROM news)"',
        "pass",
    ),
    Defect(
        "a field that is an identifier goes to who is identified by it",
        "LinkedExportModel",
        "sync/plans/export_fields.py",
        "    withheld = withheld_from(field.to)\n",
        "    withheld = ()\n",
    ),
    Defect(
        "one of several profiles refused a number: it goes again",
        "ImportModel",
        "hooks/blueconic_api/judging.py",
        "if any(0 < refused[name] < len(taken) for name in self._entries.sums(position)):",
        "if False:",
    ),
    # Numbers that are added to
    Defect(
        "a replay adds an old increase again",
        "ImportModel",
        "sync/delta/looks.py",
        'changed += f" AND coalesce(m.as_of >= greatest(l.as_of, {moment}), TRUE)"',
        'changed += f" AND coalesce(m.as_of >= greatest(l.as_of, {moment}), TRUE)" if target not in plan.increases else ""',
    ),
    Defect(
        "a replay adds an old value again",
        "ImportModel",
        "sync/delta/looks.py",
        'changed += f" AND coalesce(m.as_of >= greatest(l.as_of, {moment}), TRUE)"',
        'changed += f" AND coalesce(m.as_of >= greatest(l.as_of, {moment}), TRUE)" if target in plan.increases else ""',
    ),
    Defect(
        "a whole profile takes an old counter level along",
        "ImportModel",
        "sync/delta/delta_rows.py",
        'return f"({any_change}) AND ({looks.differs[target]} OR m.{column} IS NOT DISTINCT FROM l.{column})"',
        "return any_change",
    ),
    Defect(
        "a number of an unchanged profile counts as added",
        "SumsModel",
        "hooks/blueconic_api/judging.py",
        'if result.get("state") != "UNCHANGED":',
        "if True:",
    ),
    Defect(
        "another counter takes over where the old one stood",
        "SumsModel",
        "sync/state/settings.py",
        "return {SOURCE + field_column(target): _number(source) for target, source in sources.items()}",
        "return {}",
    ),
    # Goals that are edited
    *(
        Defect(
            f"another {word} is no reason to read the whole segment",
            "ModifiedExportModel",
            "dag_factory/export_ends.py",
            f'"{word}",' + after,
            after.strip(),
        )
        for word, after in (
            ("connections", " "),
            ("objectives", ' "when_missing"'),
            ("when_missing", " "),
            ("allow_creation", "\n"),
        )
    ),
    Defect(
        "another segment is no reason to read the whole of it",
        "ModifiedExportModel",
        "operators/blueconic_segment_to_s3.py",
        '"segment": segment.id,\n',
        "\n",
    ),
    Defect(
        "another type of a property is no reason to read the whole segment",
        "ModifiedExportModel",
        "operators/blueconic_segment_to_s3.py",
        '"property types": types,\n',
        "\n",
    ),
    Defect(
        "who was accepted before people were created is not sent again",
        "ExportModel",
        "sync/state/settings.py",
        "return {} if creates is None else {CREATES: int(creates)}",
        "return {}",
    ),
    Defect(
        "whom a reconcile does not find is not sent again",
        "ExportModel",
        "sync/delta/absent.py",
        "SELECT m.identifier, {bool(plan.creates)} AND",
        "SELECT m.identifier, FALSE AND",
    ),
    Defect(
        "a read of changes does not meet who was released",
        "ModifiedExportModel",
        "sync/state/windows.py",
        "if released is not None and released >= began:",
        "if False:",
    ),
    Defect(
        "a dry run is committed",
        "ExportModel",
        "operators/commit_ledger.py",
        "if self.delta is None or self.partitions is None or is_true(self.plan_only):",
        "if self.delta is None or self.partitions is None:",
    ),
    Defect(
        "a run that the guard stopped is committed",
        "ExportModel",
        "operators/commit_ledger.py",
        "if self.delta is None or self.partitions is None or is_true(self.plan_only):",
        "if self.delta is None or is_true(self.plan_only):",
    ),
    Defect(
        "what leavers get beside the fields is only sent once, or never",
        "ExportModel",
        "sync/delta/leavers.py",
        "    if column in plan.columns:\n        # What a field holds is known",
        "    if True:\n        # What a field holds is known",
    ),
    Defect(
        "the report does not count who is unknown as rejected",
        "ExportModel",
        "operators/sync_report.py",
        'unknown=report["unknown"],\n            sent=',
        "unknown=0,\n            sent=",
    ),
    Defect(
        "the upload takes its share of what it has sent so far",
        "ExportModel",
        "sync/sending/upload.py",
        "sent=max(self._sent_by_run, tally.records),",
        "sent=tally.records,",
    ),
    # Reads that are not whole
    Defect(
        "a short read moves the window of changes",
        "ModifiedExportModel",
        "sync/state/runs.py",
        'whole = row.get("whole")\n',
        "whole = True\n",
    ),
    Defect(
        "changes alone are read after older data, or such by other settings, were sent",
        "ModifiedExportModel",
        "sync/steps/guard.py",
        'if delta["send_partitions"] and not dry_run:',
        "if False:",
    ),
    Defect(
        "a read of changes begins at a run that mapped by other settings than it read by",
        "ModifiedExportModel",
        "operators/compute_delta.py",
        "            decides=self.settings,\n",
        "",
    ),
    Defect(
        "who may only be missing is a leaver",
        "ExportModel",
        "sync/delta/leavers.py",
        "    if plan.missing:\n",
        "    if False:\n",
    ),
    Defect(
        "an empty index means that everybody left",
        "ExportModel",
        "sync/blueconic/snapshot.py",
        "for size in (self.announced, self.profile_count) if",
        "for size in (self.announced,) if",
    ),
    Defect(
        "a replay takes who joined since for leavers",
        "ExportModel",
        "sync/delta/leavers.py",
        "if floor is not None and plan.as_of < floor:\n        return 0",
        "if False:\n        return 0",
    ),
    Defect(
        "a field that vanishes is emptied for everybody",
        "ExportModel",
        "sync/steps/guard.py",
        "    broken += _broken_clears(counts, limits)\n",
        "",
    ),
    # Values, and what comes back of them
    Defect(
        "an echo replaces its original",
        "TwoWayModel",
        "sync/delta/echoes.py",
        'return f"({LOOKED} AND coalesce(s.{quote(echo_column(target))}, FALSE))"',
        'return "FALSE"',
    ),
    Defect(
        "a look hides that a field has another type now",
        "ModifiedExportModel",
        "sync/delta/looks.py",
        'f"AND NOT {_differs_in_form_sql(mapped, known)})"',
        '")"',
    ),
    Defect(
        "a row is delivered each night for a field that can't stand in it",
        "DeliveryModel",
        "sync/delta/resting.py",
        "OR coalesce(l.refused_as = 'fields' AND d.{DIFFERS_HASH} = l.refused_hash, FALSE))",
        ")",
    ),
    # What the search missed before
    Defect(
        "what a killed upload may have sent is not in doubt",
        "ExportModel",
        "sync/steps/commit.py",
        'return frozenset(map(int, unfinished(workspace.staging, delta["uri"])))',
        "return frozenset()",
    ),
    Defect(
        "another merge puts nothing in doubt",
        "ImportModel",
        "sync/state/settings.py",
        "return {MERGE + field_column(target): _MERGE_NUMBERS[merge] for target, merge in merges.items()}",
        "return {}",
    ),
    Defect(
        "an upload does not look for what others left uncommitted",
        "ExportModel",
        "sync/steps/upload.py",
        'recover_uploads(workspace, but=delta["delta_id"])\n            if is_overtaken',
        "if is_overtaken",
    ),
    Defect(
        "a delta does not look for what others left uncommitted",
        "ExportModel",
        "sync/steps/compute_delta.py",
        "    if recover_uploads(workspace):\n        ledger = open_ledger(workspace)\n",
        "",
    ),
)


def main(words: list[str]) -> int:
    """Play the defects whose names hold all words; tell how many were not found."""
    console = Console(highlight=False, width=150)
    table = Table(title="fix taken out → found", title_justify="left", box=SIMPLE_HEAD)
    for column in ("what goes wrong", "model", "found", "after examples", "steps", "seconds"):
        table.add_column(column, justify="left" if column in ("what goes wrong", "model", "found") else "right")
    missed = 0
    for defect in DEFECTS:
        if all(word in defect.name for word in words):
            found = _search(defect)
            missed += not found["by"]
            is_found = "yes" if found["by"] else "NO"
            row = [defect.name, defect.model, is_found, *(f"{found[key]:,}" for key in _COUNTED)]
            console.print(" | ".join(row))
            if found["by"]:
                console.print("    " + found["why"])
            table.add_row(*row)
    console.print(table)
    return missed


_COUNTED = ("examples", "steps", "seconds")


def _search(defect: Defect) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="braze-blueconic-defect-") as folder:
        copy = Path(folder)
        for name in (_PACKAGE, "tests"):
            shutil.copytree(_ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / _PACKAGE / defect.file
        text = file.read_text()
        assert text.count(defect.old) == 1, f"{defect.file} holds {text.count(defect.old)} times: {defect.old}"
        file.write_text(text.replace(defect.old, defect.new))
        ended = subprocess.run(
            [sys.executable, "-m", "tests.chaos.model_search", str(_SEED), str(_MINUTES), defect.model],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        lines = ended.stdout.splitlines()
        assert lines, ended.stderr[-2_000:]
        found: dict[str, object] = json.loads(lines[-1])
        return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
