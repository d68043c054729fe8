# ruff: noqa: S608 - the queries are put together from constants
"""The rules that look for snooping (R1 to R13): each a query over the last day of the trail and what the clinic knows.

A query returns `key` (the same thing is told once), `actor`, `patient`, `events` and `count`. Who works here and who treats
is said by the policy's vocabulary: `$1` is staff, `$2` clinicians, `$3` who runs the system; `$4` is how long a visit makes its
doctor treat the patient, before and after.
"""

from collections.abc import Mapping
from typing import Final

from records.access.relations import UNREAL

_READS: Final = "action IN ('read', 'search') AND outcome = 'allow' AND patient IS NOT NULL"
RECENT: Final = """
CREATE TEMP TABLE recent ON COMMIT DROP AS
SELECT id, occurred_at, recorded_at, actor, action, outcome, patient, resource_type, break_glass, request_id, boot, seq,
  ARRAY(SELECT jsonb_array_elements_text(j -> 'roles')) AS roles, (j ->> 'session')::uuid AS session
FROM (SELECT *, convert_from(body, 'UTF8')::jsonb AS j FROM audit.event
      WHERE id > audit.lowest_id(now() - interval '25 hours')) AS day
"""
"""The last day of the trail, read once for all rules."""
_KNOWN: Final = "WITH known AS (SELECT $1::text[] AS staff, $2::text[] AS clinicians, $3::text[] AS keepers, $4::interval AS around)"
_IDS: Final = "(SELECT other_id FROM same_person WHERE same_person.patient_id = recent.patient)"
"""Every id of the person whom an event is about: what is known of one of them is known of all."""
_TOLD: Final = "(array_agg(id ORDER BY id))[1:50] AS events, count(*)::int AS count"

