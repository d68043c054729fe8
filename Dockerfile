# Two stages: the first installs what the lock names, key services, traces and z3 included; the second holds what runs, as an ordinary user.
FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements/ requirements/
RUN python -m venv .venv && .venv/bin/pip install --no-cache-dir --require-hashes -r requirements/image.txt
COPY pyproject.toml README.md ./
COPY api/ api/
COPY core/ core/
COPY policies/ policies/
COPY records/ records/
COPY migrations/ migrations/
RUN .venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/confide confide \
 && install -d -o confide -g confide -m 700 /var/lib/confide/sealer
WORKDIR /app
COPY --from=build /app/.venv .venv
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CONFIDE_HOME=/var/lib/confide
USER confide
EXPOSE 8000
CMD ["confide", "serve", "--host", "0.0.0.0"]
