"""The upload to BlueConic's profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_braze_blueconic.exceptions import SyncError
from airflow_provider_braze_blueconic.operators.targets import BlueConicProfiles
from airflow_provider_braze_blueconic.operators.upload import UploadOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import SumWord
    from airflow_provider_braze_blueconic.sync.store.references import DeltaRef, UploadRef
    from airflow_provider_braze_blueconic.sync.store.workspace import Workspace

__all__ = ["S3ToBlueConicProfilesOperator"]


class S3ToBlueConicProfilesOperator(UploadOperator):
    """Writes one partition of a delta to BlueConic's profiles (``upload``), to be mapped over partitions.

    A retry reads the receipts of earlier attempts and sends only the rest. It never adds to a number twice: if it is
    unknown whether a number was added, the operator holds it back and reports it.

    :param delta: what ``ComputeDeltaOperator`` returned (templated).
    :param partition: number of the partition (templated).
    :param merges: property id → how its value meets what the profile holds; ``None`` for what ``ComputeDeltaOperator``
        wrote beside the delta.
    :param new_properties: profile properties to create before the first profile is written, if they are missing: id →
        ``name`` and ``filter_type`` (templated).
    :param links: properties that find a profile; created profiles get them.
    :param allow_creation: create profiles for people whom BlueConic doesn't know.
    :param legislation: privacy legislation zone of created profiles.
    :param objectives: ids of objectives; people who didn't consent to any of them are left alone.
    :param domain_group: where BlueConic looks for profiles and creates them; ``None`` for its default.
    :param trigger_on_change: let a changed property fire the triggers configured in BlueConic, such as webhooks.
    :param workers: number of tasks that run in parallel; each uses its share of the cap.
    :param limits: ``requests_per_second``, ``rejected_percent``, as in a goal file.
    :param blueconic_conn_id: connection of type ``blueconic``.
    :return: :class:`~airflow_provider_braze_blueconic.sync.store.references.UploadRef`.
    """

    template_fields: Sequence[str] = (*UploadOperator.template_fields, "new_properties")

    def __init__(
        self,
        *,
        merges: Mapping[str, str] | None = None,
        new_properties: Any = None,
        links: Sequence[str] = (),
        allow_creation: bool = False,
        legislation: str | None = None,
        objectives: Sequence[str] = (),
        domain_group: str | None = None,
        trigger_on_change: bool = False,
        blueconic_conn_id: str = "blueconic_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.merges = merges
        self.new_properties = new_properties
        self.links = links
        self.allow_creation = allow_creation
        self.legislation = legislation
        self.objectives = objectives
        self.domain_group = domain_group
        self.trigger_on_change = trigger_on_change
        self.blueconic_conn_id = blueconic_conn_id

    def run_step(self, workspace: Workspace, context: Context) -> UploadRef:  # noqa: ARG002
        """Create properties, send, and record which word for adding BlueConic accepts."""
        from airflow_provider_braze_blueconic.hooks.blueconic import BlueConicHook
        from airflow_provider_braze_blueconic.hooks.blueconic_api.profile_writes import PROFILES_IN_FLIGHT
        from airflow_provider_braze_blueconic.hooks.settings import Settings
        from airflow_provider_braze_blueconic.sync.blueconic.objects import (
            BODY_AFTER,
            BODY_BEFORE,
            BODY_SHOWN_KEYS,
            profiles_sql,
        )
        from airflow_provider_braze_blueconic.sync.sending.settings import UploadSettings

        hook = BlueConicHook(self.blueconic_conn_id)
        created = hook.create_missing_properties(self.new_properties or {})
        if created:
            self.log.info("%s: created in BlueConic: %s", self.goal_id, ", ".join(created))
        merges = self._merges(workspace)
        target, limits = BlueConicProfiles(), self.limits or {}
        in_flight = min(Settings.load().max_in_flight, max(1, PROFILES_IN_FLIGHT // self.workers))
        sums = self._recall_word(workspace) if "sum" in merges.values() else None
        try:
            return self.send_partition(
                workspace,
                objects_sql=lambda source, columns: profiles_sql(
                    source,
                    columns,
                    merges=merges,
                    creates=self.allow_creation,
                    links=self.links,
                    legislation=self.legislation,
                    domain_group=self.domain_group,
                    trigger_on_change=self.trigger_on_change,
                ),
                sender=hook.profiles_sender(objectives=self.objectives, max_in_flight=in_flight, sums=sums),
                rate=target.rate(limits.get("requests_per_second")),
                settings=UploadSettings(
                    limits=target.limits(),
                    before=BODY_BEFORE,
                    after=BODY_AFTER,
                    shown_keys=BODY_SHOWN_KEYS,
                    max_in_flight=in_flight,
                    rejected_percent=limits.get("rejected_percent"),
                ),
            )
        finally:
            if sums is not None:
                self._remember_word(workspace, sums)

    def _merges(self, workspace: Workspace) -> Mapping[str, str]:
        from airflow_provider_braze_blueconic.sync.steps.target_fields import read_fields

        if self.merges is not None:
            return self.merges
        rows = read_fields(workspace, cast("DeltaRef", self.delta)["uri"])
        return {row["target"]: row["merge"] for row in rows}

    def _recall_word(self, workspace: Workspace) -> SumWord:
        from airflow_provider_braze_blueconic.hooks.blueconic_api.sum_words import SumWord

        try:
            return SumWord(workspace.staging.read_bytes(workspace.folder.sum_word).decode(errors="replace"))
        except FileNotFoundError:
            return SumWord()

    def _remember_word(self, workspace: Workspace, sums: SumWord) -> None:
        # A word that is lost costs one refused request, so it is not worth failing for.
        if sums.was_learnt:
            with suppress(SyncError):
                workspace.staging.write_bytes(workspace.folder.sum_word, sums.word.encode())
