"""Where and when somebody works: shifts, and as SQL about the row of an account what a rule may ask of the caller."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field

from records.base import Row, moment


class AccountShift(Row, table=True):
    """Somebody is on duty for a time: staff without weekly windows, above all."""

    __tablename__ = "account_shift"
    __table_args__ = (
        CheckConstraint(
            "ends_at > starts_at AND ends_at <= starts_at + interval '24 hours'", name="length"
        ),
        Index("ix_account_shift_account", "account_id", "ends_at"),
    )

    account_id: UUID = Field(foreign_key="account.id")
    starts_at: datetime = moment()
    ends_at: datetime = moment()


DEPARTMENT: Final = text(
    "coalesce(account.department, (SELECT d.department FROM doctor d WHERE d.id = account.doctor_id))"
    " AS department"
)
# A window ends on the next day when its end is not after its start. NULL: no hours are kept for them.
ON_SHIFT: Final = text("""
CASE WHEN EXISTS (SELECT FROM account_shift s WHERE s.account_id = account.id)
       OR EXISTS (SELECT FROM schedule w WHERE w.doctor_id = account.doctor_id)
THEN EXISTS (SELECT FROM account_shift s
             WHERE s.account_id = account.id AND now() >= s.starts_at AND now() < s.ends_at)
  OR EXISTS (SELECT FROM time_off t WHERE t.doctor_id = account.doctor_id AND t.kind = 'extra'
             AND now() >= t.starts_at AND now() < t.ends_at)
  OR EXISTS (
    SELECT FROM schedule w, timezone(w.time_zone, now()) AS local,
      LATERAL (VALUES (CAST(local AS date)), (CAST(local AS date) - 1)) AS begun (day)
    WHERE w.doctor_id = account.doctor_id AND w.weekday = extract(isodow FROM begun.day)
      AND begun.day >= w.valid_from AND begun.day <= coalesce(w.valid_until, begun.day)
      AND local >= begun.day + w.start_time
      AND local < begun.day + w.end_time
                  + CASE WHEN w.end_time <= w.start_time THEN interval '1 day' ELSE interval '0' END)
  AND NOT EXISTS (SELECT FROM time_off t
                  WHERE (t.doctor_id = account.doctor_id OR t.doctor_id IS NULL) AND t.kind = 'absence'
                    AND t.location_id IS NULL AND now() >= t.starts_at AND now() < t.ends_at)
END AS on_shift""")
