"""What a look at the target means for what is sent, as SQL over ``m`` (mapped), ``l`` (ledger) and ``s`` (seen)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from airflow_provider_braze_blueconic.sync.blueconic.values import already_holds_sql
from airflow_provider_braze_blueconic.sync.delta.echoes import LOOKED, echo_sql
from airflow_provider_braze_blueconic.sync.delta.increases import increase_sql
from airflow_provider_braze_blueconic.sync.delta.plan import DeltaPlan
from airflow_provider_braze_blueconic.sync.engine.columns import certain_column, field_column
from airflow_provider_braze_blueconic.sync.engine.database import literal, quote

__all__ = ["Looks"]


@dataclass(frozen=True)
class _TargetLook:
    """SQL for one target; see :class:`Looks`."""

    differs: str
    noted: str | None = None
    increase: str | None = None
    repaired: str | None = None


@dataclass(frozen=True)
class Looks:
    """SQL for what is sent and noted of each target.

    :param differs: target → whether the target has to be told.
    :param noted: target → JSON text that the ledger learns without a sending.
    :param increase: target → JSON text of what is added.
    :param repaired: target → whether the target holds something else than it acknowledged and is to hold.
    :param is_seen: anything was seen, so that ``s`` is there; and ``p``, the repairs.
    :param echo: target → whether the mapped value is only what the target's own value became on its way.
    :param is_whole: a read was made to see everybody, so that the table ``absent`` is there.
    """

    differs: Mapping[str, str]
    noted: Mapping[str, str]
    increase: Mapping[str, str]
    repaired: Mapping[str, str]
    is_seen: bool
    echo: Mapping[str, str]
    is_whole: bool = False

    @classmethod
    def at(
        cls,
        plan: DeltaPlan,
        floor: dt.datetime | None,
        certain: Mapping[str, bool],
        echoed: Collection[str],
        *,
        is_whole: bool = False,
    ) -> Looks:
        """Work out the SQL of every target.

        :param floor: version of the newest data that was committed, where older data are stale for everybody.
        :param certain: targets that were seen → whether what was seen there is certain to be the target's own.
        :param echoed: targets of which is known what comes back of them.
        :param is_whole: a look was made to see everybody; it only counts where anything of the goal was seen.
        """
        echo = {target: echo_sql(target) for target in echoed}
        looks: dict[str, _TargetLook] = {}
        for target in plan.targets:
            if plan.merge(target) == "sum":
                looks[target] = _added(plan, target, floor, echo.get(target))
            elif target in certain:
                looks[target] = _seen(plan, target, echo.get(target), is_certain=certain[target])
            else:
                looks[target] = _TargetLook(f"({_changed_sql(target)})")
        is_seen = bool(certain or echo)
        return cls(
            differs={target: look.differs for target, look in looks.items()},
            noted={target: look.noted for target, look in looks.items() if look.noted},
            increase={target: look.increase for target, look in looks.items() if look.increase},
            repaired={target: look.repaired for target, look in looks.items() if look.repaired},
            is_seen=is_seen,
            echo=echo,
            is_whole=is_seen and is_whole,
        )

    def tells(self, target: str) -> str:
        """SQL that tells whether a target field makes the person worth a request."""
        if target in self.increase:
            return self.differs[target]
        return f"(m.{quote(field_column(target))} IS NOT NULL AND {self.differs[target]})"

    @property
    def notes(self) -> str:
        """SQL that tells whether the ledger learns anything."""
        return " OR ".join(f"({text}) IS NOT NULL" for text in self.noted.values()) or "FALSE"


def _changed_sql(target: str) -> str:
    """SQL that tells whether a mapped value is another than the acknowledged one."""
    column = quote(field_column(target))
    return f"m.{column} IS DISTINCT FROM l.{column}"


def _added(plan: DeltaPlan, target: str, floor: dt.datetime | None, echo: str | None) -> _TargetLook:
    """SQL for a number that is added to.

    :param echo: SQL that tells whether the mapped value is an echo, where that is known.
    """
    mapped, known = (f"{table}.{quote(field_column(target))}" for table in "ml")
    # Also where stale rows are sent: what was added once, or where a counter once stood, would be added a second time.
    moment = f"{literal(floor.isoformat())}::TIMESTAMPTZ" if floor else "NULL::TIMESTAMPTZ"
    changed = _changed_sql(target)
    changed += f" AND coalesce(m.as_of >= greatest(l.as_of, {moment}), TRUE)"
    increase = increase_sql(mapped, known, changed, grows=target in plan.increases)
    if echo is not None:
        increase = f"CASE WHEN NOT {echo} THEN {increase} END"
    unsent = f"{changed} AND {mapped} IS NOT NULL AND ({increase}) IS NULL"
    return _TargetLook(
        differs=f"({increase}) IS NOT NULL",
        noted=f"CASE WHEN {unsent} THEN {mapped} END",
        increase=increase,
    )


def _seen(plan: DeltaPlan, target: str, echo: str | None, *, is_certain: bool) -> _TargetLook:
    """SQL for a target that was looked at.

    :param echo: SQL that tells whether the mapped value is an echo, where that is known.
    :param is_certain: what was seen may count also where it differs from what is to be sent.
    """
    mapped, known, seen = (f"{table}.{quote(field_column(target))}" for table in "mls")
    changed = _changed_sql(target)
    looked = f"{LOOKED} AND {seen} IS NOT NULL"
    held = (
        f"({looked} AND {already_holds_sql(plan.merge(target), mapped, seen)} "
        f"AND NOT {_differs_in_form_sql(mapped, known)})"
    )
    if echo is not None:
        held = f"(coalesce({held}, FALSE) OR {echo})"
    certain = f"s.{quote(certain_column(target))}"
    otherwise = f"({looked} AND {mapped} IS NOT NULL AND {certain})" if is_certain else "FALSE"
    return _TargetLook(
        differs=f"(NOT coalesce({held}, FALSE) AND ({changed} OR ({otherwise} AND NOT coalesce(p.unstuck, FALSE))))",
        noted=f"CASE WHEN {held} AND {changed} THEN {mapped} END",
        repaired=f"({otherwise} AND NOT ({changed}) AND NOT coalesce({held}, FALSE))" if is_certain else None,
    )


def _differs_in_form_sql(mapped: str, known: str) -> str:
    """SQL that tells whether the goal writes the acknowledged value in another form now: ``7`` and not ``"7"``.

    A look sees the values of the target without their types, so it can't tell the one from the other.
    """
    bare = [f"trim({text}, '[]\"')" for text in (mapped, known)]
    return f"coalesce({mapped} <> {known} AND {bare[0]} = {bare[1]}, FALSE)"
