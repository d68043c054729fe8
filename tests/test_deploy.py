"""What operators are given: manifests that Kubernetes takes, alerts that fire, a dashboard of metrics that there are."""

import json
import re
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import which
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from api.cli import app
from tests.apis import Api, serve
from tests.npm import refuse
from tests.servers import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
MANIFESTS: list[dict[str, Any]] = [
    item
    for name in ("processes.yaml", "service.yaml")
    for item in yaml.safe_load((DEPLOY / "kubernetes" / name).read_text())["items"]
]
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
PANELS = json.loads((DEPLOY / "grafana/confide.json").read_text())["panels"]
QUERIES = [r["expr"] for r in ALERTS] + [t["expr"] for p in PANELS for t in p.get("targets", ())]
PODS = {
    m["metadata"]["name"]: m["spec"]["template"]["spec"]
    for m in MANIFESTS
    if m["kind"] in {"Deployment", "Job"}
}


def named(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


@pytest.mark.parametrize("manifest", MANIFESTS, ids=named)
def test_a_manifest_is_what_kubernetes_takes(manifest: dict[str, Any]):
    kubernetes_validate.validate(manifest, "1.34", strict=True)


@pytest.mark.parametrize("name", PODS)
def test_no_container_may_more_than_it_must(name: str):
    pod, (container,) = PODS[name], PODS[name]["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]


def test_the_same_processes_run_as_in_docker_compose():
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    ours = {name for name, service in compose.items() if service.get("image") == "confide"}
    assert {name.removeprefix("confide-") for name in PODS} == ours


def test_every_command_of_the_manifests_is_a_command_of_confide():
    known = CliRunner().invoke(app, ["--help"]).output
    commands = [" ".join(pod["containers"][0]["args"]) for pod in PODS.values()]
    assert all(word in known for c in commands for word in re.findall(r"confide (\w+)", c))


def test_no_secret_stands_in_a_manifest():
    assert not any(m["kind"] == "Secret" for m in MANIFESTS)
    set_here = [
        pair["name"] for pod in PODS.values() for pair in pod["containers"][0].get("env", ())
    ]
    assert set(set_here) == {"CONFIDE_KMS"}


def test_only_the_sealer_has_the_folder_of_the_logs_key():
    mounted = {
        name: [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
        for name, pod in PODS.items()
    }
    assert [n for n, paths in mounted.items() if "/var/lib/confide/sealer" in paths] == [
        "confide-sealer"
    ]


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")],
    ids=" ".join,
)
def test_prometheus_takes_the_alerts_and_they_fire_when_they_should(arguments: tuple[str, ...]):
    if not which("promtool"):
        refuse("there is no promtool here")
    done = subprocess.run(
        [str(which("promtool")), *arguments],
        cwd=DEPLOY / "prometheus",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", ALERTS, ids=lambda r: r["alert"])
def test_an_alert_says_what_to_read(rule: dict[str, Any]):
    assert Path(CHECKOUT / rule["annotations"]["runbook"]).is_file()


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serve(database_url, tmp_path) as running:
        yield running


async def test_decisions_are_counted_as_they_were_made(api: Api):
    path, before = f"/v1/records/{api.people.record.id}", await decisions(api)
    await api.get(api.people.adams, path)
    await api.get(api.people.baker, path)
    await api.get(api.people.baker, path)
    assert await decisions(api) - before == Counter(allow=1, deny=2)


async def decisions(api: Api) -> Counter[str]:
    """Return how many reads were decided so far, in this test's process."""
    told = (await api.http.get("/metrics")).text
    found = r'^confide_decisions_total{action="read",outcome="(\w+)"} ([0-9.]+)$'
    return Counter({o: int(float(n)) for o, n in re.findall(found, told, re.MULTILINE)})


async def test_every_metric_that_is_asked_for_is_told(api: Api):
    await api.get(api.people.adams, f"/v1/records/{api.people.record.id}")
    told = (await api.http.get("/metrics")).text
    names = {line.split("{")[0].split()[0] for line in told.splitlines() if line[0] != "#"}
    asked = {n for q in QUERIES for n in re.findall(r"\b(?:confide|process)_\w+", q)}
    assert asked
    assert asked <= names
