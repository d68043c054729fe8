"""The Celery app of the workers, and every module with tasks in it."""

import records.audit.tasks  # noqa: F401 - registers its task
from core.broker import celery_app
from core.settings import settings

app = celery_app(settings().broker_url.get_secret_value(), settings().home)
app.set_default()