_STRANGER: Final = f"""
SELECT concat_ws('/', actor, patient, occurred_at::date) AS key, actor, patient, {_TOLD}
FROM recent, known WHERE {_READS} AND NOT break_glass AND roles && clinicians
AND resource_type IN ('patient', 'record', 'appointment', 'coverage')
AND NOT EXISTS (
  SELECT FROM care_team AS t LEFT JOIN account AS a ON a.id = recent.actor
  WHERE t.patient_id IN {_IDS} AND (t.account_id = a.id OR t.doctor_id = a.doctor_id)
  AND occurred_at BETWEEN t.valid_from - around AND coalesce(t.valid_until, now()) + around)
AND NOT EXISTS (
  SELECT FROM appointment AS v JOIN account AS a ON a.id = recent.actor AND a.doctor_id = v.doctor_id
  WHERE v.patient_id IN {_IDS} AND v.status <> ALL ('{{{",".join(UNREAL)}}}')
  AND v.starts_at BETWEEN occurred_at - around AND occurred_at + around)
AND NOT EXISTS (SELECT FROM record WHERE record.patient_id IN {_IDS} AND author_id = recent.actor)
GROUP BY actor, patient, occurred_at::date
"""
# A blurred token (of a name) is shared by many who have nothing to do with each other; these two are not blurred.
_HOUSEHOLD: Final = """
, shared AS (
  SELECT DISTINCT recent.* FROM known, recent
  JOIN account AS a ON a.id = recent.actor AND a.patient_id <> recent.patient
  JOIN patient_token AS mine ON mine.patient_id = a.patient_id
    AND mine.index IN ('phone', 'email')
  JOIN patient_token AS theirs ON theirs.patient_id = recent.patient AND theirs.index = mine.index
    AND theirs.key_version = mine.key_version AND theirs.token = mine.token
  WHERE action IN ('read', 'search') AND outcome = 'allow' AND recent.roles && staff)
SELECT concat_ws('/', actor, patient, occurred_at::date) AS key, actor, patient,
  (array_agg(id ORDER BY id))[1:50] AS events, count(*)::int AS count
FROM shared GROUP BY actor, patient, occurred_at::date
"""
_COLLEAGUE: Final = f"""
SELECT concat_ws('/', recent.actor, recent.patient, occurred_at::date) AS key, recent.actor, recent.patient,
  (array_agg(recent.id ORDER BY recent.id))[1:50] AS events, count(*)::int AS count
FROM known, recent JOIN account AS a ON a.patient_id = recent.patient
WHERE {_READS} AND recent.roles && staff AND a.roles && staff AND a.id <> recent.actor
GROUP BY recent.actor, recent.patient, occurred_at::date
"""
_MANY: Final = f"""
SELECT concat_ws('/', actor, date_trunc('hour', occurred_at)) AS key, actor, NULL::uuid AS patient, {_TOLD}
FROM recent WHERE {_READS} AND action = 'read' GROUP BY actor, date_trunc('hour', occurred_at)
HAVING count(DISTINCT patient) > 60
"""
_WATCHED: Final = f"""
SELECT concat_ws('/', actor, patient, occurred_at::date) AS key, actor, patient, {_TOLD}
FROM recent, known WHERE {_READS} AND roles && staff
AND EXISTS (SELECT FROM audit.watched AS w WHERE w.patient_id IN {_IDS} AND occurred_at >= w.since)
GROUP BY actor, patient, occurred_at::date
"""
# Median and median deviation are not moved by the one who is looked for.
_FAR_ABOVE: Final = f"""
, daily AS (
  SELECT actor, roles, count(DISTINCT patient) AS seen, (array_agg(id ORDER BY id))[1:50] AS events
  FROM recent, known WHERE {_READS} AND action = 'read' AND roles && staff GROUP BY actor, roles),
middle AS (SELECT roles, percentile_cont(0.5) WITHIN GROUP (ORDER BY seen) AS usual, count(*) AS peers
  FROM daily GROUP BY roles),
spread AS (SELECT roles, percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(seen - usual)) AS deviation
  FROM daily JOIN middle USING (roles) GROUP BY roles)
SELECT concat_ws('/', 'peers', actor, now()::date) AS key, actor, NULL::uuid AS patient, events, seen::int AS count
FROM daily JOIN middle USING (roles) JOIN spread USING (roles)
WHERE peers >= 5 AND seen >= 20 AND seen > usual + 4 * 1.4826 * greatest(deviation, 1)
"""
# A grant has its reason from the first; what is left to go wrong is an act without a grant, and a grant nobody reviews.
_NO_GRANT: Final = """
SELECT concat_ws('/', actor, recent.patient, occurred_at::date) AS key, actor, recent.patient,
  (array_agg(recent.id ORDER BY recent.id))[1:50] AS events, count(*)::int AS count
FROM recent WHERE outcome = 'allow' AND break_glass AND NOT EXISTS (
  SELECT FROM break_glass AS g LEFT JOIN patient AS p ON p.id = g.patient_id
  WHERE g.account_id = recent.actor AND recent.patient IN (g.patient_id, p.replaced_by)
  AND recent.occurred_at BETWEEN g.granted_at - interval '1 minute' AND g.expires_at + interval '1 minute')
GROUP BY actor, recent.patient, occurred_at::date
"""
_UNREVIEWED: Final = """
SELECT concat_ws('/', 'review', g.id) AS key, g.account_id AS actor, g.patient_id AS patient, used.events,
  cardinality(used.events) AS count
FROM break_glass AS g CROSS JOIN LATERAL (SELECT ARRAY(
  SELECT e.id FROM audit.event AS e WHERE e.break_glass AND e.actor = g.account_id AND e.patient = g.patient_id
  AND e.id BETWEEN audit.lowest_id(g.granted_at) AND audit.lowest_id(g.expires_at + interval '1 minute')
  ORDER BY e.id LIMIT 50) AS events) AS used
WHERE g.reviewed_at IS NULL AND g.granted_at < now() - interval '24 hours'
"""
_OFF_SHIFT: Final = f"""
SELECT concat_ws('/', actor, occurred_at::date) AS key, actor, NULL::uuid AS patient, {_TOLD}
FROM recent JOIN LATERAL (SELECT doctor_id FROM account WHERE account.id = recent.actor) AS a ON true
WHERE {_READS} AND resource_type = 'record'
AND EXISTS (SELECT FROM schedule AS s WHERE s.doctor_id = a.doctor_id
  AND occurred_at::date BETWEEN s.valid_from AND coalesce(s.valid_until, 'infinity'))
AND NOT EXISTS (SELECT FROM schedule AS s WHERE s.doctor_id = a.doctor_id
  AND s.weekday = extract(isodow FROM occurred_at AT TIME ZONE s.time_zone)
  AND extract(epoch FROM (occurred_at AT TIME ZONE s.time_zone)::time)
    BETWEEN extract(epoch FROM s.start_time) - 7200
    AND CASE WHEN s.end_time <= s.start_time THEN 86400 ELSE extract(epoch FROM s.end_time) END + 7200)
GROUP BY actor, occurred_at::date
"""
_ENUMERATION: Final = f"""
, refused AS (
  SELECT *, count(*) OVER (PARTITION BY actor ORDER BY occurred_at
    RANGE BETWEEN interval '5 minutes' PRECEDING AND CURRENT ROW) AS lately
  FROM recent WHERE outcome = 'deny' AND actor IS NOT NULL)
SELECT concat_ws('/', actor, date_trunc('hour', occurred_at)) AS key, actor, NULL::uuid AS patient, {_TOLD}
FROM refused GROUP BY actor, date_trunc('hour', occurred_at) HAVING max(lately) >= 20
"""
_FISHING: Final = """
SELECT concat_ws('/', actor, date_trunc('hour', occurred_at)) AS key, actor, NULL::uuid AS patient,
  (array_agg(id ORDER BY id) FILTER (WHERE action = 'search'))[1:50] AS events,
  count(DISTINCT request_id) FILTER (WHERE action = 'search')::int AS count
FROM recent WHERE outcome = 'allow' AND resource_type IN ('patient', 'record') AND actor IS NOT NULL
GROUP BY actor, date_trunc('hour', occurred_at)
HAVING count(DISTINCT request_id) FILTER (WHERE action = 'search')
  > 15 * greatest(count(*) FILTER (WHERE action = 'read'), 1)
"""
_LONG_GONE: Final = f"""
SELECT concat_ws('/', actor, recent.patient, occurred_at::date) AS key, actor, recent.patient,
  (array_agg(recent.id ORDER BY recent.id))[1:50] AS events, count(*)::int AS count
FROM known, recent JOIN patient AS p ON p.id = recent.patient
WHERE {_READS} AND roles && staff AND NOT p.active AND p.updated_at < occurred_at - interval '30 days'
GROUP BY actor, recent.patient, occurred_at::date
"""
_ENDED: Final = f"""
SELECT concat_ws('/', actor, session) AS key, actor, NULL::uuid AS patient, {_TOLD}
FROM recent WHERE outcome = 'allow' AND action NOT IN ('login', 'logout', 'token')
AND (EXISTS (SELECT FROM oauth_session AS s WHERE s.id = recent.session AND s.revoked_at < occurred_at - interval '5 seconds'))
GROUP BY actor, session
"""
_ONESELF: Final = f"""
SELECT concat_ws('/', actor, patient, occurred_at::date) AS key, actor, patient, {_TOLD}
FROM recent, known WHERE {_READS} AND roles && staff
AND EXISTS (SELECT FROM account AS a WHERE a.id = recent.actor AND a.patient_id = recent.patient)
GROUP BY actor, patient, occurred_at::date
"""
_IN_CHARGE: Final = f"""
SELECT concat_ws('/', actor, patient, occurred_at::date) AS key, actor, patient, {_TOLD}
FROM recent, known WHERE {_READS} AND resource_type IN ('patient', 'record', 'coverage') AND roles <@ keepers
GROUP BY actor, patient, occurred_at::date
"""
_MISSING: Final = """
SELECT concat_ws('/', 'gap', boot, first) AS key, NULL::uuid AS actor, NULL::uuid AS patient,
  '{}'::uuid[] AS events, (last - first + 1)::int AS count FROM audit.gap WHERE closed_at IS NULL
UNION ALL
SELECT concat_ws('/', 'quarantine', id), NULL, NULL, '{}', events FROM audit.quarantine
UNION ALL
SELECT concat_ws('/', 'seal', date_trunc('hour', min(since))), NULL, NULL, '{}', count(*)::int
FROM audit.unsealed WHERE since < now() - interval '30 seconds' HAVING count(*) > 0
"""
# A clock that runs ahead of the ledger's, or one that went back from one event of a process to its next.
_SKEWED: Final = """
SELECT concat_ws('/', 'clock', boot, date_trunc('hour', min(recorded_at))) AS key, NULL::uuid AS actor,
  NULL::uuid AS patient, (array_agg(id ORDER BY seq))[1:50] AS events, count(*)::int AS count
FROM (SELECT *, lag(occurred_at) OVER (PARTITION BY boot ORDER BY seq) AS before FROM recent
      WHERE boot IS NOT NULL) AS numbered
WHERE occurred_at > recorded_at + interval '1 minute' OR occurred_at < before - interval '1 minute'
GROUP BY boot
"""

