"""A hand-written dag for the other direction: a Braze segment into BlueConic, the operators alone.

The middle of the pipeline is that of ``braze_blueconic_operators.py``; ``direction="import"`` and the two ends differ.
"""

from airflow.sdk import DAG, Param

from airflow_provider_braze_blueconic.operators.braze_segment_to_s3 import BrazeSegmentToS3Operator
from airflow_provider_braze_blueconic.operators.clean_up import CleanUpOperator
from airflow_provider_braze_blueconic.operators.commit_ledger import CommitLedgerOperator
from airflow_provider_braze_blueconic.operators.compute_delta import ComputeDeltaOperator
from airflow_provider_braze_blueconic.operators.guard import GuardOperator
from airflow_provider_braze_blueconic.operators.map_fields import MapFieldsOperator
from airflow_provider_braze_blueconic.operators.s3_to_blueconic_profiles import S3ToBlueConicProfilesOperator
from airflow_provider_braze_blueconic.operators.sync_report import SyncReportOperator

# The state of this sync lies in <staging>/<goal id>/: no two DAGs may share it.
goal = {"goal_id": "stores_by_hand", "staging": "s3://sandbox-sync/braze-blueconic"}

# Rows as in a goal file.
identifiers = [{"braze": "external_id", "blueconic": "crm_id"}]
fields = [
    {"from": "custom_attributes.favourite_store", "to": "braze_favourite_store", "merge": "set"},
    {"from": "total_revenue", "to": "braze_revenue", "merge": "sum", "of": "increase"},
]
limits = {"requests_per_second": 5, "rejected_percent": 1}

with DAG(
    dag_id="braze_blueconic_import_by_hand",
    description="The same pipeline as an import goal's, task by task.",
    schedule=None,
    catchup=False,
    max_active_runs=1,  # two deltas of one ledger at once would each miss what the other sends
    default_args={"retries": 2},
    params={"dry_run": Param(False, type="boolean", title="Dry run", description="Plan only; send nothing.")},
    tags=["braze-blueconic", "by hand"],
):
    # Waits without a worker while Braze exports. Names are checked on both sides before Braze is asked.
    extract = BrazeSegmentToS3Operator(
        task_id="extract",
        segment="BlueConic Test Users",
        export="s3://sandbox-braze-exports",
        sources=["external_id", "custom_attributes.favourite_store", "total_revenue"],
        targets={"braze_favourite_store": "fields[0].to", "braze_revenue": "fields[1].to"},
        unique={"crm_id": "identifiers[0].blueconic"},
        blueconic_conn_id="blueconic_default",
        poll_seconds=1,  # the sandbox is quick: for Braze leave these two out
        quiet_seconds=4,
        **goal,
    )
    map_fields = MapFieldsOperator(
        task_id="map_fields",
        snapshot=extract.output,
        direction="import",
        identifiers=identifiers,
        fields=fields,
        partitions=2,
        **goal,
    )
    compute_delta = ComputeDeltaOperator(
        task_id="compute_delta",
        mapped=map_fields.output,
        direction="import",
        identifiers=identifiers,
        fields=fields,
        **goal,
    )
    guard = GuardOperator(
        task_id="guard",
        delta=compute_delta.output,
        target="blueconic",
        limits=limits,
        plan_only="{{ params.dry_run }}",
        **goal,
    )
    # A sum is never sent twice: what was tried and not answered is held and reported.
    upload = S3ToBlueConicProfilesOperator.partial(
        task_id="upload",
        delta=compute_delta.output,
        new_properties=map_fields.output["new_properties"],  # none here: they come with remaining_fields
        links=["crm_id"],
        limits=limits,
        **goal,
    ).expand(partition=guard.output)
    commit = CommitLedgerOperator(
        task_id="commit",
        delta=compute_delta.output,
        partitions=guard.output,
        plan_only="{{ params.dry_run }}",
        trigger_rule="all_done",
        **goal,
    )
    # Files of earlier runs go when they are old; the snapshots with which past dates can be run again go last.
    clean_up = CleanUpOperator(
        task_id="clean_up",
        retention={"work_days": 7, "snapshot_days": 30},
        trigger_rule="all_done",
        retries=0,  # what this leaves, the next run removes
        **goal,
    )
    report = SyncReportOperator(
        task_id="report",
        snapshot=extract.output,
        mapped=map_fields.output,
        delta=compute_delta.output,
        partitions=guard.output,
        uploads=upload.output,
        commit=commit.output,
        # Why the extract was skipped: of a past date there may be nothing to run again.
        skipped="{{ ti.xcom_pull(task_ids='extract', key='skipped') or '' }}",
        plan_only="{{ params.dry_run }}",
        limits=limits,
        trigger_rule="all_done",
        retries=0,  # it fails where the run did not do all it should: trying the report again changes nothing
        **goal,
    )
    upload >> commit >> clean_up >> report
