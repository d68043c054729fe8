"""The Celery app of the workers: every module with tasks in it, and how often each chore is due.

A chore is a task without arguments. It looks into the database for what is to be done (a rotation that was asked for,
a hold that ran out) and does some of it, so a lost, late or doubled wake-up does no harm, and the API needs no broker.
"""

import records.audit.tasks
import records.clinical.tasks
import records.compliance.tasks
import records.custody.tasks
import records.governance.tasks
import records.identity.tasks
import records.scheduling.tasks  # noqa: F401 - the imports register the tasks
from core.broker import celery_app, every
from core.settings import settings

app = celery_app(settings().broker_url.get_secret_value(), settings().home)
app.set_default()
app.conf.beat_schedule = {
    "key rotations": every(2, "keys.rotate"),
    "missing numbers": every(30, "audit.reconcile"),
    "dead letters": every(60, "audit.revive"),
    "simulations": every(2, "governance.simulate"),
    "exports": every(3, "compliance.gather"),
    "alerts": every(60, "compliance.look"),
    "coming months": every(86_400, "audit.months"),
    "orphaned blobs": every(3600, "clinical.sweep"),
    "expired logins": every(3600, "identity.sweep"),
    "holds that ran out": every(30, "scheduling.lapse"),
    "visits nobody came to": every(300, "scheduling.missed"),
    "reminders": every(60, "scheduling.remind"),
    "news of visits": every(60, "scheduling.tell"),
    "idempotency keys": every(3600, "once.forget"),
}