RULES: Final[Mapping[str, tuple[str, ...]]] = {
    "R1": (_KNOWN + _STRANGER,),
    "R2": (_KNOWN + _HOUSEHOLD,),
    "R3": (_KNOWN + _COLLEAGUE,),
    "R4": (_KNOWN + _WATCHED,),
    "R5": (_KNOWN + _MANY, _KNOWN + _FAR_ABOVE),
    "R6": (_NO_GRANT, _UNREVIEWED),
    "R7": (_KNOWN + _OFF_SHIFT,),
    "R8": (_KNOWN + _ENUMERATION,),
    "R9": (_KNOWN + _FISHING,),
    "R10": (_KNOWN + _LONG_GONE,),
    "R11": (_KNOWN + _ENDED,),
    "R12": (_KNOWN + _ONESELF, _KNOWN + _IN_CHARGE),
    "R13": (_MISSING, _SKEWED),
}
MEANING: Final[Mapping[str, str]] = {
    "R1": "read without a treatment relation",
    "R2": "read the data of somebody with whom one shares a telephone number or an e-mail address",
    "R3": "read the data of a colleague",
    "R4": "read a patient whom compliance watches",
    "R5": "read many more patients than peers, or more than 60 in an hour",
    "R6": "acted under an emergency that nobody granted, or one that has not been reviewed for a day",
    "R7": "read records more than two hours outside working hours",
    "R8": "refused 20 times or more within five minutes",
    "R9": "more than 15 searches for each record opened",
    "R10": "read a patient who has been inactive for more than 30 days",
    "R11": "acted with a login that had ended",
    "R12": "read one's own chart as staff, or patients' data as an administrator",
    "R13": "events are missing, were refused, are not sealed, or come from a clock that is off",
}
